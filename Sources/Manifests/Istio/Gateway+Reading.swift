extension Gateway {
    private static let fields: FieldNames = "selector servers"

    /// Reads `networking.istio.io/Gateway` with Istio's validation (ValidateGateway).
    init?(reading object: ObjectReader) {
        guard let spec = object.spec(Self.fields), let list = spec.required("servers") else { return nil }
        if list.isList, list.list.isEmpty { list.error("a Gateway needs at least one server") }
        let servers = list.list.compactMap { Server(reading: $0) }
        self.init(metadata: object.metadata, selector: spec["selector"]?.stringMap ?? [:], servers: servers)
        var portNames: Set<String> = []
        var serverNames: Set<String> = []
        for element in list.list {
            if let name = element["port"]?["name"], let text = name.node.text, !portNames.insert(text).inserted {
                name.error("the port name \(text) is given twice", remedy: "each server's port has a name of its own")
            }
            if let name = element["name"], let text = name.node.text, !serverNames.insert(text).inserted {
                name.error("the server name \(text) is given twice")
            }
        }
    }
}

extension Gateway.Server {
    private static let fields: FieldNames = "port bind hosts tls defaultEndpoint name"

    init?(reading field: FieldReader) {
        guard field.check(Self.fields) else { return nil }
        // Everything is read even when something is missing, for what is to be said of it.
        let port = field.required("port").flatMap { Gateway.Port(reading: $0) }
        let hosts = field.required("hosts").map { list in
            if list.isList, list.list.isEmpty { list.error("a server needs at least one host", remedy: "* is all") }
            return list.list.compactMap { Gateway.Host(reading: $0) }
        }
        let tls = field["tls"].flatMap { ServerTLSSettings(reading: $0) }
        if let bind = field["bind"], let text = bind.string, text.hasPrefix("unix:") {
            bind.refuse("Unix domain sockets are not supported yet")
        } else if let bind = field["bind"] {
            _ = bind.ipAddress
        }
        guard let port, let hosts else { return nil }
        self.init(
            name: field["name"]?.string, port: port, bind: field["bind"]?.locatedString, hosts: hosts, tls: tls,
            location: field.location)
        validate(field)
    }

    private func validate(_ field: FieldReader) {
        guard let settings = field["tls"] else {
            if port.protocol.isTLS {
                field.error("a server for \(port.protocol.rawValue) needs tls", remedy: "write tls: {mode: …}")
            }
            return
        }
        guard let tls, !port.protocol.isTLS, port.protocol != .unspecified else {
            settings["httpsRedirect"]?.warnOfRedirect(for: port)
            return
        }
        let isRedirectOnly = tls.httpsRedirect && settings.node.keys.allSatisfy { $0.hasPrefix("https") }
        if port.protocol.isHTTP, isRedirectOnly { return }
        settings.error(
            port.protocol.isHTTP
                ? "a server for plain \(port.protocol.rawValue) can't have TLS settings other than httpsRedirect"
                : "a server for \(port.protocol.rawValue) can't have TLS settings",
            remedy: "use protocol HTTPS or TLS")
    }
}

extension FieldReader {
    fileprivate func warnOfRedirect(for port: Gateway.Port) {
        if boolean == true, !port.protocol.isHTTP { warn("httpsRedirect has a meaning for HTTP servers only") }
    }
}

extension Gateway.Port {
    private static let protocols: [PortProtocol] = [
        .http, .https, .http2, .grpc, .grpcWeb, .tls, .tcp, .mongo, .mysql, .redis,
    ]

    init?(reading field: FieldReader) {
        guard field.check("number name protocol targetPort") else { return nil }
        field["targetPort"]?.warn("a Gateway's port has no target of its own; the Service's holds")
        let number = field.required("number")?.port
        let name = field.required("name")?.string
        var value: PortProtocol?
        if let named = field.required("protocol") {
            value = named.portProtocol
            if let value, !Self.protocols.contains(value) {
                named.error(
                    "a Gateway does not serve \(value.rawValue)",
                    remedy: "use one of \(Self.protocols.map(\.rawValue).joined(separator: ", "))")
            }
        }
        guard let number, let name, let value else { return nil }
        self.init(number: number, name: name, protocol: value, location: field.location)
    }
}

