import Foundation
import Mesh
import Netlink

/// What nginx' container image has that a Debian machine's nginx lacks.
struct NginxImage {
    private static let modules = "/usr/lib/nginx/modules"
    private static let logs = "/var/log/nginx"

    let plan: MachineProgramPlan

    /// nil: the program is another one.
    init?(_ plan: MachineProgramPlan) {
        guard plan.command.first?.split(separator: "/").last == "nginx" else { return nil }
        self.plan = plan
    }

    /// The arguments, with the `stream` module that the image has built in where here it is a file of its own and the
    /// configuration does not load it itself.
    func arguments(
        hasFile: (String) -> Bool = { FileManager.default.fileExists(atPath: $0) }
    ) -> [String] {
        var arguments = Array(plan.command.dropFirst())
        let module = "\(Self.modules)/ngx_stream_module.so"
        let texts = plan.mounts.flatMap(\.files).map { String(decoding: $0.content, as: UTF8.self) }
        guard texts.contains(where: { $0.contains("stream") }), hasFile(module),
            !texts.contains(where: { $0.contains("ngx_stream_module") || $0.contains("modules-enabled") })
        else { return arguments }
        let directive = "load_module \(module);"
        if let option = arguments.firstIndex(of: "-g"), option + 1 < arguments.count {
            // The last -g is the only one that counts.
            arguments[option + 1] = "\(directive) \(arguments[option + 1])"
        } else {
            arguments += ["-g", directive]
        }
        return arguments
    }

    /// Logs that are the container's own output, and folders for temporary files.
    var items: [ContainerFileSystem.Item] {
        var links = ["\(Self.logs)/access.log": "/dev/stdout", "\(Self.logs)/error.log": "/dev/stderr"]
        if let path = plan.sniServer?.accessLog?.path, path.hasPrefix("\(Self.logs)/") { links[path] = "/dev/stdout" }
        return [.directory("/var/lib/nginx"), .directory("/var/cache/nginx"), .directory(Self.logs)]
            + links.sorted { $0.key < $1.key }.map { .link($0.key, to: $0.value) }
    }

    /// True when the lines of the access log come to the program's output.
    var isHeard: Bool {
        guard let path = plan.sniServer?.accessLog?.path else { return false }
        return path.hasPrefix("\(Self.logs)/") || path == "/dev/stdout" || path == "/proc/self/fd/1"
    }
}
