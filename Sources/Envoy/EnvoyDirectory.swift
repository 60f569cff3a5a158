import Glibc
import Netlink

/// The folder of one proxy, where its Envoy finds its configuration and makes its sockets.
struct EnvoyDirectory: Sendable {
    let path: String
    let owner: ChildSpecification.Identity

    var adminSocket: String { path + "/admin.sock" }
    var fenceSocket: String { path + "/fence.sock" }
    var bootstrap: String { path + "/bootstrap.json" }

    /// Makes the folder, unless it exists, and gives it to the proxy's user.
    func make() throws {
        // The kernel's sun_path has 108 bytes, with the zero at its end.
        guard adminSocket.utf8.count < 108, fenceSocket.utf8.count < 108 else {
            throw KernelError(
                .invalidRequest, "use", path, reason: "the path is too long for unix sockets",
                remedy: "choose a shorter directory for temporary files")
        }
        try makeFolder(path)
    }

    /// Puts a file in place in one step: Envoy takes notice of nothing but renames.
    func put(_ name: String, _ content: String) throws {
        let target = "\(path)/\(name)"
        if let slash = name.lastIndex(of: "/") { try makeFolder("\(path)/\(name[..<slash])") }
        let draft = target + ".new"
        let descriptor = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
        guard descriptor >= 0 else { throw KernelError("write", draft, errno: errno) }
        let file = FileDescriptor(owning: descriptor)
        try write(Array(content.utf8), to: file.number, draft)
        // Whatever our mask is: the proxy's user must be able to read it.
        guard fchmod(file.number, 0o644) == 0, rename(draft, target) == 0 else {
            throw KernelError("put in place", target, errno: errno)
        }
    }

    private func write(_ bytes: [UInt8], to descriptor: Int32, _ name: String) throws {
        var rest = bytes[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { throw KernelError("write", name, errno: errno) }
            rest = rest.dropFirst(count)
        }
    }

    private func makeFolder(_ folder: String) throws {
        guard mkdir(folder, 0o700) == 0 || errno == EEXIST else { throw KernelError("make", folder, errno: errno) }
        guard chown(folder, owner.uid, owner.gid) == 0 else {
            throw KernelError("give to user \(owner.uid)", folder, errno: errno)
        }
    }
}
