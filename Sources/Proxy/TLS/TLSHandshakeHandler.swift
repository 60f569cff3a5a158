import NIOCore
import NIOSSL
import NIOTLS

/// Stands behind NIO's TLS handler: waits for the handshake, says how it ended, and keeps from the handlers behind it
/// what only concerns TLS. Confined to the worker's loop.
final class TLSHandshakeHandler: ChannelDuplexHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer

    private enum State { case handshaking, established, failed }

    private let session: TLSSession
    private let handler: NIOSSLHandler
    /// Handlers behind a client's TLS learn of the channel when the handshake is done: a failed one never was.
    private let isClient: Bool
    private let ended: (Result<TLSSession, any Error>) -> Void
    private var state = State.handshaking
    private var context: ChannelHandlerContext?
    private var timer: Scheduled<Void>?

    init(
        _ session: TLSSession, handler: NIOSSLHandler, isClient: Bool,
        ended: @escaping (Result<TLSSession, any Error>) -> Void
    ) {
        self.session = session
        self.handler = handler
        self.isClient = isClient
        self.ended = ended
    }

    /// Gives the handshake up, if it is not over by then.
    func limit(to time: TimeAmount, on loop: any EventLoop) {
        timer = loop.assumeIsolated().scheduleTask(in: time) {
            guard self.state == .handshaking else { return }
            self.fail(TLSHandshakeFailure.timeout)
        }
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }
    func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

    func channelActive(context: ChannelHandlerContext) {
        if !isClient { context.fireChannelActive() }
    }

    func channelInactive(context: ChannelHandlerContext) {
        timer?.cancel()
        let forwards = state == .established || !isClient
        if state == .handshaking { end(TLSHandshakeFailure(ChannelError.eof, certificate: session.certificateFailure)) }
        if forwards { context.fireChannelInactive() }
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSUserEvent.handshakeCompleted(let negotiated): establish(context, negotiated)
        case ChannelEvent.inputClosed where state != .established: break
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch state {
        case .handshaking: fail(TLSHandshakeFailure(error, certificate: session.certificateFailure))
        case .failed: break
        case .established where error is IOError: context.fireErrorCaught(error)
        case .established:
            // NIO closes the connection itself where that is due. An end of input without the goodbye is an end of
            // input for Envoy.
            if !error.isUncleanShutdown {
                session.failureReason = TLSHandshakeFailure(error, certificate: nil).reason
            }
        }
    }

    func close(context: ChannelHandlerContext, mode: CloseMode, promise: EventLoopPromise<Void>?) {
        if state == .handshaking, isClient { end(ChannelError.ioOnClosedChannel) }
        context.close(mode: mode, promise: promise)
    }

    // MARK: Ends

    private func establish(_ context: ChannelHandlerContext, _ negotiated: String?) {
        guard state == .handshaking else { return }
        timer?.cancel()
        state = .established
        session.version = handler.tlsVersion?.envoyName
        session.applicationProtocol = negotiated.flatMap { $0.isEmpty ? nil : $0 }
        if isClient { context.fireChannelActive() }
        ended(.success(session))
    }

    private func fail(_ failure: TLSHandshakeFailure) {
        session.version = handler.tlsVersion?.envoyName
        session.failureReason = failure.reason
        end(failure)
        context?.close(promise: nil)
    }

    private func end(_ error: any Error) {
        timer?.cancel()
        state = .failed
        ended(.failure(error))
    }
}

extension Error {
    fileprivate var isUncleanShutdown: Bool {
        if case .uncleanShutdown? = self as? NIOSSLError { true } else { false }
    }
}
