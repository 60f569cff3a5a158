import Foundation
import Testing

/// What each module may import, besides the toolchain's own modules: `architecture.md` §2 as a dictionary.
///
/// `ProxyModel` is the configuration that Mesh and Proxy share; `DNS` is the codec, client and server.
private let allowed: [String: Set<String>] = [
    "CLinux": ["CMnl", "CNftnl"],
    "CRE2": [],
    "RegularExpressions": ["CRE2"],
    "NetworkAddresses": [],
    "Netlink": ["NetworkAddresses", "CLinux", "CMnl"],
    "Nftables": ["NetworkAddresses", "Netlink", "CLinux", "CMnl", "CNftnl"],
    // `CYaml` is the libyaml inside Yams: its events let us bound what a hostile file expands to, Yams' trees don't.
    "Manifests": ["NetworkAddresses", "RegularExpressions", "CYaml"],
    "ProxyModel": ["NetworkAddresses"],
    "Proxy": Set([
        "NetworkAddresses", "ProxyModel", "RegularExpressions", "NIOTLS", "NIOSSL", "NIOHTTP2", "NIOHPACK",
        "X509", "Crypto", "SwiftASN1",
    ]).union(nio),
    "Envoy": Set(["NetworkAddresses", "ProxyModel", "Proxy", "Netlink"]).union(nio),
    "DNS": Set(["NetworkAddresses", "Proxy", "CLdns"]).union(nio),
    // Certificates are read to tell which ones a proxy won't take.
    "Mesh": ["NetworkAddresses", "Manifests", "ProxyModel", "Nftables", "X509", "SwiftASN1"],
    "PolicyOracle": ["NetworkAddresses", "Manifests"],
    "Evidence": ["NetworkAddresses", "Manifests"],
    "Lab": Set([
        "NetworkAddresses", "Mesh", "PolicyOracle", "Evidence", "Manifests", "Proxy", "ProxyModel", "Envoy", "DNS",
        "Nftables", "Netlink", "CLinux", "NIOTLS", "NIOSSL", "NIOHTTP2", "NIOHPACK",
        "X509", "Crypto", "SwiftASN1",
    ]).union(nio),
    "Reports": ["NetworkAddresses", "Evidence", "Manifests"],
    "Control": ["Netlink", "CLinux"],
    "Standing": Set([
        "NetworkAddresses", "Control", "Lab", "Mesh", "Evidence", "Manifests", "Proxy", "ProxyModel", "Netlink",
        "RegularExpressions", "CLinux", "Yams",
    ]).union(nio),
    "egress-lab": Set([
        "NetworkAddresses", "Lab", "Mesh", "Evidence", "Manifests", "Proxy", "ProxyModel", "Envoy", "DNS",
        "Nftables",
        "Netlink", "Reports", "ArgumentParser", "Control", "Standing",
    ]).union(nio),
]

private let nio: Set<String> = ["NIOCore", "NIOPosix", "NIOHTTP1", "NIOConcurrencyHelpers"]
private let toolchain: Set<String> = [
    "Swift", "Glibc", "Foundation", "FoundationEssentials", "Dispatch", "Synchronization",
]

@Suite struct ImportTests {
    private let sources = URL(fileURLWithPath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().appending(
            path: "Sources")

    @Test("Modules import downwards only, as the architecture lists")
    func importsGoDownwards() throws {
        var violations: [String] = []
        var filesRead = 0
        for (module, modules) in allowed {
            let folder = sources.appending(path: module)
            let files = try FileManager.default.subpathsOfDirectory(atPath: folder.path)
            for file in files where file.hasSuffix(".swift") {
                filesRead += 1
                let text = try String(contentsOf: folder.appending(path: file), encoding: .utf8)
                for name in imports(in: text) where !modules.contains(name) && !toolchain.contains(name) {
                    violations.append("\(module)/\(file) imports \(name)")
                }
            }
        }
        #expect(violations.sorted() == [])
        #expect(filesRead > 0)
    }

    @Test("Every module under Sources is listed, or is a system library's map")
    func everyModuleIsListed() throws {
        let folders = try FileManager.default.contentsOfDirectory(atPath: sources.path)
            .filter { !$0.hasPrefix(".") }
            .filter { folder in
                !FileManager.default.fileExists(
                    atPath: sources.appending(path: "\(folder)/module.modulemap").path)
            }
        #expect(Set(folders) == Set(allowed.keys))
    }

    @Test("The reader of imports sees access levels, attributes and single declarations")
    func readsImports() {
        let text = """
            package import Manifests
            @preconcurrency public import NIOCore
            import struct Foundation.Data
            @_exported import Yams // why
            #if canImport(Glibc)
                import Glibc
            #endif
            let important = 1
            """
        #expect(imports(in: text) == ["Manifests", "NIOCore", "Foundation", "Yams", "Glibc"])
    }

    /// The modules that a file imports.
    private func imports(in text: String) -> [String] {
        let kinds: Set<Substring> = [
            "struct", "class", "enum", "protocol", "func", "var", "let", "typealias", "actor",
        ]
        return text.split(separator: "\n").compactMap { line in
            let words = line.prefix { $0 != "/" }.split(whereSeparator: \.isWhitespace)
            guard let position = words.firstIndex(of: "import"),
                words[..<position].allSatisfy({ $0.hasPrefix("@") || accessLevels.contains($0) })
            else { return nil }
            let rest = words[(position + 1)...].drop { kinds.contains($0) }
            return rest.first.map { String($0.prefix { $0 != "." }) }
        }
    }

    private let accessLevels: Set<Substring> = [
        "public", "package", "internal", "fileprivate", "private",
    ]
}
