package import ProxyModel

/// A route configuration made ready for matching.
package struct VirtualHostTable: Sendable {
    private var exact: [String: Int] = [:]
    /// Without the star, longest first.
    private var suffixes: [(text: String, host: Int)] = []
    private var prefixes: [(text: String, host: Int)] = []
    private var catchAll: Int?
    private let ignoresPort: Bool
    private let hosts: [CompiledVirtualHost]

    /// Throws `RouteRegexError` when a regular expression is invalid.
    package init(_ configuration: RouteConfiguration) throws {
        ignoresPort = configuration.ignoresPortInHost
        hosts = try configuration.virtualHosts.map(CompiledVirtualHost.init)
        for (index, host) in configuration.virtualHosts.enumerated() {
            // Envoy refuses a domain that occurs twice; the older virtual host, which comes first, keeps it.
            for domain in host.domains.map({ $0.lowercased() }) {
                if domain == "*" {
                    catchAll = catchAll ?? index
                } else if domain.hasPrefix("*") {
                    suffixes.append((String(domain.dropFirst()), index))
                } else if domain.hasSuffix("*") {
                    prefixes.append((String(domain.dropLast()), index))
                } else if exact[domain] == nil {
                    exact[domain] = index
                }
            }
        }
        suffixes = suffixes.stableSortedByLength()
        prefixes = prefixes.stableSortedByLength()
    }

    /// The virtual host for an authority: exact, longest `*suffix`, longest `prefix*`, `*`.
    package func virtualHost(forAuthority authority: String) -> CompiledVirtualHost? {
        let lower = authority.lowercased()
        let name = ignoresPort ? Self.withoutPort(lower) : lower
        if let index = exact[name] { return hosts[index] }
        // A star stands for at least one character.
        let found =
            suffixes.first { name.hasSuffix($0.text) && name.utf8.count > $0.text.utf8.count }
            ?? prefixes.first { name.hasPrefix($0.text) && name.utf8.count > $0.text.utf8.count }
        return (found?.host ?? catchAll).map { hosts[$0] }
    }

    /// `host` of `host:80`, `[::1]` of `[::1]:80`; whatever follows the colon, as Envoy does.
    package static func withoutPort(_ authority: String) -> String {
        guard let colon = authority.utf8.lastIndex(of: UInt8(ascii: ":")) else { return authority }
        if let bracket = authority.utf8.lastIndex(of: UInt8(ascii: "]")), bracket > colon { return authority }
        return String(authority[..<colon])
    }
}

extension [(text: String, host: Int)] {
    fileprivate func stableSortedByLength() -> Self {
        enumerated().sorted {
            let (a, b) = ($0.element.text.utf8.count, $1.element.text.utf8.count)
            return a == b ? $0.offset < $1.offset : a > b
        }.map(\.element)
    }
}
