import NIOCore

/// Why bytes are no message of HTTP/1, with the rules of Envoy's parser (Balsa).
enum HTTP1ParseError: Error, Equatable {
    case codec
    case invalidCharacters
    case headersTooLarge
    case tooManyHeaders
    case lengthAndChunked
    case invalidTransferEncoding
}

/// A message's head, as written.
struct HTTP1Head: Equatable {
    /// Three words: method, target and version, or version, status and reason.
    var words: [String]
    var fields: HTTPFields
    var framing = HTTP1Framing.unspecified
}

/// How a body's end is found.
enum HTTP1Framing: Equatable {
    /// Neither length nor coding: a request has no body, a response goes on until the connection ends.
    case unspecified
    case length(UInt64)
    case chunked
}

/// Cuts bytes into the parts of HTTP/1 messages, as Envoy's parser does: more tolerant than RFC 9112 in some ways
/// (bare line feeds, folded fields, control characters at line ends), stricter in others.
struct HTTP1Parser {
    enum Part: Equatable {
        /// The first byte of a message.
        case begin
        case head(HTTP1Head)
        case body(ByteBuffer)
        case end
    }

    private enum State {
        case idle
        case head
        case body(UInt64)
        case untilClose
        case chunkSize
        case chunk(UInt64)
        case chunkEnd
        case trailers
        case ended
        case failed
    }

    /// Envoy's `max_request_headers_kb`.
    static let requestHeadLimit = 60 * 1024
    /// Envoy's limit for responses of upstreams.
    static let responseHeadLimit = 80 * 1024
    static let fieldLimit = 100

    private let isRequest: Bool
    private let headLimit: Int
    private var state = State.idle
    private var bytes = ByteBuffer()
    /// How much of an incomplete head was searched for its end.
    private var searched = 0
    /// The chunk that ends the body of a message was read; trailers may follow.
    private(set) var hasReadLastChunk = false
    /// The first line of an incomplete head can begin a message.
    private var isFirstLineGood = false
    /// The head at hand is of a request of HTTP/1.0, or of none: also where its framing is then refused.
    private(set) var isOldRequest = false

    init(isRequest: Bool) {
        self.isRequest = isRequest
        headLimit = isRequest ? Self.requestHeadLimit : Self.responseHeadLimit
    }

    var hasBytes: Bool { bytes.readableBytes > 0 }
    /// Nothing of a message was seen yet.
    var isBetweenMessages: Bool { if case .idle = state { true } else { false } }

    mutating func feed(_ more: ByteBuffer) {
        if bytes.readableBytes == 0 {
            bytes = more
            searched = 0
        } else {
            bytes.writeImmutableBuffer(more)
        }
    }

    /// All bytes that follow a head after which the connection goes on with another protocol.
    mutating func takeTunnelBytes() -> ByteBuffer {
        defer { bytes = ByteBuffer() }
        return bytes
    }

    /// After a head: the message has no body, whatever its fields say.
    mutating func expectNoBody() { state = .ended }

    /// Another message may follow one that is complete, though nobody asked for its end.
    mutating func beginAnew() { if case .ended = state { state = .idle } }

    /// After a head without length: the body ends with the connection.
    mutating func expectBodyUntilClose() { state = .untilClose }

    /// The input has ended; false when it ended inside a message.
    mutating func finish() -> Bool {
        switch state {
        case .idle: return true
        case .untilClose:
            state = .ended
            return true
        default: return false
        }
    }

    /// The next part; nil when more bytes are needed.
    mutating func next() throws(HTTP1ParseError) -> Part? {
        do {
            return try advance()
        } catch {
            state = .failed
            throw error
        }
    }

