import NIOCore

/// What a client has sent of a request's body, as far as it may have to be sent on, or once more. Confined to the
/// worker's loop.
final class RequestBody {
    /// How much is kept for retries, as Envoy's per-connection buffer limit.
    private static let replayLimit = 1 << 20
    /// How much is taken while there is no upstream connection yet.
    private static let waitingLimit = 65_536

    private(set) var parts: [ByteBuffer] = []
    private var size = 0
    /// The request is complete, whether or not its body is kept.
    private(set) var isEnded = false
    private(set) var endedAt: NIODeadline?
    private(set) var trailers: HTTPFields?
    /// Nothing follows the request's head.
    private(set) var isHeadOnly = false

    var takesMore: Bool { size < Self.waitingLimit }
    var isTooLargeToReplay: Bool { size > Self.replayLimit }

    func keep(_ bytes: ByteBuffer) {
        parts.append(bytes)
        size += bytes.readableBytes
    }

    func drop() {
        parts = []
        size = 0
    }

    func end(_ trailers: HTTPFields?) {
        isEnded = true
        endedAt = .now()
        self.trailers = trailers
    }

    /// The head was all.
    func endWithHead() {
        isEnded = true
        isHeadOnly = true
    }

    /// A body that is there from the start.
    func fill(_ parts: [ByteBuffer]) {
        for part in parts { keep(part) }
        isEnded = true
        isHeadOnly = parts.isEmpty
    }
}
