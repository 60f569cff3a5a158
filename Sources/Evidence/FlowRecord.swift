package import Manifests
package import NetworkAddresses

/// All that is known of one flow: what was asked, what the client did and saw, and what the observers recorded along
/// its chain of tuples.
package struct FlowRecord: Sendable {
    package var scheme: Flow.Scheme
    package var enforcement: Scenario.Enforcement
    /// Connection attempts and lookups in the order in which the client made them.
    package var attempts: [Attempt]
    package var client: ClientSaw
    /// Messages that the kernel could not deliver to an observer while the flow lasted.
    package var lostMessages: Int
    /// Connections that proxies made while the flow lasted and that can't be told whose they were.
    package var unattributed: [FiveTuple]
    /// How the flow would have to leave unseen by its proxy, from the pod's own rules: read from the plan, shown with
    /// an escape, never used to decide.
    package var way: EscapeWay?

    package init(
        scheme: Flow.Scheme, enforcement: Scenario.Enforcement, attempts: [Attempt], client: ClientSaw,
        lostMessages: Int = 0, unattributed: [FiveTuple] = [], way: EscapeWay? = nil
    ) {
        self.scheme = scheme
        self.enforcement = enforcement
        self.attempts = attempts
        self.client = client
        self.lostMessages = lostMessages
        self.unattributed = unattributed
        self.way = way
    }
}

/// Why a flow was not captured: the way around, and the manifest line that opened it.
package struct EscapeWay: Sendable, Equatable {
    /// `uid-1337`, `excluded-port`, `no-sidecar`, …
    package var technique: String
    package var explanation: String
    package var origin: String?

    package init(technique: String, explanation: String, origin: String? = nil) {
        self.technique = technique
        self.explanation = explanation
        self.origin = origin
    }
}

/// One socket of the client's, and the tree of hops that its packets took.
package struct Attempt: Sendable {
    package enum Purpose: String, Sendable, Codable { case resolve, exchange }

    package var purpose: Purpose
    package var hop: Hop

    package init(purpose: Purpose, hop: Hop) {
        self.purpose = purpose
        self.hop = hop
    }
}

/// One leg of a chain: a tuple, what was seen of it, and the proxy connection that took it up, with its own legs.
package struct Hop: Sendable {
    package var tuple: FiveTuple
    /// True when the destination lies outside the cluster.
    package var isOutbound: Bool
    package var packets: [PacketSeen] = []
    package var drops: [DropSeen] = []
    package var served: [Served] = []
    package var names: [NameServed] = []
    /// The DNS agent that the hop was redirected to.
    package var agent: AgentHop?
    package var proxied: [ProxiedHop] = []

    package init(tuple: FiveTuple, isOutbound: Bool) {
        self.tuple = tuple
        self.isOutbound = isOutbound
    }
}

/// A proxy's part of a chain.
package struct ProxiedHop: Sendable {
    package var connection: ProxyConnection
    package var accepted: ProxyAccepted
    package var records: [ProxyRecord]
    package var isClosed: Bool
    package var upstream: [Hop]
    /// Where it had no host to connect to: its latest question for one.
    package var lookups: [Hop]

    package init(
        connection: ProxyConnection, accepted: ProxyAccepted, records: [ProxyRecord], isClosed: Bool, upstream: [Hop],
        lookups: [Hop] = []
    ) {
        self.connection = connection
        self.accepted = accepted
        self.records = records
        self.isClosed = isClosed
        self.upstream = upstream
        self.lookups = lookups
    }
}

/// The client's own account.
package struct ClientSaw: Sendable {
    package var tuple: FiveTuple?
    package var status: Int?
    package var headers: [(name: String, value: String)]
    package var body: String
    /// nil: the exchange was completed.
    package var error: String?
    /// `resolution`, `refused`, `connectTimeout`, …; nil with `error`.
    package var errorStage: String?
    package var durationMs: Double
    /// The size of what was received; `body` may be its beginning only.
    package var bodySize: Int
    /// SHA-256 in hexadecimal of what was received, where `body` does not say it all.
    package var bodyDigest: String?

    package init(
        tuple: FiveTuple? = nil, status: Int? = nil, headers: [(name: String, value: String)] = [], body: String = "",
        error: String? = nil, errorStage: String? = nil, durationMs: Double = 0, bodySize: Int? = nil,
        bodyDigest: String? = nil
    ) {
        self.tuple = tuple
        self.status = status
        self.headers = headers
        self.body = body
        self.error = error
        self.errorStage = errorStage
        self.durationMs = durationMs
        self.bodySize = bodySize ?? body.utf8.count
        self.bodyDigest = bodyDigest
    }

    /// The body as the results show it; nil when nothing came.
    package var received: ReceivedBody? {
        bodySize == 0 ? nil : ReceivedBody(text: body, bytes: bodySize, sha256: bodyDigest)
    }
}

/// What was concluded of a flow.
package struct FlowVerdict: Sendable {
    package var outcome: Outcome
    package var by: Enforcer?
    /// Proxies passed, in order: `sidecar default/sleep`.
    package var path: [String]
    /// One sentence: what the outcome rests on.
    package var reason: String
    /// The manifest lines that caused a denial or an escape.
    package var causes: [String]
    /// For an escape: the way around.
    package var technique: String?

    package init(
        outcome: Outcome, by: Enforcer? = nil, path: [String] = [], reason: String, causes: [String] = [],
        technique: String? = nil
    ) {
        self.outcome = outcome
        self.by = by
        self.path = path
        self.reason = reason
        self.causes = causes
        self.technique = technique
    }
}
