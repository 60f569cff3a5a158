import CLinux
import Glibc

/// What a container's program sees of the machine's files: all of them, and over them directories, files and links of
/// its own, which need not exist on the machine. Nothing of it is on a disk, and nothing of it outlives its descriptor
/// and the programs in it.
package final class ContainerFileSystem: Sendable {
    /// Something that only the container sees.
    package enum Item: Sendable, Equatable {
        /// An empty directory in memory, for whatever the program writes.
        case directory(String, mode: UInt32 = 0o1777)
        case file(String, content: [UInt8], mode: UInt32 = 0o644)
        case link(String, to: String)
        /// A directory of the machine's, where an item before it hides it.
        case machine(String)

        var path: String {
            switch self {
            case .directory(let path, _), .file(let path, _, _), .link(let path, _), .machine(let path): path
            }
        }
    }

    private let descriptor: FileDescriptor

    /// The descriptor of its mount namespace, valid as long as this object lives.
    package var fileDescriptor: Int32 { descriptor.number }

    /// Makes a mount namespace with these items, in their order. Needs root; blocks for some milliseconds.
    package init(_ items: [Item]) throws(KernelError) {
        // Mounts and roots are a thread's own only after it has left those of its process for good, so it is one that
        // ends afterwards.
        descriptor = try OneTimeThread.run { () throws(KernelError) in
            guard clinux_unshare_mounts() == 0 else {
                throw KernelError("create", "a mount namespace", errno: errno)
            }
            var builder = try RootBuilder()
            for item in items { try builder.add(item) }
            try builder.finish()
            return try FileDescriptor.open("/proc/thread-self/ns/mnt", O_RDONLY)
        }
    }
}

/// A thread for one piece of work.
private enum OneTimeThread {
    private final class Work<Value: Sendable> {
        let body: @Sendable () throws(KernelError) -> Value
        var result: Result<Value, KernelError>?

        init(_ body: @escaping @Sendable () throws(KernelError) -> Value) { self.body = body }

        func run() {
            do throws(KernelError) {
                result = .success(try body())
            } catch {
                result = .failure(error)
            }
        }
    }

    static func run<Value: Sendable>(
        _ body: @escaping @Sendable () throws(KernelError) -> Value
    ) throws(KernelError) -> Value {
        let work = Work(body)
        // Without generics, as C wants it.
        let start = Start { work.run() }
        var thread = pthread_t()
        let error = pthread_create(
            &thread, nil,
            { argument in
                if let argument { Unmanaged<Start>.fromOpaque(argument).takeUnretainedValue().body() }
                return nil
            }, Unmanaged.passUnretained(start).toOpaque())
        guard error == 0 else { throw KernelError("start", "a thread", errno: error) }
        pthread_join(thread, nil)
        guard let result = withExtendedLifetime(start, { work.result }) else {
            throw KernelError("end", "a thread", errno: EINTR)
        }
        return try result.get()
    }

    private final class Start {
        let body: () -> Void
        init(_ body: @escaping () -> Void) { self.body = body }
    }
}

/// Builds the new root under a directory of the calling thread's own mount namespace.
private struct RootBuilder {
    /// Where the new root grows; covered, so that nothing of it is seen outside.
    private let root: String
    /// Directories below `root` that are in memory: in them entries can be made.
    private var own: Set<String> = []

    init() throws(KernelError) {
        root = access("/mnt", F_OK) == 0 ? "/mnt" : "/tmp"
        // Its children are bound one by one; it itself stays empty in there.
        let entries = try Self.entries(of: "/")
        try Self.check(clinux_mount_tmpfs(root, 0o755, 0, 0), "mount", "memory over \(root)")
        own.insert("")
        for name in entries {
            let isRoot = "/\(name)" == root
            try show("/\(name)", at: "/\(name)", bindsContent: !isRoot)
        }
    }

    mutating func add(_ item: ContainerFileSystem.Item) throws(KernelError) {
        switch item {
        case .directory(let path, let mode):
            let place = try directory(path)
            try Self.check(clinux_mount_tmpfs(root + place, mode, 0, 0), "mount", "memory over \(path)")
            own = own.filter { !$0.hasPrefix(place + "/") }
            own.insert(place)
        case .file(let path, let content, let mode):
            let place = try entry(path)
            try write(content, mode, to: place)
        case .link(let path, let target):
            let place = try entry(path)
            try Self.check(symlink(target, root + place), "make", path)
        case .machine(let path):
            let place = try directory(path)
            try Self.check(clinux_bind(path, root + place), "show", path)
        }
    }

    func finish() throws(KernelError) {
        try Self.check(clinux_change_root(root), "change", "the root directory")
    }

    // MARK: Directories

