import CLinux
import Glibc

/// What a child process is to be: its program, and what it sees of the world.
package struct ChildSpecification: Sendable {
    /// A file that only the child sees with this content.
    package struct Overlay: Sendable, Hashable {
        /// The file that is covered.
        package var path: String
        package var content: [UInt8]
        /// The directory of `path` is replaced by one with just the overlays of it; then `path` need not exist.
        package var replacesDirectory: Bool
        /// Go on without, if what is to be covered does not exist.
        package var isOptional: Bool

        package init(
            path: String, content: [UInt8], replacesDirectory: Bool = false, isOptional: Bool = false
        ) {
            (self.path, self.content) = (path, content)
            (self.replacesDirectory, self.isOptional) = (replacesDirectory, isOptional)
        }

        package init(path: String, text: String, replacesDirectory: Bool = false, isOptional: Bool = false) {
            self.init(
                path: path, content: Array(text.utf8), replacesDirectory: replacesDirectory, isOptional: isOptional)
        }

        fileprivate var directory: String? {
            guard replacesDirectory, let slash = path.lastIndex(of: "/") else { return nil }
            return String(path[..<slash])
        }
    }

    /// Who the child is.
    package struct Identity: Sendable, Hashable {
        package var uid: UInt32
        package var gid: UInt32
        package init(uid: UInt32, gid: UInt32) { (self.uid, self.gid) = (uid, gid) }
    }

    /// Kinds of namespaces made anew for the child.
    package struct Isolation: OptionSet, Sendable, Hashable {
        package let rawValue: Int32
        package init(rawValue: Int32) { self.rawValue = rawValue }
        /// Its own process numbers: all its descendants end with it.
        package static let processes = Isolation(rawValue: Int32(CLINUX_NEWPID))
        /// An empty network of its own.
        package static let network = Isolation(rawValue: Int32(CLINUX_NEWNET))
        /// Its own mounts.
        package static let mounts = Isolation(rawValue: Int32(CLINUX_NEWNS))
        package static let interProcess = Isolation(rawValue: Int32(CLINUX_NEWIPC))
        package static let hostName = Isolation(rawValue: Int32(CLINUX_NEWUTS))
    }

    /// The program's path; it is not searched for.
    package var executable: String
    /// All arguments, the program's name (argument 0) first.
    package var arguments: [String]
    /// The whole environment, `NAME=value`.
    package var environment: [String]
    /// The child's descriptors: its number, then ours. Standard ones that are not given are /dev/null.
    package var descriptors: [Int32: Int32] = [:]
    /// Where it runs; nil for the namespace of this process's first thread.
    package var namespace: NetworkNamespace?
    /// What it sees of the machine's files; excludes overlays and `Isolation.mounts`.
    package var fileSystem: ContainerFileSystem?
    package var isolation: Isolation = []
    package var overlays: [Overlay] = []
    /// A fresh /proc that shows its own process numbers; with `.processes` and `.mounts`.
    package var mountsProc = false
    package var identity: Identity?
    package var hostName: String?
    package var workingDirectory: String?
    package var forbidsNewPrivileges = false
    /// Stays in our session and process group, so that the terminal's ^C reaches it, too.
    package var keepsSession = false
    /// Its standard input is a terminal, which becomes its session's own: ^C there reaches what runs in it.
    package var hasControllingTerminal = false
    /// Lives on when this process ends; let go of its handle with `ChildProcess.release`.
    package var outlivesParent = false
    /// May open as many descriptors as this process, even if that raised its limit.
    package var keepsDescriptorLimit = false

    /// A child that runs `executable` with `arguments` (without the program's name).
    package init(_ executable: String, _ arguments: [String] = [], environment: [String] = []) {
        self.executable = executable
        self.arguments = [executable] + arguments
        self.environment = environment
    }

    /// Lends the description in C's form; all pointers are valid during `body` only.
    func withCSpecification<Result>(_ body: (UnsafePointer<clinux_spawn_spec>) -> Result) -> Result {
        var owned: [UnsafeMutablePointer<CChar>] = []
        defer { owned.forEach { free($0) } }
        func copy(_ text: String) -> UnsafeMutablePointer<CChar>? {
            guard let pointer = strdup(text) else { return nil }
            owned.append(pointer)
            return pointer
        }
        let arguments = self.arguments.map { copy($0) } + [nil]
        let environment = self.environment.map { copy($0) } + [nil]

        let null = Glibc.open("/dev/null", O_RDWR | O_CLOEXEC)
        defer { close(null) }
        var table = descriptors
        for standard in Int32(0)...2 where table[standard] == nil { table[standard] = null }
        let mappings = table.map { clinux_fd_mapping(from: $0.value, to: $0.key) }

        // One buffer, so that no content moves while pointers into it are in use.
        let contents = UnsafeMutableRawBufferPointer.allocate(
            byteCount: max(1, overlays.reduce(0) { $0 + $1.content.count }), alignment: 1)
        defer { contents.deallocate() }
        var offset = 0
        let sorted = overlays.sorted { ($0.directory ?? "", $0.path) < ($1.directory ?? "", $1.path) }
        let entries = sorted.map { overlay in
            let start = offset
            for byte in overlay.content {
                contents[offset] = byte
                offset += 1
            }
            return clinux_overlay(
                target: copy(overlay.path), directory: overlay.directory.flatMap(copy),
                content: contents.baseAddress?.advanced(by: start), length: overlay.content.count,
                optional: overlay.isOptional ? 1 : 0)
        }

        return arguments.withUnsafeBufferPointer { arguments in
            environment.withUnsafeBufferPointer { environment in
                mappings.withUnsafeBufferPointer { mappings in
                    entries.withUnsafeBufferPointer { entries in
                        var spec = clinux_spawn_spec()
                        spec.path = UnsafePointer(copy(executable))
                        spec.arguments = arguments.baseAddress
                        spec.environment = environment.baseAddress
                        spec.directory = workingDirectory.flatMap { UnsafePointer(copy($0)) }
                        spec.hostname = hostName.flatMap { UnsafePointer(copy($0)) }
                        spec.fds = mappings.baseAddress
                        spec.fd_count = mappings.count
                        spec.overlays = entries.baseAddress
                        spec.overlay_count = entries.count
                        spec.network_namespace = namespace?.fileDescriptor ?? -1
                        spec.mount_namespace = fileSystem?.fileDescriptor ?? -1
                        spec.new_namespaces = isolation.union(overlays.isEmpty ? [] : .mounts).rawValue
                        spec.mount_proc = mountsProc ? 1 : 0
                        spec.set_credentials = identity == nil ? 0 : 1
                        spec.uid = identity?.uid ?? 0
                        spec.gid = identity?.gid ?? 0
                        spec.no_new_privileges = forbidsNewPrivileges ? 1 : 0
                        spec.keep_session = keepsSession ? 1 : 0
                        spec.controlling_terminal = hasControllingTerminal ? 1 : 0
                        spec.outlives_parent = outlivesParent ? 1 : 0
                        spec.descriptor_limit = keepsDescriptorLimit ? 0 : DescriptorLimit.ofChildren ?? 0
                        return withExtendedLifetime((namespace, fileSystem)) { body(&spec) }
                    }
                }
            }
        }
    }

    /// The error of a child that failed at `stage`.
    func error(stage: clinux_spawn_stage, errno number: Int32, index: Int) -> KernelError {
        let sorted = overlays.sorted { ($0.directory ?? "", $0.path) < ($1.directory ?? "", $1.path) }
        let step: String =
            switch stage {
            case CLINUX_SPAWN_NETWORK_NAMESPACE: "entering its network namespace"
            case CLINUX_SPAWN_MOUNT_NAMESPACE: "making its mount namespace"
            case CLINUX_SPAWN_OVERLAY:
                sorted.indices.contains(index) ? "laying a file over \(sorted[index].path)" : "laying files over"
            case CLINUX_SPAWN_PROC: "mounting /proc"
            case CLINUX_SPAWN_HOSTNAME: "setting its host name"
            case CLINUX_SPAWN_DESCRIPTORS: "arranging its descriptors"
            case CLINUX_SPAWN_DIRECTORY: "entering \(workingDirectory ?? "its directory")"
            case CLINUX_SPAWN_CREDENTIALS: "becoming user \(identity?.uid ?? 0), group \(identity?.gid ?? 0)"
            case CLINUX_SPAWN_EXEC: "executing it"
            default: "creating its process"
            }
        return KernelError("start", executable, errno: number, reason: "while \(step)")
    }
}
