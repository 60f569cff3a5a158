internal import NIOConcurrencyHelpers
package import NIOCore
package import NetworkAddresses
package import Proxy

/// Knows some names, and leaves the others to other servers.
package protocol DNSPartialResponder: Sendable {
    /// The answer for `name`, which is in lower case and without the final dot; nil: others are to be asked.
    func answer(name: String, type: DNSRecordType) -> DNSAnswer?
}

/// A server that answers the names it knows, with authority, and asks other servers for everything else.
///
/// What they say is passed on as it is, whatever the type of the records; a query that came over TCP is asked over TCP.
package final class DNSForwarder: DNSService {
    /// What the forwarder does with a query.
    package enum Event: Sendable {
        /// A reply is about to leave; no question when the query was malformed.
        case answering(DNSQuestion?)
        /// A query to another server, with these addresses, is about to leave; `dropped` is to be called should it be
        /// dropped on its way.
        case asking(DNSQuestion, FiveTuple, dropped: @Sendable () -> Void)
        /// The query with these addresses is over.
        case asked(FiveTuple)
    }

    /// How long a server is waited for.
    package static let timeout = TimeAmount.seconds(5)

    private let known: any DNSPartialResponder
    private let servers: [IPEndpoint]
    private let context: any NetworkContext
    private let sources: [IPAddress]
    private let onEvent: @Sendable (Event, DNSQuery) -> Void

    /// Asks `servers` in turn, from `context` and the address among `sources` that is of the server's family.
    /// `onEvent` is called on the server's loop, with the query that it is about.
    package init(
        knowing known: any DNSPartialResponder, asking servers: [IPEndpoint], from sources: [IPAddress],
        in context: any NetworkContext, onEvent: @escaping @Sendable (Event, DNSQuery) -> Void = { _, _ in }
    ) {
        self.known = known
        self.servers = servers
        self.sources = sources
        self.context = context
        self.onEvent = onEvent
    }

    package func serve(_ query: DNSQuery, on loop: any EventLoop, reply: @escaping @Sendable ([UInt8]?) -> Void) {
        let question = DNSMessage.question(query.bytes.readableBytesView)
        guard let question, known.answer(name: question.name, type: question.type) == nil else {
            return answer(query, from: KnownNames(known: known), reply)
        }
        let sources = Dictionary(sources.map { ($0.family, $0) }) { first, _ in first }
        let relay = DNSRelay(
            query, to: servers.map { (server: $0, source: sources[$0.address.family]) }, in: context, on: loop,
            onAttempt: { [onEvent] tuple, dropped in onEvent(.asking(question, tuple, dropped: dropped), query) },
            onEnd: { [onEvent] tuple in onEvent(.asked(tuple), query) })
        relay.start { [self] response in
            guard let response else { return answer(query, from: Unreachable(), reply) }
            var answered = question
            answered.code = DNSMessage.response(response)?.code ?? .serverFailure
            onEvent(.answering(answered), query)
            reply(response)
        }
    }

    private func answer(
        _ query: DNSQuery, from responder: any DNSResponder, _ reply: @Sendable ([UInt8]?) -> Void
    ) {
        let isDatagram = query.tuple.transport == .udp
        guard let made = DNSMessage.reply(to: query.bytes.readableBytesView, overUDP: isDatagram, from: responder)
        else { return reply(nil) }
        onEvent(.answering(made.question), query)
        reply(made.bytes)
    }

    private struct KnownNames: DNSResponder {
        let known: any DNSPartialResponder

        // The names may change between being looked for and being asked for.
        func answer(name: String, type: DNSRecordType) -> DNSAnswer {
            known.answer(name: name, type: type) ?? DNSAnswer(code: .serverFailure)
        }
    }

    private struct Unreachable: DNSResponder {
        func answer(name: String, type: DNSRecordType) -> DNSAnswer { DNSAnswer(code: .serverFailure) }
    }
}
