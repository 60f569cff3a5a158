#include "CLinux.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

_Static_assert(CLINUX_NEWNET == CLONE_NEWNET && CLINUX_NEWNS == CLONE_NEWNS && CLINUX_NEWPID == CLONE_NEWPID
                   && CLINUX_NEWUTS == CLONE_NEWUTS && CLINUX_NEWIPC == CLONE_NEWIPC && CLINUX_NEWUSER == CLONE_NEWUSER,
               "namespace flags");
_Static_assert(CLINUX_CAP_NET_ADMIN == CAP_NET_ADMIN && CLINUX_CAP_NET_RAW == CAP_NET_RAW
                   && CLINUX_CAP_SYS_ADMIN == CAP_SYS_ADMIN,
               "capability numbers");

int clinux_unshare(int flags) { return unshare(flags); }

int clinux_setns(int fd, int nstype) { return setns(fd, nstype); }

// setfsuid(-1) fails and thereby returns the present value: the only way to read it.
uid_t clinux_getfsuid(void) { return (uid_t)setfsuid((uid_t)-1); }

gid_t clinux_getfsgid(void) { return (gid_t)setfsgid((gid_t)-1); }

int clinux_setfsuid(uid_t uid) {
    setfsuid(uid);
    if (clinux_getfsuid() == uid) return 0;
    errno = EPERM;
    return -1;
}

int clinux_setfsgid(gid_t gid) {
    setfsgid(gid);
    if (clinux_getfsgid() == gid) return 0;
    errno = EPERM;
    return -1;
}

pid_t clinux_gettid(void) { return gettid(); }

int clinux_has_capability(int number) {
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
    if (syscall(SYS_capget, &header, data) != 0) return -1;
    return (data[number / 32].effective >> (number % 32)) & 1;
}

int clinux_accept(int fd, struct sockaddr *address, socklen_t *length, int nonblocking) {
    return accept4(fd, address, length, SOCK_CLOEXEC | (nonblocking ? SOCK_NONBLOCK : 0));
}

int clinux_mount_memory(const char *path) {
    return mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
}

int clinux_unshare_mounts(void) {
    if (unshare(CLONE_FS | CLONE_NEWNS) != 0) return -1;
    // Else what is mounted would appear on the host, where / is shared.
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL);
}

int clinux_mount_tmpfs(const char *path, mode_t mode, uid_t uid, gid_t gid) {
    if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0) return -1;
    // In this order: a change of owner clears bits of the mode.
    if (chown(path, uid, gid) != 0) return -1;
    return chmod(path, mode);
}

int clinux_open_directory(const char *path) { return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC); }

int clinux_bind(const char *source, const char *target) { return mount(source, target, NULL, MS_BIND | MS_REC, NULL); }

int clinux_change_root(const char *path) {
    if (chdir(path) != 0) return -1;
    // The old root is laid over the new one for a moment: `man 2 pivot_root`, "pivot_root(\".\", \".\")".
    if (syscall(SYS_pivot_root, ".", ".") != 0) return -1;
    if (umount2(".", MNT_DETACH) != 0) return -1;
    return chdir("/");
}

_Noreturn void clinux_abort(const char *message) {
    fputs(message, stderr);
    fputc('\n', stderr);
    abort();
}
