import CLinux
import Glibc
import Netlink

/// Where proxies that are programs have their files: a directory each.
package struct ProxyDirectories: Sendable {
    private let root: String

    /// Directories inside `root`, which exists, can be entered by everybody, and is cleared away by whoever made it.
    package init(in root: String) { self.root = root }

    /// Directories in memory, laid over `root` in this process's own mount namespace: nothing is left of them however
    /// the process ends.
    package static func inMemory(over root: String = "/dev/shm") throws -> ProxyDirectories {
        guard clinux_mount_memory(root) == 0 else {
            throw KernelError("mount", "memory over \(root) for the proxies' files", errno: errno)
        }
        return ProxyDirectories(in: root)
    }

    /// The directory of one start of a pod. Numbers, because the paths of unix sockets must be short.
    func path(for pod: RunningPod) -> String { "\(root)/\(pod.index)-\(pod.generation)" }
}
