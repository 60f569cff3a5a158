package import NetworkAddresses

/// What a pod's DNS agent did with something that capture had redirected to it.
package struct AgentSeen: Sendable {
    package enum Event: Sendable {
        /// A datagram or a connection came, whatever is in it.
        case taken
        /// It answered, from what it knows or with what a server said.
        case answered(name: String, type: String, responseCode: String)
        /// It asked a server, with these addresses.
        case asked(FiveTuple)
    }

    /// `agent pod namespace/name`.
    package var at: String
    /// From the client to where the agent listens. Redirection keeps the source, so the source alone tells whose it is.
    package var tuple: FiveTuple
    package var event: Event
    package var timeMs: Double

    package init(at: String, tuple: FiveTuple, event: Event, timeMs: Double) {
        self.at = at
        self.tuple = tuple
        self.event = event
        self.timeMs = timeMs
    }
}

/// The part that a pod's DNS agent has in a chain.
package struct AgentHop: Sendable {
    /// `agent pod namespace/name`.
    package var at: String
    package var answers: [NameServed]
    /// What it asked of servers.
    package var asked: [Hop]

    /// What was observed of one client's socket, in order; nil when the agent took nothing of it.
    init?(_ seen: [AgentSeen], hop: (FiveTuple, Double) -> Hop) {
        guard let first = seen.first else { return nil }
        at = first.at
        answers = []
        asked = []
        for one in seen {
            switch one.event {
            case .taken: break
            case .asked(let tuple): asked.append(hop(tuple, one.timeMs))
            case .answered(let name, let type, let responseCode):
                answers.append(
                    NameServed(
                        at: one.at, tuple: one.tuple, name: name, type: type, responseCode: responseCode,
                        timeMs: one.timeMs))
            }
        }
    }

    /// The names that it could say something about, good or bad.
    var helpful: [NameServed] { answers.filter { ["NOERROR", "NXDOMAIN"].contains($0.responseCode) } }

    /// Drops of its questions, where they left it without an answer for its client.
    var decisiveDrops: [DropSeen] { helpful.isEmpty ? asked.flatMap(\.allDrops) : [] }
}
