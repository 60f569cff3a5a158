#pragma once

// <netinet/in.h> comes first: the kernel's headers define in6_addr again unless they see it.
#include <netinet/in.h>

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/inet_diag.h>
#include <linux/neighbour.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_log.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/veth.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// MARK: Namespaces and credentials of the calling thread

enum {
    CLINUX_NEWNS = 0x00020000,
    CLINUX_NEWUTS = 0x04000000,
    CLINUX_NEWIPC = 0x08000000,
    CLINUX_NEWUSER = 0x10000000,
    CLINUX_NEWPID = 0x20000000,
    CLINUX_NEWNET = 0x40000000,
};

/// `unshare(2)`: gives the calling thread new namespaces. Returns 0, or -1 with errno.
int clinux_unshare(int flags);

/// `setns(2)`: moves the calling thread into the namespace of `fd`, which must be of type `nstype`. 0, or -1 with errno.
int clinux_setns(int fd, int nstype);

/// Sets the calling thread's file system user and reads it back. Returns 0 if it is now `uid`, else -1 (EPERM).
int clinux_setfsuid(uid_t uid);

/// Sets the calling thread's file system group and reads it back. Returns 0 if it is now `gid`, else -1 (EPERM).
int clinux_setfsgid(gid_t gid);

/// The calling thread's file system user.
uid_t clinux_getfsuid(void);

/// The calling thread's file system group.
gid_t clinux_getfsgid(void);

/// The calling thread's number; `gettid(2)`.
pid_t clinux_gettid(void);

/// 1 if the calling thread has capability `number` in effect, 0 if not, -1 with errno.
int clinux_has_capability(int number);

enum { CLINUX_CAP_NET_ADMIN = 12, CLINUX_CAP_NET_RAW = 13, CLINUX_CAP_SYS_ADMIN = 21 };

/// `accept4(2)` with SOCK_CLOEXEC, and SOCK_NONBLOCK if `nonblocking`. Addresses may be NULL.
int clinux_accept(int fd, struct sockaddr *address, socklen_t *length, int nonblocking);

/// Writes `message` to standard error and aborts the process.
_Noreturn void clinux_abort(const char *message);

// MARK: Processes

/// A file descriptor the child gets: `from` of the parent becomes `to`.
struct clinux_fd_mapping {
    int from;
    int to;
};

/// A file that the child, and only it, sees with other content.
struct clinux_overlay {
    /// The path that is covered. With `directory` it need not exist.
    const char *target;
    /// NULL, or the directory that is covered by an empty one first; consecutive entries may share it.
    const char *directory;
    const void *content;
    size_t length;
    /// Nonzero: if the target does not exist, go on without.
    int optional;
};

/// The step at which a child failed before its program began.
enum clinux_spawn_stage {
    CLINUX_SPAWN_OK = 0,
    CLINUX_SPAWN_CLONE,
    CLINUX_SPAWN_NETWORK_NAMESPACE,
    CLINUX_SPAWN_MOUNT_NAMESPACE,
    CLINUX_SPAWN_OVERLAY,
    CLINUX_SPAWN_PROC,
    CLINUX_SPAWN_HOSTNAME,
    CLINUX_SPAWN_DESCRIPTORS,
    CLINUX_SPAWN_DIRECTORY,
    CLINUX_SPAWN_CREDENTIALS,
    CLINUX_SPAWN_EXEC,
};

struct clinux_spawn_spec {
    const char *path;
    char *const *arguments;
    char *const *environment;
    /// NULL, or the working directory.
    const char *directory;
    /// NULL, or the host name; needs CLINUX_NEWUTS.
    const char *hostname;
    const struct clinux_fd_mapping *fds;
    size_t fd_count;
    const struct clinux_overlay *overlays;
    size_t overlay_count;
    /// -1, or a network namespace to enter.
    int network_namespace;
    /// -1, or a mount namespace to enter; then neither overlays nor CLINUX_NEWNS.
    int mount_namespace;
    /// New namespaces: CLINUX_NEW*. Overlays imply CLINUX_NEWNS.
    int new_namespaces;
    /// Nonzero: mount a fresh /proc (with CLINUX_NEWPID).
    int mount_proc;
    /// Nonzero: become `uid`, `gid` without supplementary groups.
    int set_credentials;
    uid_t uid;
    gid_t gid;
    int no_new_privileges;
    /// Nonzero: stay in the parent's session and process group.
    int keep_session;
    /// Nonzero: descriptor 0 is a terminal, and becomes the one that the child's session is controlled by.
    int controlling_terminal;
    /// Nonzero: the child lives on when this process ends.
    int outlives_parent;
    /// 0, or how many descriptors the child may have open (its soft limit).
    uint64_t descriptor_limit;
};

