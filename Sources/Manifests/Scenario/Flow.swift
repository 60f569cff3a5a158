package import NetworkAddresses

/// One flow that a step asks for: who sends what to whom, and what should become of it.
package struct Flow: Sendable, Equatable {
    package enum Source: Sendable, Hashable, CustomStringConvertible {
        case workload(WorkloadReference)
        /// `node/NAME`.
        case node(String)
        /// `internet/ADDRESS`: from outside in.
        case internet(IPAddress)

        package var description: String {
            switch self {
            case .workload(let reference): reference.description
            case .node(let name): "node/\(name)"
            case .internet(let address): "internet/\(address)"
            }
        }
    }

    /// The scheme of `to`.
    package enum Scheme: String, Sendable, Codable, CaseIterable {
        case http, https, tcp, tls, udp, sctp, icmp, dns
    }

    package enum Host: Sendable, Hashable, CustomStringConvertible {
        /// An internet name or a Service's name: resolved by the pod's resolver.
        case name(String)
        case address(IPAddress)
        /// `namespace/workload`: the pod's own address.
        case workload(WorkloadReference)

        package var description: String {
            switch self {
            case .name(let name): name
            case .address(let address): address.family == .ipv6 ? "[\(address)]" : "\(address)"
            case .workload(let reference): reference.description
            }
        }
    }

    /// How long the connection stays open after the exchange.
    package enum Hold: Sendable, Equatable {
        case seconds(Double)
        case untilEnd
    }

    package var id: String
    package var location: SourceLocation
    package var from: Source
    /// `to` as the user wrote it.
    package var to: String
    package var scheme: Scheme
    package var host: Host
    /// The scheme's own port where `to` names none; 0 for icmp.
    package var port: UInt16
    /// Path and query of the request, from `path` or `to`. For dns: the name asked for (`dns://SERVER/NAME`).
    package var path: String
    package var method: String
    package var headers: [HeaderField]
    package var body: String?
    /// `1.0`, `1.1` or `2`.
    package var httpVersion: String
    package var sni: String?
    package var hostHeader: String?
    /// Connect here whatever the host is.
    package var address: IPAddress?
    package var uid: UInt32?
    package var gid: UInt32?
    package var family: IPFamily?
    package var count: Int
    package var hold: Hold?
    /// The container whose user the client runs as; also an init container, which runs before the pod's rules exist in
    /// classic start order.
    package var expect: FlowExpectation

    package init(
        id: String, location: SourceLocation, from: Source, to: String, scheme: Scheme, host: Host, port: UInt16,
        path: String = "/", method: String = "GET", headers: [HeaderField] = [], body: String? = nil,
        httpVersion: String = "1.1", sni: String? = nil, hostHeader: String? = nil, address: IPAddress? = nil,
        uid: UInt32? = nil, gid: UInt32? = nil, family: IPFamily? = nil, count: Int = 1, hold: Hold? = nil,
        expect: FlowExpectation
    ) {
        self.id = id
        self.location = location
        self.from = from
        self.to = to
        self.scheme = scheme
        self.host = host
        self.port = port
        self.path = path
        self.method = method
        self.headers = headers
        self.body = body
        self.httpVersion = httpVersion
        self.sni = sni
        self.hostHeader = hostHeader
        self.address = address
        self.uid = uid
        self.gid = gid
        self.family = family
        self.count = count
        self.hold = hold
        self.expect = expect
    }
}

package struct HeaderField: Sendable, Equatable, Codable {
    package var name: String
    package var value: String

    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// What became, or should become, of a flow.
package enum Outcome: String, Sendable, Codable, CaseIterable {
    case allowed, denied, escaped, failed, inconclusive
}

/// What stopped a flow.
package enum Enforcer: String, Sendable, Codable, CaseIterable {
    case sidecar, gateway
    case sniProxy = "sni-proxy"
    case networkPolicy = "network-policy"
    case boundary, dns
    /// A Service's `loadBalancerSourceRanges`.
    case service
}

/// What a scenario expects of a flow; what is nil is not compared.
package struct FlowExpectation: Sendable, Equatable {
    package var outcome: Outcome
    package var by: Enforcer?
    /// `sidecar`, or with the proxy's name (`sidecar default/sleep`); compared whole.
    package var path: [String]?
    package var status: Int?
    /// A subset of the response's headers; a nil value says that the header must be absent.
    package var headers: [String: String?]
    /// Contained in the response's body.
    package var body: String?
    package var durationMs: ClosedRange<Double>?
    /// Contained in the error that the client saw.
    package var error: String?

    package init(
        outcome: Outcome, by: Enforcer? = nil, path: [String]? = nil, status: Int? = nil,
        headers: [String: String?] = [:], body: String? = nil, durationMs: ClosedRange<Double>? = nil,
        error: String? = nil
    ) {
        self.outcome = outcome
        self.by = by
        self.path = path
        self.status = status
        self.headers = headers
        self.body = body
        self.durationMs = durationMs
        self.error = error
    }
}
