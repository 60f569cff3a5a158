package import Manifests
package import NetworkAddresses

/// Something that an observer recorded. Observers know nothing of flows: they see tuples.
package enum Observation: Sendable {
    case packet(PacketSeen)
    case drop(DropSeen)
    case proxyAccepted(ProxyAccepted)
    case proxyConnecting(ProxyConnecting)
    case proxyLookup(ProxyLookup)
    case proxyRecord(ProxyRecord)
    case proxyClosed(ProxyConnection)
    case served(Served)
    case nameServed(NameServed)
    case agent(AgentSeen)
}

/// A packet that crossed a watched place: the first of its flow.
package struct PacketSeen: Sendable, Equatable {
    package enum Place: String, Sendable, Codable {
        /// On the only node or on the fabric, toward the internet, before any translation.
        case boundary = "node/boundary"
        /// In the internet, as it arrives.
        case internet
    }

    package var place: Place
    package var tuple: FiveTuple
    /// Milliseconds since the run began.
    package var timeMs: Double

    package init(place: Place, tuple: FiveTuple, timeMs: Double) {
        self.place = place
        self.tuple = tuple
        self.timeMs = timeMs
    }
}

/// A packet that a deny rule dropped, with the manifests that asked for it.
package struct DropSeen: Sendable, Equatable {
    package var at: String
    /// Whose rule it is: a policy's or a load balancer's on a node, or the cluster's firewall's.
    package var by: Enforcer
    package var tuple: FiveTuple
    /// `egress` or `ingress`, of `pod`; of a Service (then `pod`): `translation`, where it leads nowhere on this node,
    /// or `loadBalancerSourceRanges`, which the caller is not in.
    package var direction: String
    package var pod: String
    /// The policies that isolate the pod, as origins.
    package var policies: [String]
    package var timeMs: Double

    package static let translation = "translation"
    /// No policy had a say in it.
    package var isTranslation: Bool { direction == Self.translation }

    package init(
        at: String, by: Enforcer = .networkPolicy, tuple: FiveTuple, direction: String, pod: String,
        policies: [String], timeMs: Double
    ) {
        self.at = at
        self.by = by
        self.tuple = tuple
        self.direction = direction
        self.pod = pod
        self.policies = policies
        self.timeMs = timeMs
    }
}

/// One downstream connection of one proxy.
package struct ProxyConnection: Hashable, Sendable {
    /// The pod whose proxy it is: `namespace/pod`.
    package var pod: String
    /// The name in paths: `sidecar default/sleep`.
    package var proxy: String
    /// `sidecar`, `gateway` or `sni-proxy`.
    package var role: String
    package var number: UInt64
    /// Which start of the pod it belongs to: a proxy that starts anew counts from the beginning.
    package var generation: Int

    package init(pod: String, proxy: String, role: String, number: UInt64, generation: Int = 1) {
        self.pod = pod
        self.proxy = proxy
        self.role = role
        self.number = number
        self.generation = generation
    }
}

/// A proxy accepted a connection: the peer's address and the address that the peer had dialled.
package struct ProxyAccepted: Sendable {
    package var connection: ProxyConnection
    package var tuple: FiveTuple
    package var timeMs: Double

    package init(connection: ProxyConnection, tuple: FiveTuple, timeMs: Double) {
        self.connection = connection
        self.tuple = tuple
        self.timeMs = timeMs
    }
}

/// A proxy began, or took from its pool, an upstream connection for a downstream one.
package struct ProxyConnecting: Sendable {
    package var connection: ProxyConnection
    package var tuple: FiveTuple
    package var cluster: String
    /// The `x-request-id` that it is for; nil where there are no requests.
    package var request: String?
    /// False: this is where the connection began, and whatever had its tuple before was another one.
    package var isReused: Bool
    package var timeMs: Double

    package init(
        connection: ProxyConnection, tuple: FiveTuple, cluster: String, request: String? = nil, isReused: Bool = false,
        timeMs: Double
    ) {
        self.connection = connection
        self.tuple = tuple
        self.cluster = cluster
        self.request = request
        self.isReused = isReused
        self.timeMs = timeMs
    }
}

/// A proxy asked its resolver for a cluster's host.
package struct ProxyLookup: Sendable {
    /// The pod whose proxy it is: `namespace/pod`.
    package var pod: String
    package var host: String
    package var tuple: FiveTuple
    package var timeMs: Double

    package init(pod: String, host: String, tuple: FiveTuple, timeMs: Double) {
        self.pod = pod
        self.host = host
        self.tuple = tuple
        self.timeMs = timeMs
    }
}

/// One access-log record, in the words of the JSON log.
package struct ProxyRecord: Sendable {
    package var connection: ProxyConnection
    package var isHTTP: Bool
    package var responseCode: Int
    package var responseFlags: [String]
    package var responseCodeDetails: String?
    package var upstreamCluster: String?
    package var routeName: String?
    /// All fields by their JSON log keys; absent ones left out.
    package var fields: [String: String]
    /// The manifest line behind the decision.
    package var origin: String?
    package var timeMs: Double
    /// The client's TLS did not come about: no access log has it.
    package var endedInHandshake = false
    /// The server name was for none of the listener's chains, so that no handshake was answered.
    var foundNoChain: Bool { responseCodeDetails == "filter_chain_not_found" }
    /// The flags that say why nothing came of the connection; that the other side reset it says only that it stood.
    package var explanation: Set<String> { Set(responseFlags).subtracting(["UR"]) }

    package init(
        connection: ProxyConnection, isHTTP: Bool, responseCode: Int, responseFlags: [String],
        responseCodeDetails: String?, upstreamCluster: String?, routeName: String?, fields: [String: String],
        origin: String?, timeMs: Double
    ) {
        self.connection = connection
        self.isHTTP = isHTTP
        self.responseCode = responseCode
        self.responseFlags = responseFlags
        self.responseCodeDetails = responseCodeDetails
        self.upstreamCluster = upstreamCluster
        self.routeName = routeName
        self.fields = fields
        self.origin = origin
        self.timeMs = timeMs
    }
}

/// What a server received.
package struct Served: Sendable {
    package enum Stage: String, Sendable { case accepted, clientHello, request, data, closed }

    package var stage: Stage
    /// `internet`, or `pod namespace/name`.
    package var at: String
    package var tuple: FiveTuple
    package var fields: [String: String]
    package var timeMs: Double

    package init(stage: Stage, at: String, tuple: FiveTuple, fields: [String: String] = [:], timeMs: Double) {
        self.stage = stage
        self.at = at
        self.tuple = tuple
        self.fields = fields
        self.timeMs = timeMs
    }
}

/// What a DNS server was asked and answered.
package struct NameServed: Sendable {
    package var at: String
    package var tuple: FiveTuple
    package var name: String
    package var type: String
    package var responseCode: String
    package var timeMs: Double

    package init(at: String, tuple: FiveTuple, name: String, type: String, responseCode: String, timeMs: Double) {
        self.at = at
        self.tuple = tuple
        self.name = name
        self.type = type
        self.responseCode = responseCode
        self.timeMs = timeMs
    }
}
