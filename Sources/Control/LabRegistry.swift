import Glibc
package import Netlink

/// The labs that stay up on this machine, by name: for each a control socket, and a lock that it holds while it lives.
///
/// All of it is root's alone. A lab that was killed leaves both files; whoever finds its lock free takes them away.
package struct LabRegistry: Sendable {
    package static let defaultName = "lab"
    private let directory: String

    package init(directory: String = "/run/egress-lab") { self.directory = directory }

    /// A name that no other lab has, with the socket to listen at.
    package struct Reservation: Sendable {
        package let name: String
        package let socket: FileDescriptor
        package let lock: FileDescriptor
    }

    /// Why a lab can't be reached or made.
    package enum Failure: Error, Sendable, Equatable, CustomStringConvertible {
        case notRunning(name: String, others: [String])
        case noneRuns
        case several([String])
        case nameTaken(String)
        case badName(String)
        case unsafeDirectory(String)

        package var description: String {
            switch self {
            case .notRunning(let name, let others):
                "no lab '\(name)' is up"
                    + (others.isEmpty
                        ? "; start one: egress-lab up PATH --name \(name)"
                        : "; up are \(others.joined(separator: ", "))")
            case .noneRuns: "no lab is up; start one: egress-lab up PATH"
            case .several(let names):
                "several labs are up; say which with --name: \(names.joined(separator: ", "))"
            case .nameTaken(let name):
                "a lab '\(name)' is up already; take it away with egress-lab down --name \(name), or choose another --name"
            case .badName(let name):
                "'\(name)' is no name for a lab: use lower-case letters, digits and '-', at most 40 of them"
            case .unsafeDirectory(let path):
                "\(path) is not a directory of this user's alone (mode 0700); remove it, and it is made anew"
            }
        }
    }

    package static func isName(_ name: String) -> Bool {
        (1...40).contains(name.utf8.count) && name != "-"
            && name.utf8.allSatisfy { (48...57).contains($0) || (97...122).contains($0) || $0 == 45 }
    }

    // MARK: For labs

    /// Takes a name, with its socket listening; what a killed namesake left is removed.
    package func reserve(_ name: String) throws -> Reservation {
        guard Self.isName(name) else { throw Failure.badName(name) }
        try makeDirectory()
        guard let lock = try takeLock(name) else { throw Failure.nameTaken(name) }
        let path = socketPath(name)
        unlink(path)
        let socket = try UnixSocket.make()
        // Between bind and chmod nobody else gets in either: the directory is closed to others.
        try UnixSocket.withAddress(path) { address, length throws(KernelError) in
            guard bind(socket.number, address, length) == 0 else { throw KernelError("bind", path, errno: errno) }
        }
        guard chmod(path, 0o600) == 0, listen(socket.number, 64) == 0 else {
            throw KernelError("listen at", path, errno: errno)
        }
        return Reservation(name: name, socket: socket, lock: lock)
    }

    /// Removes a lab's files; its lock must be held.
    package func remove(_ name: String) {
        unlink(socketPath(name))
        unlink(lockPath(name))
    }

    // MARK: For commands

    /// The names of all labs that are up; traces of dead ones are removed.
    package func names() -> [String] {
        guard let handle = opendir(directory) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let file = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            guard file.hasSuffix(Self.lockSuffix) else { continue }
            let name = String(file.dropLast(Self.lockSuffix.count))
            if isUp(name) { names.append(name) }
        }
        return names.sorted()
    }

    /// A connection to the lab of that name; to the only one where no name is given.
    package func connect(_ name: String?) throws -> ControlConnection {
        let names = names()
        let chosen: String
        if let name {
            guard Self.isName(name) else { throw Failure.badName(name) }
            guard names.contains(name) else { throw Failure.notRunning(name: name, others: names) }
            chosen = name
        } else {
            guard names.count <= 1 else { throw Failure.several(names) }
            guard let only = names.first else { throw Failure.noneRuns }
            chosen = only
        }
        return try ControlConnection.connect(to: socketPath(chosen))
    }

    // MARK: Files

    private static let lockSuffix = ".lock"
    private func socketPath(_ name: String) -> String { "\(directory)/\(name).socket" }
    private func lockPath(_ name: String) -> String { "\(directory)/\(name)\(Self.lockSuffix)" }

    private func makeDirectory() throws {
        guard mkdir(directory, 0o700) != 0 else { return }
        guard errno == EEXIST else { throw KernelError("make", directory, errno: errno) }
        var status = stat()
        guard lstat(directory, &status) == 0, status.st_mode & S_IFMT == S_IFDIR, status.st_uid == geteuid(),
            status.st_mode & 0o077 == 0
        else { throw Failure.unsafeDirectory(directory) }
    }

    private func isUp(_ name: String) -> Bool {
        do {
            // Held by nobody: what is there belongs to a lab that was killed.
            guard try takeLock(name, creating: false) != nil else { return true }
            remove(name)
            return false
        } catch {
            return false
        }
    }

    /// nil: another process holds it.
    private func takeLock(_ name: String, creating: Bool = true) throws(KernelError) -> FileDescriptor? {
        let path = lockPath(name)
        while true {
            let number = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | (creating ? O_CREAT : 0), 0o600)
            guard number >= 0 else { throw KernelError("open", path, errno: errno) }
            let file = FileDescriptor(owning: number)
            guard flock(number, LOCK_EX | LOCK_NB) == 0 else {
                if errno == EWOULDBLOCK { return nil }
                throw KernelError("lock", path, errno: errno)
            }
            // Another may have removed the file meanwhile: then this lock says nothing.
            var (mine, current) = (stat(), stat())
            guard fstat(number, &mine) == 0 else { throw KernelError("look at", path, errno: errno) }
            if lstat(path, &current) == 0, current.st_ino == mine.st_ino { return file }
            if !creating { throw KernelError(.notFound, "open", path, reason: "it is gone") }
        }
    }
}
