import NIOCore
import NIOSSL
import NetworkAddresses
import ProxyModel

/// The client's side of TLS for one upstream connection.
struct UpstreamTransport: Sendable {
    let session: TLSSession
    private let socket: TransportSocket?
    /// The SNI that is sent.
    let serverName: String?
    private let expectedNames: [String]
    private let statistics: ProxyStatistics
    private let prefix: String

    /// `socket` is nil while its secrets are missing. `host` is the Host that a request asks for.
    init(
        _ model: UpstreamTLSContext, socket: TransportSocket?, host: String?, cluster: String,
        statistics: ProxyStatistics
    ) {
        self.socket = socket
        self.statistics = statistics
        prefix = "cluster.\(cluster)."
        session = TLSSession(localURISAN: socket?.localURISAN)
        serverName = Self.serverName(model, host: host)
        expectedNames = model.autoSANValidation ? host.map { [Self.withoutPort($0)] } ?? [] : []
    }

    /// The SNI of connections for `host`: what tells the pools of a cluster with `auto_sni` apart.
    static func serverName(_ model: UpstreamTLSContext, host: String?) -> String? {
        var name = model.serverName
        if model.autoServerName, let host {
            let hostName = withoutPort(host)
            // Envoy keeps the configured name for a Host that is an address.
            if IPAddress(hostName) == nil, !hostName.isEmpty { name = hostName }
        }
        // RFC 6066, 3: an address is no server name.
        return name.flatMap { $0.isEmpty || IPAddress($0) != nil ? nil : $0 }
    }

    private static func withoutPort(_ authority: String) -> String {
        if authority.hasPrefix("["), let end = authority.firstIndex(of: "]") {
            return String(authority[authority.index(after: authority.startIndex)..<end])
        }
        guard let colon = authority.lastIndex(of: ":"), authority.firstIndex(of: ":") == colon else { return authority }
        return String(authority[..<colon])
    }

    /// Puts TLS first into the pipeline of a channel that is about to connect; `promise` ends with the handshake, which
    /// is given up after `timeLimit`.
    func install(in channel: any Channel, timeLimit: TimeAmount, promise: EventLoopPromise<Void>) throws {
        guard let socket else {
            try channel.pipeline.syncOperations.addHandler(
                MissingSecretHandler {
                    count("client_ssl_socket_factory.upstream_context_secrets_not_ready")
                    promise.fail(TLSHandshakeFailure.missingSecret)
                })
            return
        }
        let handler = try NIOSSLClientHandler(
            context: socket.context, serverHostname: serverName,
            customVerificationCallback: socket.verification(for: session, expecting: expectedNames),
            configuration: NIOSSLHandler.Configuration())
        let waiting = TLSHandshakeHandler(session, handler: handler, isClient: true) { result in
            switch result {
            case .success(let session):
                count("ssl.handshake")
                if let version = session.version { count("ssl.versions.\(version)") }
                promise.succeed(())
            case .failure(let error):
                if let failure = error as? TLSHandshakeFailure, let counter = failure.counter {
                    count("ssl.\(counter)")
                }
                promise.fail(error)
            }
        }
        waiting.limit(to: timeLimit, on: channel.eventLoop)
        try channel.pipeline.syncOperations.addHandlers([handler, waiting])
    }

    private func count(_ name: String) { statistics.counter(prefix + name).add() }
}

/// Stands in for TLS without its secrets: as in Envoy the connection is made, but nothing is ever sent.
private final class MissingSecretHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let fail: () -> Void

    init(fail: @escaping () -> Void) { self.fail = fail }

    func channelActive(context: ChannelHandlerContext) {
        fail()
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) {}
}

extension ProxyWorker {
    /// The transport of a connection to `host`, on behalf of a request for `authority`; nil where bytes go as they are.
    func transport(
        of cluster: ClusterRuntime, to host: UpstreamHost, authority: String? = nil, version: HTTPProtocol? = nil
    ) -> UpstreamTransport? {
        guard var model = cluster.model.tlsContext(for: host.endpoint) else { return nil }
        // Envoy's pools of HTTP/2 connections offer it where the configuration offers nothing.
        if version == .http2, model.alpnProtocols.isEmpty { model.alpnProtocols = ["h2"] }
        return UpstreamTransport(
            model, socket: transportSockets.client(model), host: authority, cluster: cluster.model.name,
            statistics: statistics)
    }
}

extension Cluster {
    /// The context for the endpoint with that address, or with a name that has resolved to it.
    func tlsContext(for address: IPEndpoint) -> UpstreamTLSContext? {
        guard transportSocketMatches != nil else { return transportSocket }
        let candidates = endpoints.filter { $0.port == address.port }
        let endpoint =
            candidates.first { IPAddress($0.host) == address.address } ?? candidates.first { IPAddress($0.host) == nil }
        return tlsContext(forEndpointMetadata: endpoint?.metadata ?? [:])
    }
}
