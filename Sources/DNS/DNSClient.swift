internal import NIOConcurrencyHelpers
package import NIOCore
package import NetworkAddresses
package import Proxy

/// Why a name gave no address.
package enum DNSFailure: String, Sendable, Error {
    case nameError = "NXDOMAIN"
    case noData = "NODATA"
    case serverFailure = "SERVFAIL"
    case refused = "REFUSED"
    /// No server answered.
    case timeout
    /// No server could be reached: no route, or nobody listens.
    case unreachable
    case cancelled
}

extension DNSFailure: HostResolutionFailure {
    /// As Envoy has it of c-ares.
    package var details: String {
        switch self {
        case .nameError: "cares_norecords:Domain_name_not_found"
        case .noData: "cares_norecords:DNS_server_returned_answer_with_no_data"
        case .serverFailure: "cares_failure:DNS_server_returned_general_failure"
        case .refused: "cares_failure:DNS_server_refused_query"
        case .timeout: "cares_failure:Timeout_while_contacting_DNS_servers"
        case .unreachable: "cares_failure:Could_not_contact_DNS_servers"
        case .cancelled: "cares_failure:Channel_is_being_destroyed"
        }
    }
}

/// What a name resolved to.
package struct DNSResolution: Sendable, Equatable {
    /// In the order of the families asked for, and within a family as the server gave them.
    package var addresses: [IPAddress]
    package var ttlSeconds: Int?
    /// The name that was found, after search domains and aliases.
    package var name: String
}

/// `resolv.conf`, as values.
package struct DNSClientConfiguration: Sendable, Equatable {
    package var nameservers: [IPEndpoint]
    package var searchDomains: [String]
    package var ndots: Int
    /// How long one try waits for its server.
    package var timeout: TimeAmount
    /// How often the list of servers is gone through.
    package var attempts: Int

    package init(
        nameservers: [IPEndpoint], searchDomains: [String] = [], ndots: Int = 5, timeout: TimeAmount = .seconds(5),
        attempts: Int = 2
    ) {
        self.nameservers = nameservers
        self.searchDomains = searchDomains
        self.ndots = ndots
        self.timeout = timeout
        self.attempts = attempts
    }

    /// The absolute names to try for `name`, in order (`man 5 resolv.conf`, ndots).
    package func candidates(for name: String) -> [String] {
        let name = name.lowercased()
        if name.hasSuffix(".") { return [String(name.dropLast())] }
        let searched = searchDomains.map { "\(name).\($0)" }
        return name.count(where: { $0 == "." }) >= ndots ? [name] + searched : searched + [name]
    }
}

/// A stub resolver as glibc has it: search domains, both families at once, servers in turn, TCP after truncation.
package struct DNSClient: Sendable {
    private let context: any NetworkContext
    private let configuration: DNSClientConfiguration

    package init(in context: any NetworkContext, configuration: DNSClientConfiguration) {
        self.context = context
        self.configuration = configuration
    }

    /// Starts a lookup. `onAttempt` is called on `loop` with each socket's addresses, before its first packet leaves.
    package func lookup(
        _ name: String, families: [IPFamily], on loop: any EventLoop,
        onAttempt: @escaping @Sendable (FiveTuple) -> Void = { _ in }
    ) -> DNSLookup {
        let lookup = DNSLookup(
            name: name, families: families, context: context, configuration: configuration, loop: loop,
            onAttempt: onAttempt)
        if loop.inEventLoop {
            lookup.start()
        } else {
            loop.execute { lookup.start() }
        }
        return lookup
    }
}

/// Resolves a proxy's endpoints: names are absolute, so search domains don't apply.
package struct DNSHostResolver: HostResolver {
    /// Told of each query of a host before it leaves, with a closure to call should it be dropped on its way; what it
    /// returns is called when the lookup is over.
    package typealias Observer =
        @Sendable (
            _ host: String, _ query: FiveTuple, _ dropped: @escaping @Sendable () -> Void
        ) -> @Sendable () -> Void

    private let client: DNSClient
    private let observer: Observer?

    /// Queries leave from `context` (the proxy's own user) to `nameservers`.
    package init(in context: any NetworkContext, nameservers: [IPEndpoint], observer: Observer? = nil) {
        client = DNSClient(in: context, configuration: DNSClientConfiguration(nameservers: nameservers, ndots: 0))
        self.observer = observer
    }

    package func resolve(
        _ host: String, families: [IPFamily], on loop: any EventLoop
    ) -> EventLoopFuture<HostResolution> {
        // The first query may leave, and be dropped, before the lookup has been returned.
        let watched = NIOLockedValueBox<WatchedLookup>(WatchedLookup())
        let lookup = client.lookup(host.hasSuffix(".") ? host : host + ".", families: families, on: loop) {
            [observer] query in
            guard let observer else { return }
            let end = observer(host, query) {
                let lookup = watched.withLockedValue { watched in
                    watched.dropped.append(query)
                    return watched.lookup
                }
                lookup?.attemptDropped(query)
            }
            watched.withLockedValue { $0.ends.append(end) }
        }
        let dropped = watched.withLockedValue { watched in
            watched.lookup = lookup
            return watched.dropped
        }
        for query in dropped { lookup.attemptDropped(query) }
        return lookup.result.always { _ in
            let ends = watched.withLockedValue { watched in
                watched.lookup = nil
                return watched.ends
            }
            for end in ends { end() }
        }
        .map { HostResolution(addresses: $0.addresses, ttlSeconds: $0.ttlSeconds) }
    }

    private struct WatchedLookup: Sendable {
        var lookup: DNSLookup?
        var dropped: [FiveTuple] = []
        var ends: [@Sendable () -> Void] = []
    }
}
