import NIOCore
import NIOSSL
import ProxyModel

/// A TLS context made ready for connections.
struct TransportSocket: Sendable {
    let context: NIOSSLContext
    /// nil takes every certificate.
    let verifier: CertificateVerifier?
    /// The URI of the proxy's own certificate.
    let localURISAN: String?

    /// Runs the checks on a peer's chain and remembers them in `session`.
    func verification(
        for session: TLSSession, expecting names: [String] = []
    ) -> (NIOSSLCustomVerificationCallback) {
        { [verifier] certificates, promise in
            session.peer = certificates.first.flatMap { try? $0.toDERBytes() }.flatMap(PeerCertificate.init(der:))
            guard let verifier else {
                promise.succeed(.certificateVerified)
                return
            }
            promise.futureResult.eventLoop.run {
                await verifier.failure(of: certificates, expecting: names)
            }.whenSuccess { failure in
                session.certificateFailure = failure
                promise.succeed(failure == nil ? .certificateVerified : .failed)
            }
        }
    }
}

/// Makes NIO's contexts out of a configuration's TLS contexts and secrets, each once. Confined to the worker's loop.
final class TransportSockets {
    private var secrets: [String: ProxySecret.Content] = [:]
    private var servers: [DownstreamTLSContext: TransportSocket?] = [:]
    private var clients: [UpstreamTLSContext: TransportSocket?] = [:]

    /// Takes over new secrets; connections that exist keep what they were made with.
    func adopt(_ secrets: [ProxySecret]) {
        let next = Dictionary(secrets.map { ($0.name, $0.content) }) { first, _ in first }
        guard next != self.secrets else { return }
        self.secrets = next
        servers = [:]
        clients = [:]
    }

    /// nil while a secret is missing, or is none that can be read.
    func server(_ context: DownstreamTLSContext) -> TransportSocket? {
        if let known = servers[context] { return known }
        let made = try? makeServer(context)
        servers[context] = .some(made)
        return made
    }

    /// nil while a secret is missing, or is none that can be read.
    func client(_ context: UpstreamTLSContext) -> TransportSocket? {
        if let known = clients[context] { return known }
        let made = try? makeClient(context)
        clients[context] = .some(made)
        return made
    }

    // MARK: Making

    private struct MissingSecret: Error {}

    private func makeServer(_ model: DownstreamTLSContext) throws -> TransportSocket {
        let (chain, key, uri) = try certificate(model.tlsCertificate)
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: chain.map { .certificate($0) }, privateKey: .privateKey(key))
        if model.requireClientCertificate {
            configuration.certificateVerification = .noHostnameVerification
        } else if model.validation != nil {
            configuration.certificateVerification = .optionalVerification
        }
        complete(&configuration, model.minimumVersion, model.maximumVersion, model.alpnProtocols)
        return TransportSocket(
            context: try NIOSSLContext(configuration: configuration),
            verifier: try verifier(model.validation, purpose: .client), localURISAN: uri)
    }

    private func makeClient(_ model: UpstreamTLSContext) throws -> TransportSocket {
        var configuration = TLSConfiguration.makeClientConfiguration()
        // Names are checked by our own verifier.
        configuration.certificateVerification = .noHostnameVerification
        var uri: String?
        if let name = model.tlsCertificate {
            let own = try certificate(name)
            configuration.certificateChain = own.chain.map { .certificate($0) }
            configuration.privateKey = .privateKey(own.key)
            uri = own.uri
        }
        complete(&configuration, model.minimumVersion, model.maximumVersion, model.alpnProtocols)
        // `auto_san_validation` needs no roots, but without any there is nothing that it could mean.
        let validation = model.validation ?? CertificateValidation(trustedCA: nil)
        return TransportSocket(
            context: try NIOSSLContext(configuration: configuration),
            verifier: try verifier(validation, purpose: .server), localURISAN: uri)
    }

    private func complete(
        _ configuration: inout TLSConfiguration, _ minimum: TLSProtocolVersion, _ maximum: TLSProtocolVersion,
        _ applicationProtocols: [String]
    ) {
        configuration.minimumTLSVersion = minimum == .tls13 ? .tlsv13 : .tlsv12
        configuration.maximumTLSVersion = maximum == .tls13 ? .tlsv13 : .tlsv12
        configuration.applicationProtocols = applicationProtocols
        configuration.renegotiationSupport = .none
        // Nothing is verified against these; without them NIO would read the machine's.
        configuration.trustRoots = .certificates([])
        // As Envoy: says goodbye, and does not wait for the peer's.
        configuration.shutdownTimeout = .zero
    }

    private func verifier(
        _ validation: CertificateValidation?, purpose: CertificateVerifier.Purpose
    ) throws -> CertificateVerifier? {
        guard let validation, !validation.skipsVerification else { return nil }
        var roots: String?
        if let name = validation.trustedCA {
            guard case .validation(let pem)? = secrets[name] else { throw MissingSecret() }
            roots = pem
        }
        return try CertificateVerifier(validation, rootsPEM: roots, purpose: purpose)
    }

    private func certificate(
        _ name: String
    ) throws -> (chain: [NIOSSLCertificate], key: NIOSSLPrivateKey, uri: String?) {
        guard case .tlsCertificate(let chainPEM, let keyPEM)? = secrets[name] else { throw MissingSecret() }
        let chain = try NIOSSLCertificate.fromPEMBytes(Array(chainPEM.utf8))
        guard let leaf = chain.first else { throw MissingSecret() }
        let key = try NIOSSLPrivateKey(bytes: Array(keyPEM.utf8), format: .pem)
        return (chain, key, PeerCertificate(der: try leaf.toDERBytes())?.uris.first)
    }
}