    private mutating func advance() throws(HTTP1ParseError) -> Part? {
        while true {
            switch state {
            case .idle:
                guard let first = bytes.getInteger(at: bytes.readerIndex, as: UInt8.self) else { return nil }
                isOldRequest = false
                guard isRequest ? Self.methodBeginnings.contains(first) : first == UInt8(ascii: "H") else {
                    throw .codec
                }
                state = .head
                hasReadLastChunk = false
                return .begin
            case .head:
                guard let head = try parseHead() else { return nil }
                switch head.framing {
                case .unspecified, .length(0): state = .ended
                case .length(let length): state = .body(length)
                case .chunked: state = .chunkSize
                }
                return .head(head)
            case .body(let rest):
                guard let part = take(rest) else { return nil }
                let left = rest - UInt64(part.readableBytes)
                state = left == 0 ? .ended : .body(left)
                return .body(part)
            case .untilClose:
                guard let part = take(.max) else { return nil }
                return .body(part)
            case .chunkSize:
                guard let size = try parseChunkSize() else { return nil }
                hasReadLastChunk = size == 0
                state = size == 0 ? .trailers : .chunk(size)
            case .chunk(let rest):
                guard let part = take(rest) else { return nil }
                let left = rest - UInt64(part.readableBytes)
                state = left == 0 ? .chunkEnd : .chunk(left)
                return .body(part)
            case .chunkEnd:
                guard try skipChunkEnd() else { return nil }
                state = .chunkSize
            case .trailers:
                guard try skipTrailers() else { return nil }
                state = .ended
            case .ended:
                state = .idle
                return .end
            case .failed: return nil
            }
        }
    }

    private mutating func take(_ limit: UInt64) -> ByteBuffer? {
        let size = min(UInt64(bytes.readableBytes), limit)
        return size == 0 ? nil : bytes.readSlice(length: Int(size))
    }

    // MARK: Heads

    private mutating func parseHead() throws(HTTP1ParseError) -> HTTP1Head? {
        if isRequest {
            // A line end before a request line is ignored.
            while let byte = bytes.getInteger(at: bytes.readerIndex, as: UInt8.self), byte == 10 || byte == 13 {
                bytes.moveReaderIndex(forwardBy: 1)
                searched = 0
            }
        }
        guard let size = endOfLines() else {
            if bytes.readableBytes > headLimit { throw .headersTooLarge }
            try checkFirstLine()
            return nil
        }
        isFirstLineGood = false
        if size > headLimit { throw .headersTooLarge }
        let limit = headLimit
        let isRequest = isRequest
        let result: Result<HTTP1Head, HTTP1ParseError> = bytes.withUnsafeReadableBytes { all in
            Result { () throws(HTTP1ParseError) in
                try HTTP1HeadParser.parse(UnsafeRawBufferPointer(rebasing: all[..<size]), isRequest, limit: limit)
            }
        }
        bytes.moveReaderIndex(forwardBy: size)
        searched = 0
        var head = try result.get()
        isOldRequest = isRequest && head.words[2] != "HTTP/1.1"
        head.framing = try HTTP1HeadParser.framing(of: head.fields)
        return head
    }

    /// What can't begin a message is refused at the end of its first line: more need not come.
    private mutating func checkFirstLine() throws(HTTP1ParseError) {
        guard !isFirstLineGood else { return }
        let isRequest = isRequest
        let result: Result<Bool, HTTP1ParseError> = bytes.withUnsafeReadableBytes { all in
            guard let end = all.firstIndex(of: 10) else { return .success(false) }
            return Result { () throws(HTTP1ParseError) in
                _ = try HTTP1HeadParser.firstLine(UnsafeRawBufferPointer(rebasing: all[..<end]), isRequest)
                return true
            }
        }
        isFirstLineGood = try result.get()
    }