extension Gateway.Host {
    init?(reading field: FieldReader) {
        guard let text = field.string else { return nil }
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        let namespace = parts.count == 2 ? parts[0] : nil
        let name = parts[parts.count - 1]
        if let namespace, !["*", "."].contains(namespace), !HostName.isLabel(namespace) {
            field.error(
                "\"\(namespace)\" is no namespace", remedy: "write NAMESPACE/HOST, ./HOST, */HOST or HOST")
            return nil
        }
        guard HostName.isValid(name) else {
            field.error("\"\(name)\" is not a host name")
            return nil
        }
        self.init(namespace: namespace, name: name, location: field.location)
    }
}

extension ServerTLSSettings {
    private static let fields: FieldNames = """
        httpsRedirect mode serverCertificate privateKey caCertificates caCrl subjectAltNames credentialName
        credentialNames caCertCredentialName tlsCertificates verifyCertificateSpki verifyCertificateHash
        minProtocolVersion maxProtocolVersion cipherSuites
        """
    private static let certificateFields = [
        "serverCertificate", "privateKey", "caCertificates", "caCrl", "credentialName",
    ]

    init?(reading field: FieldReader) {
        guard field.check(Self.fields) else { return nil }
        let mode = field["mode"].map { $0.choice(Mode.self) } ?? .passthrough
        guard let mode else { return nil }
        self.init(
            mode: Located(mode, at: (field["mode"] ?? field).location),
            httpsRedirect: field["httpsRedirect"]?.boolean ?? false,
            credentialName: field["credentialName"]?.locatedString,
            serverCertificate: field["serverCertificate"]?.locatedString,
            privateKey: field["privateKey"]?.locatedString, caCertificates: field["caCertificates"]?.locatedString,
            subjectAltNames: field["subjectAltNames"]?.strings ?? [],
            verifyCertificateSPKI: field["verifyCertificateSpki"]?.strings ?? [],
            verifyCertificateHash: field["verifyCertificateHash"]?.strings ?? [],
            minProtocolVersion: field["minProtocolVersion"]?.tlsVersion,
            maxProtocolVersion: field["maxProtocolVersion"]?.tlsVersion,
            cipherSuites: field["cipherSuites"]?.strings ?? [], location: field.location)
        validate(field)
    }

    private func validate(_ field: FieldReader) {
        if let low = minProtocolVersion, let high = maxProtocolVersion, high < low {
            field["maxProtocolVersion"]?.error("\(high.rawValue) is below minProtocolVersion \(low.rawValue)")
        }
        var suites: Set<String> = []
        for element in field["cipherSuites"]?.list ?? [] {
            guard let name = element.node.text else { continue }
            if !suites.insert(name).inserted { element.warn("the cipher suite \(name) is given twice") }
            if !CipherSuites.known.contains(name) { element.warn("unknown cipher suite \(name) is ignored") }
        }
        switch mode.value {
        case .istioMutual:
            for name in Self.certificateFields {
                field[name]?.error("ISTIO_MUTUAL takes the mesh's own certificate", remedy: "leave \(name) out")
            }
        case .passthrough, .autoPassthrough:
            for name in Self.certificateFields {
                field[name]?.warn("\(mode.value.rawValue) does not use certificates; \(name) is ignored")
            }
        case .simple, .mutual, .optionalMutual:
            guard credentialName == nil else { return }
            // Istio takes a list of certificates in place of the one.
            if field["credentialNames"] != nil || field["tlsCertificates"] != nil { return }
            var needed = ["serverCertificate", "privateKey"]
            if mode.value != .simple { needed.append("caCertificates") }
            for name in needed where field[name] == nil {
                field.error("\(mode.value.rawValue) needs \(name) or credentialName")
            }
        }
    }
}

extension FieldReader {
    /// A TLS version; `TLS_AUTO` leaves the choice to the proxy.
    var tlsVersion: TLSVersion? {
        choice(of: ["TLS_AUTO"] + TLSVersion.allCases.map(\.rawValue)).flatMap(TLSVersion.init)
    }
}

/// Names of cipher suites for TLS up to 1.2 that Envoy's library knows, and Istio with it.
enum CipherSuites {
    static let known: Set<String> = [
        "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384",
        "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305",
        "ECDHE-PSK-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA", "ECDHE-PSK-AES128-CBC-SHA",
        "ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA", "ECDHE-PSK-AES256-CBC-SHA", "AES128-GCM-SHA256",
        "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA", "PSK-AES128-CBC-SHA", "PSK-AES256-CBC-SHA", "DES-CBC3-SHA",
        "ECDHE-ECDSA-AES128-SHA256", "ECDHE-RSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA384",
        "ECDHE-RSA-AES256-SHA384", "AES128-SHA256", "AES256-SHA256",
    ]
}
