internal import DNS
internal import Glibc
internal import NIOCore
internal import NIOHTTP1
internal import NIOPosix
internal import NIOSSL
internal import NetworkAddresses
internal import Proxy

/// One connection attempt over TCP, and what follows when it succeeds. Confined to its event loop.
final class ClientConnection: @unchecked Sendable {
    let exchange: ClientExchange
    let attempt: Int
    private let endpoint: IPEndpoint
    private var isBound = true
    /// How many more ports may be tried.
    private var portsLeft = 16

    init(_ exchange: ClientExchange, attempt: Int, to endpoint: IPEndpoint) {
        self.exchange = exchange
        self.attempt = attempt
        self.endpoint = endpoint
    }

    func open() {
        do {
            let remote = try SocketAddress(at: endpoint)
            var bootstrap = ClientBootstrap(group: exchange.loop)
                .channelInitializer { [self] channel in
                    channel.eventLoop.makeCompletedFuture { try configure(channel) }
                }
            if isBound, let source, !endpoint.address.isLoopback {
                bootstrap = bootstrap.bind(
                    to: try SocketAddress(at: IPEndpoint(source, exchange.ports.take(for: source))))
            } else {
                isBound = false
            }
            // NIO makes the socket on this thread before it returns; everything later works on the descriptor.
            let future = try exchange.site.context.enter { bootstrap.connect(to: remote) }
            future.whenFailure { [self] in connectFailed($0) }
        } catch {
            exchange.failed(.connecting(error), attempt)
        }
    }

    private var source: IPAddress? {
        exchange.site.sourceAddresses.first { $0.family == endpoint.address.family }
    }

    private func connectFailed(_ error: any Error) {
        // The port is a server's, or the address isn't the pod's: in the end the kernel chooses better.
        if isBound, let code = (error as? IOError)?.errnoCode, code == EADDRINUSE || code == EADDRNOTAVAIL,
            exchange.isCurrent(attempt)
        {
            portsLeft -= 1
            if code == EADDRNOTAVAIL || portsLeft == 0 { isBound = false }
            return open()
        }
        exchange.failed(.connecting(error), attempt)
    }

    private func configure(_ channel: any Channel) throws {
        let operations = channel.pipeline.syncOperations
        try operations.addHandler(
            AnnouncingConnect { [self] local in
                exchange.opened(channel, attempt)
                exchange.attempting(FiveTuple(.tcp, from: local, to: endpoint), attempt)
            })
        let request = exchange.request
        let isTLS = request.kind == .https || request.kind == .tls
        let wantsHTTP2 = request.kind != .tls && request.httpVersion == "2"
        if isTLS {
            try operations.addHandler(
                exchange.tls.handler(serverName: request.serverName ?? host, offersHTTP2: wantsHTTP2))
        }
        switch request.kind {
        case .http, .https:
            if wantsHTTP2 { return try operations.addHandler(ClientVersionHandler(self, isTLS: isTLS)) }
            try addHTTP1(to: operations, isTLS: isTLS)
        default: try operations.addHandler(ClientBytesHandler(self, isTLS: isTLS))
        }
    }

    /// Puts HTTP/1 behind the handlers of a connection; `isConnected`: whatever comes before it is done.
    func addHTTP1(
        to operations: ChannelPipeline.SynchronousOperations, isTLS: Bool, isConnected: Bool = false
    ) throws {
        let decoder = HTTPResponseDecoder(leftOverBytesStrategy: .dropBytes, informationalResponseStrategy: .drop)
        try operations.addHandlers([
            HTTPRequestEncoder(), ByteToMessageHandler(decoder),
            ClientHTTPHandler(self, isTLS: isTLS, isConnected: isConnected),
        ])
    }

    /// The target's name, else the address: what certificates are checked against.
    var host: String {
        if case .name(let name) = exchange.request.target { return name }
        return endpoint.address.description
    }

    /// What Host says.
    var hostHeader: String {
        let request = exchange.request
        if let header = request.hostHeader { return header }
        let host = IPAddress(host)?.family == .ipv6 ? "[\(host)]" : host
        return request.port == (request.kind == .https ? 443 : 80) ? host : "\(host):\(request.port)"
    }

    /// Whether the certificate is for the target or for the name that SNI asked for; tells which names it has.
    ///
    /// A client that says another name than its target's knows whom it talks to, so either name will do.
    func authenticate(_ context: ChannelHandlerContext) -> Bool {
        let certificate = try? context.pipeline.syncOperations.nioSSL_peerCertificate()
        let names = certificate.map(ClientTLS.names) ?? []
        exchange.authenticated(names, attempt)
        let wanted = [host, exchange.request.serverName ?? ""].filter { !$0.isEmpty }
        if wanted.contains(where: { ClientTLS.covers(names, $0) }) { return true }
        let detail = "the certificate is for \(names.joined(separator: ", ")), not for \(host)"
        exchange.failed(ClientFailure(.tls, detail), attempt)
        return false
    }
}
