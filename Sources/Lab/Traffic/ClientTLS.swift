internal import NIOCore
internal import NIOSSL
internal import NetworkAddresses

/// The client's side of TLS: the lab's root is what is trusted; names are compared by `ClientConnection`.
struct ClientTLS: Sendable {
    private let context: NIOSSLContext
    /// Offers HTTP/2, too.
    private let http2Context: NIOSSLContext

    init(trusting root: NIOSSLCertificate) throws {
        context = try Self.context(root, ["http/1.1"])
        http2Context = try Self.context(root, ["h2", "http/1.1"])
    }

    private static func context(_ root: NIOSSLCertificate, _ protocols: [String]) throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates([root])
        configuration.applicationProtocols = protocols
        // Names are compared after the handshake, so that a mismatch can say what the certificate is for.
        configuration.certificateVerification = .noHostnameVerification
        return try NIOSSLContext(configuration: configuration)
    }

    /// A handler for a connection that says `serverName`; none is said for an address or an empty name.
    func handler(serverName: String, offersHTTP2: Bool = false) throws -> NIOSSLClientHandler {
        try NIOSSLClientHandler(
            context: offersHTTP2 ? http2Context : context, serverHostname: Self.isSNI(serverName) ? serverName : nil)
    }

    /// What the certificate names: DNS names, and addresses as text.
    static func names(_ certificate: NIOSSLCertificate) -> [String] {
        certificate._subjectAlternativeNames().compactMap { name in
            switch name.nameType {
            case .dnsName: String(decoding: name.contents, as: UTF8.self)
            case .ipAddress: IPAddress(bytes: name.contents)?.description
            default: nil
            }
        }
    }

    /// True when one of a certificate's `names` covers `host` (RFC 9525: `*` stands for one label).
    static func covers(_ names: [String], _ host: String) -> Bool {
        let host = host.lowercased()
        return names.contains { name in
            let name = name.lowercased()
            guard name.hasPrefix("*."), let dot = host.firstIndex(of: ".") else { return name == host }
            return host[dot...] == name.dropFirst()
        }
    }

    private static func isSNI(_ name: String) -> Bool { !name.isEmpty && IPAddress(name) == nil }
}
