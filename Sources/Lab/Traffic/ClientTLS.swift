internal import NIOCore
internal import NIOSSL
internal import NetworkAddresses

/// The client's side of TLS: the lab's root, and the name in the URL, are what is verified, whatever SNI says.
struct ClientTLS: Sendable {
    private let verifyingName: NIOSSLContext
    private let verifyingChain: NIOSSLContext

    init(trusting root: NIOSSLCertificate) throws {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .certificates([root])
        configuration.applicationProtocols = ["http/1.1"]
        verifyingName = try NIOSSLContext(configuration: configuration)
        configuration.certificateVerification = .noHostnameVerification
        verifyingChain = try NIOSSLContext(configuration: configuration)
    }

    /// A handler for a connection to `host`, a name or an address.
    func handler(host: String, serverName: String?) throws -> NIOSSLClientHandler {
        if let serverName {
            return try NIOSSLClientHandler(
                context: verifyingChain, serverHostname: Self.isSNI(serverName) ? serverName : nil)
        }
        // Without a name NIOSSL compares the peer's address with the certificate's.
        return try NIOSSLClientHandler(context: verifyingName, serverHostname: Self.isSNI(host) ? host : nil)
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
