#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

// Between clone and execve the child may only make system calls: it is a copy of a process with many threads, whose
// locks (malloc, stdio) may be held by threads that do not exist in it.

static _Noreturn void fail(int pipe, enum clinux_spawn_stage stage, int index) {
    struct clinux_spawn_failure failure = {.stage = stage, .error = errno, .index = index};
    ssize_t ignored = write(pipe, &failure, sizeof failure);
    (void)ignored;
    _exit(127);
}

static int write_file(const char *path, const void *content, size_t length) {
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0) return -1;
    const char *rest = content;
    size_t left = length;
    while (left > 0) {
        ssize_t count = write(fd, rest, left);
        if (count < 0) {
            if (errno == EINTR) continue;
            return -1;
        }
        rest += count;
        left -= (size_t)count;
    }
    // A script is there to be run.
    const char *text = content;
    int is_script = length >= 2 && text[0] == '#' && text[1] == '!';
    if (fchmod(fd, is_script ? 0755 : 0644) != 0) return -1;
    return close(fd);
}

static void lay_over(int pipe, const struct clinux_overlay *overlays, size_t count) {
    const char *base = NULL;
    const char *covered = NULL;
    char path[64];
    for (size_t i = 0; i < count; i++) {
        const struct clinux_overlay *overlay = &overlays[i];
        if (overlay->directory != NULL) {
            if (covered == NULL || strcmp(covered, overlay->directory) != 0) {
                if (mount("tmpfs", overlay->directory, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) {
                    if (errno == ENOENT && overlay->optional) continue;
                    fail(pipe, CLINUX_SPAWN_OVERLAY, (int)i);
                }
                covered = overlay->directory;
            }
            if (write_file(overlay->target, overlay->content, overlay->length) != 0)
                fail(pipe, CLINUX_SPAWN_OVERLAY, (int)i);
            continue;
        }
        if (base == NULL) {
            base = "/mnt";
            if (mount("tmpfs", base, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) {
                base = "/tmp";
                if (mount("tmpfs", base, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0)
                    fail(pipe, CLINUX_SPAWN_OVERLAY, (int)i);
            }
        }
        // base + "/" + number, without snprintf, which may lock.
        size_t at = strlen(base);
        memcpy(path, base, at);
        path[at++] = '/';
        path[at++] = (char)('a' + i / 26 % 26);
        path[at++] = (char)('a' + i % 26);
        path[at] = 0;
        if (write_file(path, overlay->content, overlay->length) != 0) fail(pipe, CLINUX_SPAWN_OVERLAY, (int)i);
        if (mount(path, overlay->target, NULL, MS_BIND, NULL) != 0 && !(errno == ENOENT && overlay->optional))
            fail(pipe, CLINUX_SPAWN_OVERLAY, (int)i);
    }
    // The bound files keep the file system alive.
    if (base != NULL && umount2(base, MNT_DETACH) != 0) fail(pipe, CLINUX_SPAWN_OVERLAY, -1);
}

/// Returns the pipe's new number: the first above all that the child keeps.
static int arrange_descriptors(int pipe, const struct clinux_fd_mapping *fds, size_t count) {
    int top = 2;
    for (size_t i = 0; i < count; i++)
        if (fds[i].to > top) top = fds[i].to;
    // First out of the way, so that no target overwrites a source that is still needed.
    int moved = fcntl(pipe, F_DUPFD_CLOEXEC, top + 1 + (int)count);
    if (moved < 0) fail(pipe, CLINUX_SPAWN_DESCRIPTORS, 0);
    int parked[count + 1];
    for (size_t i = 0; i < count; i++) {
        parked[i] = fcntl(fds[i].from, F_DUPFD_CLOEXEC, top + 1);
        if (parked[i] < 0) fail(moved, CLINUX_SPAWN_DESCRIPTORS, (int)i);
    }
    for (int fd = 0; fd <= top; fd++) close(fd);
    for (size_t i = 0; i < count; i++)
        if (dup2(parked[i], fds[i].to) < 0) fail(moved, CLINUX_SPAWN_DESCRIPTORS, (int)i);
    if (moved != top + 1) {
        if (dup3(moved, top + 1, O_CLOEXEC) < 0) fail(moved, CLINUX_SPAWN_DESCRIPTORS, 0);
        moved = top + 1;
    }
    if (syscall(SYS_close_range, (unsigned)moved + 1, ~0u, 0) != 0) fail(moved, CLINUX_SPAWN_DESCRIPTORS, 0);
    return moved;
}

static _Noreturn void run_child(const struct clinux_spawn_spec *spec, int pipe) {
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; number++) sigaction(number, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (!spec->keep_session) setsid();

    if (spec->network_namespace >= 0 && setns(spec->network_namespace, CLONE_NEWNET) != 0)
        fail(pipe, CLINUX_SPAWN_NETWORK_NAMESPACE, 0);
    if (spec->mount_namespace >= 0 && setns(spec->mount_namespace, CLONE_NEWNS) != 0)
        fail(pipe, CLINUX_SPAWN_MOUNT_NAMESPACE, 0);
    if (spec->overlay_count > 0 && !(spec->new_namespaces & CLONE_NEWNS) && unshare(CLONE_NEWNS) != 0)
        fail(pipe, CLINUX_SPAWN_MOUNT_NAMESPACE, 0);
    if (spec->overlay_count > 0 || (spec->new_namespaces & CLONE_NEWNS)) {
        // Else our mounts would appear on the host, where / is shared.
        if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) fail(pipe, CLINUX_SPAWN_MOUNT_NAMESPACE, 0);
    }
    if (spec->mount_proc && mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
        fail(pipe, CLINUX_SPAWN_PROC, 0);
    if (spec->hostname != NULL && sethostname(spec->hostname, strlen(spec->hostname)) != 0)
        fail(pipe, CLINUX_SPAWN_HOSTNAME, 0);
    lay_over(pipe, spec->overlays, spec->overlay_count);
    pipe = arrange_descriptors(pipe, spec->fds, spec->fd_count);
    if (spec->controlling_terminal && ioctl(0, TIOCSCTTY, 0) != 0) fail(pipe, CLINUX_SPAWN_DESCRIPTORS, 0);
    if (spec->directory != NULL && chdir(spec->directory) != 0) fail(pipe, CLINUX_SPAWN_DIRECTORY, 0);
    if (spec->set_credentials) {
        // The raw calls: glibc's wrappers signal every thread of a process, and this one has none of them.
        if (syscall(SYS_setgroups, 0, NULL) != 0 || syscall(SYS_setresgid, spec->gid, spec->gid, spec->gid) != 0
            || syscall(SYS_setresuid, spec->uid, spec->uid, spec->uid) != 0)
            fail(pipe, CLINUX_SPAWN_CREDENTIALS, 0);
    }
    if (spec->no_new_privileges && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        fail(pipe, CLINUX_SPAWN_CREDENTIALS, 0);
    struct rlimit limits;
    if (spec->descriptor_limit > 0 && getrlimit(RLIMIT_NOFILE, &limits) == 0) {
        limits.rlim_cur = spec->descriptor_limit < limits.rlim_max ? spec->descriptor_limit : limits.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limits);
    }
    // After the change of user, which clears it.
    if (!spec->outlives_parent) prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    execve(spec->path, spec->arguments, spec->environment);
    fail(pipe, CLINUX_SPAWN_EXEC, 0);
}

static pid_t spawn_here(const struct clinux_spawn_spec *spec, struct clinux_spawn_failure *failure) {
    int pipe[2];
    *failure = (struct clinux_spawn_failure){.stage = CLINUX_SPAWN_CLONE};
    if (pipe2(pipe, O_CLOEXEC) != 0) {
        failure->error = errno;
        return -1;
    }
    // The raw call: no fork handlers, which could wait for locks. Signals wait until the child has reset its handlers.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    long pid = syscall(SYS_clone, (unsigned long)(spec->new_namespaces | SIGCHLD), NULL, NULL, NULL, 0);
    if (pid == 0) {
        close(pipe[0]);
        run_child(spec, pipe[1]);
    }
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(pipe[1]);
    if (pid < 0) {
        failure->error = error;
        close(pipe[0]);
        return -1;
    }
    struct clinux_spawn_failure report;
    ssize_t count;
    do count = read(pipe[0], &report, sizeof report);
    while (count < 0 && errno == EINTR);
    close(pipe[0]);
    if (count == (ssize_t)sizeof report) {
        *failure = report;
        while (waitpid((pid_t)pid, NULL, 0) < 0 && errno == EINTR) continue;
        return -1;
    }
    failure->stage = CLINUX_SPAWN_OK;
    return (pid_t)pid;
}

// One request at a time, handed to the starting thread.
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static const struct clinux_spawn_spec *pending = NULL;
static struct clinux_spawn_failure *pending_failure = NULL;
static pid_t result = 0;
static int is_done = 0;
static int is_running = 0;

static void *start_children(void *unused) {
    (void)unused;
    // The thread inherits what its creator had at that moment, which may be a pod's namespace and a proxy's user.
    setfsuid(geteuid());
    setfsgid(getegid());
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (home >= 0) {
        setns(home, CLONE_NEWNET);
        close(home);
    }
    pthread_mutex_lock(&lock);
    for (;;) {
        while (pending == NULL) pthread_cond_wait(&changed, &lock);
        result = spawn_here(pending, pending_failure);
        pending = NULL;
        is_done = 1;
        pthread_cond_broadcast(&changed);
    }
    return NULL;
}

pid_t clinux_spawn(const struct clinux_spawn_spec *spec, struct clinux_spawn_failure *failure) {
    pthread_mutex_lock(&turn);
    if (!is_running) {
        pthread_t thread;
        int error = pthread_create(&thread, NULL, start_children, NULL);
        if (error != 0) {
            pthread_mutex_unlock(&turn);
            *failure = (struct clinux_spawn_failure){.stage = CLINUX_SPAWN_CLONE, .error = error};
            return -1;
        }
        pthread_detach(thread);
        is_running = 1;
    }
    pthread_mutex_lock(&lock);
    pending = spec;
    pending_failure = failure;
    is_done = 0;
    pthread_cond_broadcast(&changed);
    while (!is_done) pthread_cond_wait(&changed, &lock);
    pid_t pid = result;
    pthread_mutex_unlock(&lock);
    pthread_mutex_unlock(&turn);
    return pid;
}

int clinux_pidfd_open(pid_t pid) { return (int)syscall(SYS_pidfd_open, pid, 0); }

int clinux_pidfd_send_signal(int pidfd, int number) {
    return (int)syscall(SYS_pidfd_send_signal, pidfd, number, NULL, 0);
}

int clinux_wait(pid_t pid, int block, int *status) {
    pid_t ended;
    do ended = waitpid(pid, status, block ? 0 : WNOHANG);
    while (ended < 0 && errno == EINTR);
    return ended < 0 ? -1 : ended == pid ? 1 : 0;
}

void clinux_await_spawn(void) {
    pthread_mutex_lock(&turn);
    pthread_mutex_unlock(&turn);
}
