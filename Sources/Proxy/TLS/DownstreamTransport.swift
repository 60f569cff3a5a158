import NIOCore
import NIOSSL
import ProxyModel

/// The server's side of TLS on a downstream connection.
enum DownstreamTransport {
    /// How long a client may take where the configuration does not say.
    private static let defaultTimeLimitMs = 15_000

    /// Puts TLS into the pipeline before `handler`. `ended` is called once, when the handshake is over.
    static func install(
        _ socket: TransportSocket, of chain: FilterChain, in context: ChannelHandlerContext,
        before handler: any ChannelHandler, ended: @escaping (Result<TLSSession, any Error>) -> Void
    ) throws -> TLSSession {
        let session = TLSSession(localURISAN: socket.localURISAN)
        // NIO does not take a callback for a context that asks for no certificate.
        let asks = chain.transportSocket.map { $0.requireClientCertificate || $0.validation != nil } ?? false
        let tls = NIOSSLServerHandler(
            context: socket.context, customVerificationCallback: asks ? socket.verification(for: session) : nil,
            configuration: NIOSSLHandler.Configuration())
        let waiting = TLSHandshakeHandler(session, handler: tls, isClient: false, ended: ended)
        let limit = chain.transportSocketConnectTimeoutMs ?? defaultTimeLimitMs
        if limit > 0 { waiting.limit(to: .milliseconds(Int64(limit)), on: context.eventLoop) }
        try context.pipeline.syncOperations.addHandlers([tls, waiting], position: .before(handler))
        return session
    }
}

/// The counters under `listener.X.ssl.`.
struct ListenerTLSCounters {
    let statistics: ProxyStatistics
    let prefix: String

    /// Declares the counters that Envoy has from the start.
    func declare() {
        for name in ["handshake", "no_certificate", "connection_error"] + Self.refusals { count("ssl.\(name)", 0) }
        count(Self.timeouts, 0)
    }

    func ended(_ result: Result<TLSSession, any Error>) {
        switch result {
        case .success(let session):
            count("ssl.handshake")
            if session.peer == nil { count("ssl.no_certificate") }
            if let version = session.version { count("ssl.versions.\(version)") }
        case .failure(let error):
            guard let failure = error as? TLSHandshakeFailure else { return }
            if failure.isTimeout { count(Self.timeouts) }
            if let counter = failure.counter { count("ssl.\(counter)") }
        }
    }

    func secretMissing() { count("server_ssl_socket_factory.downstream_context_secrets_not_ready") }

    private static let refusals = ["fail_verify_no_cert", "fail_verify_error", "fail_verify_san"]
    private static let timeouts = "downstream_cx_transport_socket_connect_timeout"

    private func count(_ name: String, _ amount: Int = 1) { statistics.counter(prefix + name).add(amount) }
}