struct clinux_spawn_failure {
    enum clinux_spawn_stage stage;
    int error;
    /// The overlay at fault, for CLINUX_SPAWN_OVERLAY.
    int index;
};

/// Starts a program and returns its process number, or -1 with `*failure` filled in.
///
/// The child gets exactly the descriptors of `fds` (all others are closed), default signal handling, an empty signal
/// mask, and SIGKILL when this process ends. It is started by a thread of its own that lives as long as the process,
/// because the kernel ties that signal to the starting thread; so the namespaces and file system user of the calling
/// thread do not matter: without `network_namespace` it gets those of the process's first thread.
pid_t clinux_spawn(const struct clinux_spawn_spec *spec, struct clinux_spawn_failure *failure);

/// Returns when no child is between its start and its program: until then it has copies of all our descriptors, and a
/// socket that we have closed keeps its port.
void clinux_await_spawn(void);

/// `pidfd_open(2)`: a descriptor that becomes readable when the child has ended; -1 with errno.
int clinux_pidfd_open(pid_t pid);

/// `pidfd_send_signal(2)`. 0, or -1 with errno.
int clinux_pidfd_send_signal(int pidfd, int signal);

/// Reaps a child: 1 and its wait status, 0 if it still runs and `block` is 0, -1 with errno.
int clinux_wait(pid_t pid, int block, int *status);

static inline int clinux_exited(int status) { return (status & 0x7f) == 0; }
static inline int clinux_exit_code(int status) { return (status >> 8) & 0xff; }
static inline int clinux_termination_signal(int status) { return status & 0x7f; }

// MARK: Descriptors over sockets

/// Sends `length` bytes, and with the first of them `count` descriptors (at most CLINUX_MAX_DESCRIPTORS); `sendmsg(2)`.
/// The number of bytes sent, or -1 with errno.
ssize_t clinux_send_descriptors(int socket, const void *bytes, size_t length, const int *descriptors, size_t count);

/// Receives up to `length` bytes and the descriptors that came with them, which the caller then owns (close-on-exec);
/// `*count` is their number. The number of bytes, 0 at the end, or -1 with errno; EMSGSIZE when more came than fit.
ssize_t clinux_receive_descriptors(int socket, void *bytes, size_t length, int *descriptors, size_t *count);

enum { CLINUX_MAX_DESCRIPTORS = 8 };

/// Opens both sides of a pseudo-terminal: the controller's, and the one for a program (opened without its path, which
/// this mount namespace may not have). 0, or -1 with errno.
int clinux_open_terminal(int *controller, int *program);

/// The user at the other end of a Unix socket, as it was when the two were connected; 0, or -1 with errno.
int clinux_peer_user(int socket, uid_t *user);

// MARK: Mounts of the calling process's mount namespace

/// Lays an empty file system in memory over the directory `path`; `mount(2)`. It goes with the mount namespace, however
/// that ends. 0, or -1 with errno.
int clinux_mount_memory(const char *path);

// MARK: Mounts of a thread's own mount namespace

/// `unshare(2)`: gives the calling thread, which is to end soon, a mount namespace, root and working directory of its
/// own, from which no mount reaches others. 0, or -1 with errno.
int clinux_unshare_mounts(void);

/// Mounts an empty file system in memory at `path`. 0, or -1 with errno.
int clinux_mount_tmpfs(const char *path, mode_t mode, uid_t uid, gid_t gid);

/// A descriptor of the directory as it is now, whatever is mounted over it later; -1 with errno.
int clinux_open_directory(const char *path);

/// Shows `source`, with all that is mounted in it, at `target`, too. 0, or -1 with errno.
int clinux_bind(const char *source, const char *target);

/// Makes `path`, which is a mount, the root of the calling thread's mount namespace; `pivot_root(2)`. What was the root
/// is gone. 0, or -1 with errno.
int clinux_change_root(const char *path);
