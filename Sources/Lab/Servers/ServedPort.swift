internal import Manifests
internal import NetworkAddresses

/// How a server treats the connections to one of its addresses and ports.
struct ServedPort: Sendable {
    /// What the port speaks; nil: whatever the client's first bytes say.
    var kind: InternetHost.PortKind?
    /// The app for a name; nil is asked for when the client named none.
    var app: @Sendable (_ name: String?) -> InternetHost.App
    /// The name in the certificate that answers this SNI.
    var certificateName: @Sendable (_ serverName: String?) -> String
    /// `1.1`, `2` or both.
    var httpVersions = ["2", "1.1"]

    /// Serves httpbin, TLS and echo alike, with a certificate for every name.
    static func anything(at address: IPAddress) -> ServedPort {
        ServedPort(kind: nil, app: { _ in .httpbin }, certificateName: { $0 ?? address.description })
    }
}

/// Which hosts live at which address of the internet.
struct InternetDirectory: Sendable {
    private let hosts: [IPAddress: [InternetHost]]

    init(_ hosts: [InternetHost]) {
        var table: [IPAddress: [InternetHost]] = [:]
        for host in hosts {
            for address in host.addresses { table[address, default: []].append(host) }
        }
        self.hosts = table
    }

    /// How `endpoint` answers; an address without declared hosts serves anything.
    func port(at endpoint: IPEndpoint) -> ServedPort {
        guard let hosts = hosts[endpoint.address], let first = hosts.first else {
            return .anything(at: endpoint.address)
        }
        let names = hosts.flatMap(\.hosts)
        let declared = hosts.compactMap { host in
            host.ports.first { $0.number == endpoint.port && $0.kind != .udp }.map { (host, $0) }
        }
        return ServedPort(
            kind: declared.first?.1.kind,
            app: { name in
                let named = declared.first { host, _ in
                    name.map { name in host.hosts.contains { Self.covers($0, name) } } ?? false
                }
                return (named ?? declared.first)?.1.app ?? .httpbin
            },
            certificateName: { serverName in
                // As on the real internet, a server shows what it has: a client with another name sees a mismatch.
                if let serverName, names.contains(where: { Self.covers($0, serverName) }) { return serverName }
                return first.hosts.first ?? endpoint.address.description
            }, httpVersions: declared.first?.1.httpVersions ?? ["2", "1.1"])
    }

    /// True when `pattern`, a name or `*.suffix`, covers `name`.
    static func covers(_ pattern: String, _ name: String) -> Bool {
        let (pattern, name) = (pattern.lowercased(), name.lowercased())
        return pattern.hasPrefix("*.") ? name.hasSuffix(pattern.dropFirst()) : pattern == name
    }
}
