import NIOCore

/// One of the two ends of a relayed connection: what comes in at its channel goes out at the other's, as fast as that
/// one takes it. Confined to the worker's loop.
///
/// The handler that owns the end tells it what happens to its channel. What comes before the two ends are joined is
/// held.
final class RelayEnd {
    private enum State {
        case holding
        case joined(RelayEnd)
        /// The other end is gone: what still comes is dropped.
        case alone
    }

    private let holdLimit: Int
    private var state = State.holding
    private var context: ChannelHandlerContext?
    private var held = ByteBuffer()
    private var inputEnded = false
    private var wasReset = false
    private var hasHeldRead = false
    /// Hears how many bytes go to the other end.
    var passed: (Int) -> Void = { _ in }
    /// Asked once, with the number of the first bytes for the other end, whether they may go there; nil lets them.
    var admits: ((Int) -> Bool)?
    /// Hears that the other end's peer has reset its connection, before this one is.
    var otherWasReset: () -> Void = {}

    /// - Parameter limit: of held bytes; with as many no more is read.
    init(holding limit: Int = 65_536) { holdLimit = limit }

    // MARK: From the owner

    func added(to context: ChannelHandlerContext) { self.context = context }
    func removed() { context = nil }

    func receive(_ bytes: ByteBuffer) {
        switch state {
        case .holding: hold(bytes)
        case .joined(let other): pass(bytes, to: other)
        case .alone: break
        }
    }

    func receiveComplete() { if case .joined(let other) = state { other.context?.flush() } }

    /// Back-pressure: nothing is read that can't be passed on.
    func read(_ context: ChannelHandlerContext) {
        let mayRead =
            switch state {
            case .holding: held.readableBytes < holdLimit
            case .joined(let other): other.isWritable
            case .alone: true
            }
        if mayRead { context.read() } else { hasHeldRead = true }
    }

    func writabilityChanged() {
        if isWritable, case .joined(let other) = state { other.resumeReading() }
    }

    /// The peer's FIN.
    func endInput() {
        inputEnded = true
        if case .joined(let other) = state { other.endOutput() }
    }

    /// The peer's reset; the channel is about to close.
    func noteReset() { wasReset = true }

    /// The channel is closed, or about to be given up.
    func close() {
        guard case .joined(let other) = state else { return }
        state = .alone
        other.otherClosed(byReset: wasReset)
    }

    // MARK: Held bytes

    func hold(_ bytes: ByteBuffer) {
        if held.readableBytes == 0 { held = bytes } else { held.writeImmutableBuffer(bytes) }
    }

    var heldBytes: Int { held.readableBytes }
    var heldBeginning: ByteBufferView { held.readableBytesView }

    func takeHeld() -> ByteBuffer {
        defer { held = ByteBuffer() }
        return held
    }

    /// Passes on what is held at both ends, and then all that comes.
    func join(_ other: RelayEnd) {
        state = .joined(other)
        other.state = .joined(self)
        passHeld(to: other)
        other.passHeld(to: self)
    }

    // MARK: Between the ends

    private var isWritable: Bool { context?.channel.isWritable ?? true }

    private func pass(_ bytes: ByteBuffer, to other: RelayEnd) {
        if let admits {
            self.admits = nil
            guard admits(bytes.readableBytes) else { return }
        }
        passed(bytes.readableBytes)
        other.context?.write(NIOAny(bytes), promise: nil)
    }

    private func passHeld(to other: RelayEnd) {
        if held.readableBytes > 0 {
            pass(takeHeld(), to: other)
            other.context?.flush()
        }
        if inputEnded { other.endOutput() }
        resumeReading()
    }

    private func resumeReading() {
        guard hasHeldRead, let context else { return }
        hasHeldRead = false
        read(context)
    }

    private func endOutput() { context?.drainThenClose(inputEnded ? .all : .output) }

    private func otherClosed(byReset: Bool) {
        state = .alone
        guard let context else { return }
        // Nobody takes what still comes: reading on lets it be dropped and the close be noticed.
        resumeReading()
        if byReset {
            otherWasReset()
            Sockets.resetOnClose(context.channel)
            context.close(promise: nil)
        } else {
            context.drainThenClose(.all)
        }
    }
}

extension ChannelHandlerContext {
    /// Closes when all that was written before is sent.
    ///
    /// NIO drops unsent writes when the output is shut while the input already is. `nothing` is what the next handler
    /// takes for an empty write.
    func drainThenClose(_ mode: CloseMode, nothing: NIOAny = NIOAny(ByteBuffer())) {
        writeAndFlush(nothing).assumeIsolated().whenComplete { _ in self.close(mode: mode, promise: nil) }
    }
}
