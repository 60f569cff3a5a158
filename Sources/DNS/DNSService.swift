package import NIOCore
package import NetworkAddresses

/// A query as a server read it.
package struct DNSQuery: Sendable {
    package var bytes: ByteBuffer
    /// From who asked to where the server was asked.
    package var tuple: FiveTuple

    package init(bytes: ByteBuffer, tuple: FiveTuple) {
        self.bytes = bytes
        self.tuple = tuple
    }
}

/// What a DNS server does with queries: answers them, at once or when others have answered.
package protocol DNSService: Sendable {
    /// Calls `reply` once, on `loop`, with the whole message, or nil if nothing is to be sent. Called on `loop`.
    func serve(_ query: DNSQuery, on loop: any EventLoop, reply: @escaping @Sendable ([UInt8]?) -> Void)
}

/// Answers from what it knows, at once.
struct ResponderService: DNSService {
    let responder: any DNSResponder
    let onQuery: @Sendable (DNSServer.Query) -> Void

    func serve(_ query: DNSQuery, on loop: any EventLoop, reply: @escaping @Sendable ([UInt8]?) -> Void) {
        let isDatagram = query.tuple.transport == .udp
        guard let made = DNSMessage.reply(to: query.bytes.readableBytesView, overUDP: isDatagram, from: responder)
        else { return reply(nil) }
        onQuery(DNSServer.Query(tuple: query.tuple, question: made.question))
        reply(made.bytes)
    }
}
