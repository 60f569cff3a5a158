import Foundation
import NIOCore
import NIOEmbedded
import NIOSSL
import NIOTLS
import NetworkAddresses
import TestSupport

/// One end of TLS over a blocking socket, driven by hand: tests say exactly which bytes go when.
final class TLSPeer: @unchecked Sendable {
    struct HandshakeFailed: Error, CustomStringConvertible {
        let description: String
    }

    let socket: BlockingSocket
    private let channel: EmbeddedChannel
    private let observer: Observer

    private final class Observer: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        var isEstablished = false
        var negotiated: String?
        var error: (any Error)?
        var plaintext = ByteBuffer()
        var ended = false

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            plaintext.writeImmutableBuffer(unwrapInboundIn(data))
        }

        func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
            switch event {
            case TLSUserEvent.handshakeCompleted(let negotiated):
                isEstablished = true
                self.negotiated = negotiated
            case ChannelEvent.inputClosed: ended = true
            default: break
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { self.error = self.error ?? error }
        func channelInactive(context: ChannelHandlerContext) { ended = true }
    }

    /// Keeps the channel open: an end of output is the socket's matter, not the embedded channel's.
    private final class OutputEnd: ChannelOutboundHandler {
        typealias OutboundIn = ByteBuffer

        func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
            if mode == .output { promise?.succeed(()) } else { context.close(mode: mode, promise: promise) }
        }
    }

    private init(_ socket: BlockingSocket, _ handler: NIOSSLHandler) throws {
        self.socket = socket
        observer = Observer()
        channel = EmbeddedChannel()
        channel.allowRemoteHalfClosure = true
        try channel.pipeline.syncOperations.addHandlers([OutputEnd(), handler, observer])
        try channel.connect(to: SocketAddress(unixDomainSocketPath: "/nowhere")).wait()
    }

    /// A client that trusts everything.
    static func client(
        _ socket: BlockingSocket, serverName: String?, identity: TLSAuthority.Identity? = nil,
        applicationProtocols: [String] = [], maximum: TLSVersion = .tlsv13, minimum: TLSVersion = .tlsv12
    ) throws -> TLSPeer {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        configuration.trustRoots = .certificates([])
        configuration.applicationProtocols = applicationProtocols
        configuration.minimumTLSVersion = minimum
        configuration.maximumTLSVersion = maximum
        if let identity {
            configuration.certificateChain = try identity.certificates()
            configuration.privateKey = .privateKey(try identity.privateKey())
        }
        return try TLSPeer(
            socket,
            NIOSSLClientHandler(context: NIOSSLContext(configuration: configuration), serverHostname: serverName))
    }

    /// A server that asks for a certificate, of whatever kind, with `asksForCertificate`.
    static func server(
        _ socket: BlockingSocket, identity: TLSAuthority.Identity, applicationProtocols: [String] = [],
        roots: String? = nil, maximum: TLSVersion = .tlsv13
    ) throws -> TLSPeer {
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try identity.certificates(), privateKey: .privateKey(try identity.privateKey()))
        configuration.applicationProtocols = applicationProtocols
        configuration.maximumTLSVersion = maximum
        if let roots {
            configuration.certificateVerification = .noHostnameVerification
            configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMBytes(Array(roots.utf8)))
        }
        return try TLSPeer(socket, NIOSSLServerHandler(context: NIOSSLContext(configuration: configuration)))
    }

    var negotiated: String? { observer.negotiated }
    var version: TLSVersion? {
        try? channel.pipeline.syncOperations.nioSSL_tlsVersion()
    }

    /// What TLS wants to send next; nil when nothing.
    func takeOutput() throws -> [UInt8]? {
        var result: [UInt8] = []
        while let buffer = try channel.readOutbound(as: ByteBuffer.self) { result += buffer.readableBytesView }
        return result.isEmpty ? nil : result
    }

    private func pass() throws {
        if let bytes = try takeOutput() { try socket.send(bytes) }
    }

    private func take() throws {
        let bytes = try socket.receive()
        if bytes.isEmpty {
            observer.ended = true
            channel.pipeline.fireUserInboundEventTriggered(ChannelEvent.inputClosed)
        } else {
            channel.pipeline.fireChannelRead(ByteBuffer(bytes: bytes))
            channel.pipeline.fireChannelReadComplete()
        }
        channel.embeddedEventLoop.run()
    }

    /// Runs the handshake to its end as this peer sees it.
    func handshake() throws {
        try pass()
        while !observer.isEstablished, observer.error == nil, !observer.ended {
            try take()
            try? pass()
        }
        if let error = observer.error { throw HandshakeFailed(description: "\(error)") }
        guard observer.isEstablished else { throw HandshakeFailed(description: "closed") }
    }

    func send(_ text: String) throws {
        channel.writeAndFlush(ByteBuffer(string: text), promise: nil)
        try pass()
    }

    func send(_ bytes: [UInt8]) throws {
        for start in stride(from: 0, to: bytes.count, by: 16_384) {
            channel.writeAndFlush(ByteBuffer(bytes: bytes[start..<min(start + 16_384, bytes.count)]), promise: nil)
            try pass()
        }
    }

    /// The next bytes; empty at the end of input.
    func receive() throws -> [UInt8] {
        while observer.plaintext.readableBytes == 0, !observer.ended {
            if let error = observer.error, !"\(error)".contains("uncleanShutdown") {
                throw HandshakeFailed(description: "\(error)")
            }
            try take()
            try? pass()
        }
        return observer.plaintext.readBytes(length: observer.plaintext.readableBytes) ?? []
    }

    func receiveAll() throws -> [UInt8] {
        var result: [UInt8] = []
        while true {
            let part = try receive()
            if part.isEmpty { return result }
            result += part
        }
    }

    /// A message head and, with Content-Length, its body.
    func receiveMessage() throws -> (head: String, body: String) {
        var text = ""
        while true {
            if let end = text.range(of: "\r\n\r\n") {
                let head = String(text[..<end.upperBound])
                let length = head.header("content-length").flatMap { Int($0) } ?? 0
                let body = text[end.upperBound...]
                if body.utf8.count >= length { return (head, String(body)) }
            }
            let part = try receive()
            if part.isEmpty { return (text, "") }
            text += String(decoding: part, as: UTF8.self)
        }
    }

    /// Says goodbye without closing the connection.
    func finishSending() throws {
        channel.close(mode: .output, promise: nil)
        channel.embeddedEventLoop.run()
        try pass()
    }
}

extension TLSAuthority.Identity {
    fileprivate func certificates() throws -> [NIOSSLCertificateSource] {
        try NIOSSLCertificate.fromPEMBytes(Array(chain.utf8)).map { .certificate($0) }
    }

    fileprivate func privateKey() throws -> NIOSSLPrivateKey {
        try NIOSSLPrivateKey(bytes: Array(key.utf8), format: .pem)
    }
}

extension Origin {
    /// A TLS server: `body` runs after a handshake that succeeded at its end; failures go to `failures`.
    static func tls(
        _ identity: TLSAuthority.Identity, applicationProtocols: [String] = [], roots: String? = nil,
        maximum: TLSVersion = .tlsv13, failures: Collector<String> = Collector(),
        _ body: @escaping @Sendable (TLSPeer) throws -> Void
    ) throws -> Origin {
        try Origin { socket in
            let peer = try TLSPeer.server(
                socket, identity: identity, applicationProtocols: applicationProtocols, roots: roots, maximum: maximum)
            do {
                try peer.handshake()
                try body(peer)
            } catch {
                failures.add("\(error)")
                throw error
            }
        }
    }
}
