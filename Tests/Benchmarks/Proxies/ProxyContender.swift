import Envoy
import Foundation
import Netlink

/// A proxy that takes part in the comparison.
enum ProxyContender: String, CaseIterable {
    case own = "egress-lab"
    case envoy = "Envoy"
    case nginx = "nginx"
    case haproxy = "haproxy"

    /// The program; nil where it is not installed.
    var executable: String? {
        let files = FileManager.default
        switch self {
        case .own:
            let program = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
                .appending(path: "egress-lab").path
            return files.isExecutableFile(atPath: program) ? program : nil
        case .envoy: return try? EnvoyLocator().find()
        case .nginx:
            // Debian keeps the stream module in a package of its own.
            guard files.fileExists(atPath: Self.nginxStreamModule) else { return nil }
            return Self.search("nginx")
        case .haproxy: return Self.search("haproxy")
        }
    }

    static let nginxStreamModule = "/usr/lib/nginx/modules/ngx_stream_module.so"

    private static func search(_ name: String) -> String? {
        ["/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin"].map { "\($0)/\(name)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// Starts the proxy with its configuration in `folder`; what it says goes to the file `log` there.
    func start(in namespace: NetworkNamespace, folder: URL) throws -> ChildProcess {
        guard let executable else { throw BenchmarkError("\(rawValue) is not installed") }
        let file = folder.appending(path: self == .haproxy || self == .nginx ? "proxy.conf" : "proxy.json")
        try configuration(folder: folder).write(to: file)
        let arguments: [String] =
            switch self {
            case .own: ["proxy", "--config", file.path]
            case .envoy:
                ["-c", file.path, "--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]
            case .nginx: ["-p", folder.path, "-c", file.path, "-e", folder.appending(path: "error.log").path]
            case .haproxy: ["-db", "-f", file.path]
            }
        var specification = ChildSpecification(executable, arguments)
        specification.environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        specification.namespace = namespace
        specification.keepsDescriptorLimit = true
        let log = try FileDescriptor.create(folder.appending(path: "log").path)
        specification.descriptors = [1: log.number, 2: log.number]
        return try withExtendedLifetime(log) { try ChildProcess.spawn(specification) }
    }

    private func configuration(folder: URL) throws -> Data {
        switch self {
        case .own: try OwnConfiguration.json()
        case .envoy: try EnvoyConfiguration.json()
        case .nginx: Data(RivalConfigurations.nginx(folder: folder).utf8)
        case .haproxy: Data(RivalConfigurations.haproxy.utf8)
        }
    }
}

extension FileDescriptor {
    /// A new file for writing, whatever was there before.
    fileprivate static func create(_ path: String) throws -> FileDescriptor {
        guard FileManager.default.createFile(atPath: path, contents: nil) else {
            throw BenchmarkError("can't write \(path)")
        }
        return try open(path, O_WRONLY)
    }
}