    /// The length up to and with the empty line; nil while there is none.
    private mutating func endOfLines() -> Int? {
        let from = searched
        let (found, next) = bytes.withUnsafeReadableBytes { all -> (Int?, Int) in
            var index = from
            while index < all.count {
                guard let place = all[index...].firstIndex(of: 10) else { return (nil, all.count) }
                if place + 1 < all.count, all[place + 1] == 10 { return (place + 2, 0) }
                if place + 2 < all.count, all[place + 1] == 13, all[place + 2] == 10 { return (place + 3, 0) }
                if place + 2 >= all.count { return (nil, place) }
                index = place + 1
            }
            return (nil, all.count)
        }
        searched = next
        return found
    }

    // MARK: Chunks

    private mutating func parseChunkSize() throws(HTTP1ParseError) -> UInt64? {
        let view = bytes.readableBytesView
        guard let end = view.firstIndex(of: 10) else {
            if view.count > Self.requestHeadLimit { throw .codec }
            // What is no size is refused before its line is complete.
            if let first = view.first, Self.hexValue(first) == nil { throw .codec }
            return nil
        }
        var size: UInt64 = 0
        var digits = 0
        var index = view.startIndex
        while index < end, let digit = Self.hexValue(view[index]) {
            guard size >> 60 == 0 else { throw .codec }
            size = size << 4 | UInt64(digit)
            digits += 1
            index += 1
        }
        guard digits > 0, end > index, view[end - 1] == 13 else { throw .codec }
        while index < end, view[index] == 32 || view[index] == 9 { index += 1 }
        guard view[index] == 13 || view[index] == UInt8(ascii: ";") else { throw .codec }
        if view[index..<end - 1].contains(13) { throw .codec }
        bytes.moveReaderIndex(to: end + 1)
        return size
    }

    private mutating func skipChunkEnd() throws(HTTP1ParseError) -> Bool {
        guard let first = bytes.getInteger(at: bytes.readerIndex, as: UInt8.self) else { return false }
        if first == 10 { throw .codec }
        // The parser that this one follows reads on to the line's end, whatever is there.
        guard let end = bytes.readableBytesView.firstIndex(of: 10) else { return false }
        if end != bytes.readerIndex + 1 || first != 13 { return try skipSloppyChunkEnd(to: end) }
        bytes.moveReaderIndex(to: end + 1)
        return true
    }

    private mutating func skipSloppyChunkEnd(to end: Int) throws(HTTP1ParseError) -> Bool {
        let rest = bytes.readableBytesView[bytes.readerIndex..<end]
        guard rest.last == 13 else { throw .codec }
        bytes.moveReaderIndex(to: end + 1)
        return true
    }

    /// Trailers are read and dropped: Envoy's `enable_trailers` is off.
    private mutating func skipTrailers() throws(HTTP1ParseError) -> Bool {
        let view = bytes.readableBytesView
        guard let first = view.first else { return false }
        if first == 10 {
            bytes.moveReaderIndex(forwardBy: 1)
            return true
        }
        if first == 13 {
            guard view.count > 1 else { return false }
            guard view[view.startIndex + 1] == 10 else { throw .codec }
            bytes.moveReaderIndex(forwardBy: 2)
            return true
        }
        searched = 0
        guard let size = endOfLines() else {
            if view.count > headLimit { throw .headersTooLarge }
            return false
        }
        let failure: HTTP1ParseError? = bytes.withUnsafeReadableBytes { all in
            do throws(HTTP1ParseError) {
                var fields = HTTPFields()
                let lines = UnsafeRawBufferPointer(rebasing: all[..<size])
                try HTTP1HeadParser.parseFields(lines, from: 0, into: &fields)
                return nil
            } catch {
                return error
            }
        }
        if let failure { throw failure }
        bytes.moveReaderIndex(forwardBy: size)
        return true
    }

    private static func hexValue(_ byte: UInt8) -> UInt8? {
        switch byte {
        case 48...57: byte - 48
        case 65...70: byte - 55
        case 97...102: byte - 87
        default: nil
        }
    }

    private static let methodBeginnings = Set("ABCDGHLMNOPRSTU\r\n".utf8)
}