    /// The place of a directory below `root`, with links followed; it is made where it does not exist.
    private mutating func directory(_ path: String) throws(KernelError) -> String {
        var rest = Self.components(path)
        var place = ""
        var links = 0
        while let name = rest.first {
            rest.removeFirst()
            if name == ".." {
                place = place.lastIndex(of: "/").map { String(place[..<$0]) } ?? ""
                continue
            }
            let next = "\(place)/\(name)"
            var status = stat()
            guard lstat(root + next, &status) == 0 else {
                guard errno == ENOENT else { throw KernelError("find", path, errno: errno) }
                try takeOver(place)
                try Self.check(mkdir(root + next, 0o755), "make", path)
                own.insert(next)
                place = next
                continue
            }
            switch status.st_mode & S_IFMT {
            case S_IFLNK:
                links += 1
                guard links <= 40, let target = Self.target(of: root + next) else {
                    throw KernelError("follow", path, errno: ELOOP)
                }
                if target.hasPrefix("/") { place = "" }
                rest = Self.components(target) + rest
            case S_IFDIR: place = next
            default: throw KernelError("enter", path, errno: ENOTDIR)
            }
        }
        return place
    }

    /// The place of an entry that does not exist, in a directory where it can be made.
    private mutating func entry(_ path: String) throws(KernelError) -> String {
        guard let name = Self.components(path).last else { throw KernelError("make", path, errno: EISDIR) }
        let parent = try directory(Self.components(path).dropLast().map { "/\($0)" }.joined())
        try takeOver(parent)
        let place = "\(parent)/\(name)"
        var status = stat()
        guard lstat(root + place, &status) == 0 else { return place }
        // What is shown of the machine there makes room.
        umount2(root + place, Int32(MNT_DETACH))
        let removed = status.st_mode & S_IFMT == S_IFDIR ? rmdir(root + place) : unlink(root + place)
        try Self.check(removed, "replace", path)
        return place
    }

    /// Lays memory over a directory in which everything that it had is shown as before.
    private mutating func takeOver(_ place: String) throws(KernelError) {
        guard !own.contains(place) else { return }
        let path = root + place
        let old = FileDescriptor(owning: clinux_open_directory(path))
        try Self.check(old.number, "open", place)
        var status = stat()
        try Self.check(fstat(old.number, &status), "look at", place)
        let source = "/proc/thread-self/fd/\(old.number)"
        let entries = try Self.entries(of: source)
        try Self.check(
            clinux_mount_tmpfs(path, status.st_mode & 0o7777, status.st_uid, status.st_gid), "mount",
            "memory over \(place)")
        own.insert(place)
        for name in entries { try show("\(source)/\(name)", at: "\(place)/\(name)", bindsContent: true) }
        withExtendedLifetime(old) {}
    }

    /// Makes an entry that shows one of the machine's.
    private func show(_ source: String, at place: String, bindsContent: Bool) throws(KernelError) {
        var status = stat()
        // Gone meanwhile, or a thing that one can't see: not there then.
        guard lstat(source, &status) == 0 else { return }
        let path = root + place
        switch status.st_mode & S_IFMT {
        case S_IFLNK:
            if let target = Self.target(of: source) { try Self.check(symlink(target, path), "make", place) }
            return
        case S_IFDIR: try Self.check(mkdir(path, 0o755), "make", place)
        default:
            let made = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o644)
            try Self.check(made, "make", place)
            close(made)
        }
        if bindsContent { try Self.check(clinux_bind(source, path), "show", place) }
    }

    private func write(_ content: [UInt8], _ mode: UInt32, to place: String) throws(KernelError) {
        let file = open(root + place, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o600)
        try Self.check(file, "make", place)
        defer { close(file) }
        var rest = content[...]
        while !rest.isEmpty {
            let count = rest.withUnsafeBytes { Glibc.write(file, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            try Self.check(Int32(clamping: count), "write", place)
            rest = rest.dropFirst(count)
        }
        try Self.check(fchmod(file, mode), "write", place)
    }

    // MARK: Paths

    private static func components(_ path: String) -> [String] {
        path.split(separator: "/").map(String.init).filter { $0 != "." }
    }

    private static func target(of link: String) -> String? {
        var bytes = [CChar](repeating: 0, count: 4096)
        let length = readlink(link, &bytes, bytes.count)
        return length < 0 ? nil : String(decoding: bytes.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    private static func entries(of path: String) throws(KernelError) -> [String] {
        guard let stream = opendir(path) else { throw KernelError("list", path, errno: errno) }
        defer { closedir(stream) }
        var result: [String] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { result.append(name) }
        }
        return result
    }

    private static func check(_ result: Int32, _ action: String, _ object: String) throws(KernelError) {
        guard result >= 0 else { throw KernelError(action, object, errno: errno) }
    }
}
