import NetworkAddresses

extension InternetHost {
    /// Addresses that the lab's cluster uses itself.
    private static let clusterRanges: [(name: String, prefix: IPPrefix)] = [
        ("pods", "10.244.0.0/16"), ("Services", "10.96.0.0/12"), ("the node", "172.18.0.0/16"),
    ].compactMap { name, text in IPPrefix(text).map { (name, $0) } }

    /// Reads one element of a scenario's `internet`.
    init?(reading field: FieldReader) {
        guard field.check("hosts addresses ports") else { return nil }
        let hosts = (field["hosts"]?.listOrSelf ?? []).compactMap { element -> String? in
            guard let host = element.text else { return nil }
            guard HostName.isValid(host), !host.hasPrefix("*") || (host.hasPrefix("*.") && host.count > 2) else {
                element.error("\"\(host)\" is neither a host name nor *.DOMAIN")
                return nil
            }
            return host.lowercased()
        }
        guard let addressesField = field.required("addresses") else { return nil }
        let addresses = addressesField.listOrSelf.compactMap(Self.address)
        if addressesField.isList, addressesField.list.isEmpty {
            addressesField.error("at least one address is needed")
        }
        self.init(hosts: hosts, addresses: addresses, ports: field["ports"]?.list.compactMap(Self.port) ?? [])
    }

    private static func address(_ field: FieldReader) -> IPAddress? {
        guard let text = field.text else { return nil }
        guard let address = IPAddress(text) else {
            field.error("\"\(text)\" is not an IP address")
            return nil
        }
        if let range = clusterRanges.first(where: { $0.prefix.contains(address) }) {
            field.error("\(address) lies in \(range.prefix), which the cluster uses for \(range.name)")
            return nil
        }
        if address.isLoopback || address.isMulticast || address.isLinkLocal || address.isUnspecified {
            field.error("\(address) can't be an address of the internet")
            return nil
        }
        return address
    }

    private static func port(_ field: FieldReader) -> Port? {
        guard field.check("number protocol app httpVersions certificate"),
            let number = field.required("number")?.port,
            let name = field.required("protocol")?.choice(of: ["HTTP", "HTTP2", "HTTPS", "TCP", "UDP", "TLS"]),
            let kind = name == "HTTP2" ? .http : PortKind(rawValue: name)
        else { return nil }
        let isWeb = kind == .http || kind == .https
        var app: App = isWeb ? .httpbin : .echo
        if let given = field["app"] {
            guard let choice = given.choice(App.self) else { return nil }
            let isWebApp = choice == .httpbin || choice == .redirectToHTTPS || choice == .externalAuthorizer
            if !isWeb, isWebApp { given.error("\(choice.rawValue) speaks HTTP or HTTPS, not \(name)") }
            if choice == .banner, kind != .tcp { given.error("banner speaks TCP, not \(name)") }
            app = choice
        }
        var versions: [String]? = name == "HTTP2" ? ["2"] : nil
        if let given = field["httpVersions"] {
            if !isWeb || name == "HTTP2" { given.error("\(name) leaves no choice of the HTTP version") }
            if given.isList, given.list.isEmpty { given.error("at least one version is needed") }
            versions = given.listOrSelf.compactMap { $0.choice(of: ["1.1", "2"]) }
        }
        if let given = field["certificate"], ![.https, .tls].contains(kind) {
            given.error("a port for \(name) has no certificate")
        }
        return Port(
            number: number, kind: kind, app: app, httpVersions: versions,
            certificate: field["certificate"].flatMap { ServerCertificate(reading: $0) })
    }
}

extension InternetHost.ServerCertificate {
    init?(reading field: FieldReader) {
        guard field.check("names issuer validity") else { return nil }
        self.init(issuer: field["issuer"]?.choice() ?? .lab, validity: field["validity"]?.choice() ?? .valid)
        guard let list = field["names"] else { return }
        names = list.listOrSelf.compactMap { element in
            guard let name = element.text else { return nil }
            guard HostName.isValid(name) else {
                element.error("\"\(name)\" is not a host name")
                return nil
            }
            return name.lowercased()
        }
    }
}
