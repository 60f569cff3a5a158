/// `networking.istio.io/Gateway`: what the pods that it selects listen for.
package struct Gateway: Resource, Equatable {
    /// A host of a server: `[namespace/]dnsName`.
    package struct Host: Sendable, Equatable {
        /// Which VirtualServices may bind: nil or `*` all, `.` the Gateway's own namespace, else that namespace's.
        package var namespace: String?
        /// A name, `*.suffix` or `*`.
        package var name: String
        package var location: SourceLocation

        package init(namespace: String? = nil, name: String, location: SourceLocation) {
            self.namespace = namespace
            self.name = name
            self.location = location
        }
    }

    /// The Service port that a server stands behind.
    package struct Port: Sendable, Equatable {
        package var number: UInt16
        package var name: String
        package var `protocol`: PortProtocol
        package var location: SourceLocation

        package init(number: UInt16, name: String, protocol: PortProtocol, location: SourceLocation) {
            self.number = number
            self.name = name
            self.protocol = `protocol`
            self.location = location
        }
    }

    /// One element of `servers`.
    package struct Server: Sendable, Equatable {
        package var name: String?
        package var port: Port
        package var bind: Located<String>?
        package var hosts: [Host]
        package var tls: ServerTLSSettings?
        package var location: SourceLocation

        package init(
            name: String? = nil, port: Port, bind: Located<String>? = nil, hosts: [Host],
            tls: ServerTLSSettings? = nil, location: SourceLocation
        ) {
            self.name = name
            self.port = port
            self.bind = bind
            self.hosts = hosts
            self.tls = tls
            self.location = location
        }
    }

    package static let kind = "Gateway"
    package var metadata: ObjectMeta
    /// Labels of the gateway's pods, in any namespace. Empty: every gateway pod.
    package var selector: [String: String]
    package var servers: [Server]

    package init(metadata: ObjectMeta, selector: [String: String] = [:], servers: [Server] = []) {
        self.metadata = metadata
        self.selector = selector
        self.servers = servers
    }
}

/// `ServerTLSSettings`: how a server of a Gateway answers TLS.
package struct ServerTLSSettings: Sendable, Equatable {
    package enum Mode: String, Sendable, CaseIterable {
        /// The default: routed by SNI, not terminated.
        case passthrough = "PASSTHROUGH"
        case simple = "SIMPLE"
        case mutual = "MUTUAL"
        case autoPassthrough = "AUTO_PASSTHROUGH"
        case istioMutual = "ISTIO_MUTUAL"
        case optionalMutual = "OPTIONAL_MUTUAL"

        /// True where the gateway itself speaks TLS.
        package var terminates: Bool { self != .passthrough && self != .autoPassthrough }
    }

    package var mode: Located<Mode>
    /// 301 to https for every request; for HTTP servers.
    package var httpsRedirect: Bool
    /// A Secret in the gateway pod's namespace.
    package var credentialName: Located<String>?
    /// Files in the gateway's container.
    package var serverCertificate: Located<String>?
    package var privateKey: Located<String>?
    package var caCertificates: Located<String>?
    package var subjectAltNames: [String]
    package var verifyCertificateSPKI: [String]
    package var verifyCertificateHash: [String]
    package var minProtocolVersion: TLSVersion?
    package var maxProtocolVersion: TLSVersion?
    package var cipherSuites: [String]
    package var location: SourceLocation

    package init(
        mode: Located<Mode>, httpsRedirect: Bool = false, credentialName: Located<String>? = nil,
        serverCertificate: Located<String>? = nil, privateKey: Located<String>? = nil,
        caCertificates: Located<String>? = nil, subjectAltNames: [String] = [], verifyCertificateSPKI: [String] = [],
        verifyCertificateHash: [String] = [], minProtocolVersion: TLSVersion? = nil,
        maxProtocolVersion: TLSVersion? = nil, cipherSuites: [String] = [], location: SourceLocation
    ) {
        self.mode = mode
        self.httpsRedirect = httpsRedirect
        self.credentialName = credentialName
        self.serverCertificate = serverCertificate
        self.privateKey = privateKey
        self.caCertificates = caCertificates
        self.subjectAltNames = subjectAltNames
        self.verifyCertificateSPKI = verifyCertificateSPKI
        self.verifyCertificateHash = verifyCertificateHash
        self.minProtocolVersion = minProtocolVersion
        self.maxProtocolVersion = maxProtocolVersion
        self.cipherSuites = cipherSuites
        self.location = location
    }
}

/// A TLS version as Istio names it; `TLS_AUTO` is nil where one is read.
package enum TLSVersion: String, Sendable, CaseIterable, Comparable {
    case tls10 = "TLSV1_0"
    case tls11 = "TLSV1_1"
    case tls12 = "TLSV1_2"
    case tls13 = "TLSV1_3"

    package static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}
