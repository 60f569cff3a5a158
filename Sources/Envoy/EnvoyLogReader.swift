import NetworkAddresses
import Proxy
import ProxyModel

/// Turns the lines that Envoy writes into the events that every proxy reports. Knows nothing of processes or time.
struct EnvoyLogReader {
    /// What a line means.
    struct Reading {
        var events: [ProxyEvent] = []
        /// The record and its lines in the user's formats, of final lines that are logged.
        var entry: (record: AccessLogRecord, lines: [ProxyLogLine])?
        /// It was the fence's.
        var isFence = false
    }

    /// A connection that has work under way.
    private struct Connection {
        var streams: [String: Stream] = [:]
        /// What was told of, for the requests under way.
        var uses: Set<Use> = []
    }

    /// An upstream connection and the request that it carries.
    private struct Use: Hashable {
        let upstream: Upstream
        let request: String?
    }

    /// A request or TCP connection that has begun.
    private struct Stream {
        let number: UInt64
        /// Of the chain that took it, as it was at that time.
        let origin: ConfigurationOrigin?
    }

    private enum Upstream: Hashable {
        case number(UInt64)
        case local(IPEndpoint)
    }

    private var origins: EnvoyOrigins
    private var connections: [UInt64: Connection] = [:]
    /// HTTP connections that were told of: Envoy logs requests, not connections, so any may still get one.
    private var accepted: Set<UInt64> = []
    /// Upstream connections that served a request: who uses one again takes it from the pool.
    private var used: Set<Upstream> = []
    private var lastStream: UInt64 = 0
    private var lastNameless: UInt64 = 1 << 52

    init(_ configuration: ProxyConfiguration) { origins = EnvoyOrigins(configuration) }

    /// From now on lines may be about `configuration`, too.
    mutating func expect(_ configuration: ProxyConfiguration) {
        origins = EnvoyOrigins(configuration, before: origins)
    }

    /// What the next line means. Throws when it is none of ours.
    mutating func read(_ text: String) throws -> Reading {
        let line = try EnvoyLogLine(text)
        if line.fence == true { return Reading(isFence: true) }
        guard let kind = line.kind, let logged = line.connectionID else {
            throw EnvoyLogError(line: text, reason: "it has no log_type or connection_id")
        }
        let number = logged == 0 ? nextNameless() : logged
        var reading = Reading()
        switch kind {
        case .tcpConnectionStart, .downstreamStart:
            accept(line, number, &reading)
            begin(line, number)
        case .tcpUpstreamConnected, .upstreamPoolReady:
            accept(line, number, &reading)
            connect(line, number, &reading)
        case .tcpConnectionEnd, .notSet:
            accept(line, number, &reading)
            connect(line, number, &reading)
            end(line, number, &reading)
            accepted.remove(number)
        case .downstreamEnd:
            accept(line, number, &reading)
            connect(line, number, &reading)
            end(line, number, &reading)
        case .tcpPeriodic:
            guard let stream = connections[number]?.streams[line.streamID ?? ""] else { break }
            reading.events.append(.progress(line.record(streamID: stream.number)))
        case .downstreamPeriodic, .downstreamTunnelEstablished, .upstreamPeriodic, .upstreamEnd,
            .udpTunnelConnected, .udpPeriodic, .udpSessionEnd:
            break
        }
        return reading
    }

    /// Envoy is gone, and with it what was open.
    mutating func finish() -> [ProxyEvent] {
        defer { connections = [:] }
        return connections.keys.sorted().map { .closed(connection: $0) }
    }

    /// Connections that no chain takes have no number with Envoy; theirs are larger than any that it gives, and still
    /// whole numbers in JSON.
    private mutating func nextNameless() -> UInt64 {
        lastNameless += 1
        return lastNameless
    }

    private mutating func accept(_ line: EnvoyLogLine, _ number: UInt64, _ reading: inout Reading) {
        if connections[number] == nil { connections[number] = Connection() }
        let peer = line.downstreamDirectRemoteAddress ?? line.downstreamRemoteAddress
        guard accepted.insert(number).inserted, let from = peer.flatMap({ IPEndpoint($0) }),
            let destination = line.downstreamLocalAddress.flatMap({ IPEndpoint($0) })
        else { return }
        reading.events.append(.accepted(connection: number, from: from, originalDestination: destination))
    }

    private mutating func begin(_ line: EnvoyLogLine, _ number: UInt64) {
        lastStream += 1
        connections[number]?.streams[line.streamID ?? ""] = Stream(number: lastStream, origin: origins.ofChain(line))
    }

    private mutating func connect(_ line: EnvoyLogLine, _ number: UInt64, _ reading: inout Reading) {
        guard let to = line.upstreamHost.flatMap({ IPEndpoint($0) }) else { return }
        let local = line.upstreamLocalAddress.flatMap { IPEndpoint($0) }
        let upstream =
            line.upstreamConnectionID.flatMap { $0 > 0 ? Upstream.number($0) : nil } ?? local.map(Upstream.local)
        let isHTTP = line.kind == .downstreamEnd || line.kind == .upstreamPoolReady
        if let upstream {
            let use = Use(upstream: upstream, request: isHTTP ? line.requestID : nil)
            guard connections[number]?.uses.insert(use).inserted != false else { return }
        }
        // Connections of TCP are never shared, and their ports come back.
        let isReused = isHTTP && upstream.map { !used.insert($0).inserted } ?? false
        reading.events.append(
            .connecting(
                connection: number, local: local, to: to, cluster: line.upstreamCluster ?? "",
                request: isHTTP ? line.requestID : nil, isReused: isReused))
    }

    private mutating func end(_ line: EnvoyLogLine, _ number: UInt64, _ reading: inout Reading) {
        let begun = connections[number]?.streams.removeValue(forKey: line.streamID ?? "")
        let stream: Stream
        if let begun {
            stream = begun
        } else {
            // Requests that could not be parsed, and connections without a chain, have no beginning.
            lastStream += 1
            stream = Stream(number: lastStream, origin: origins.ofChain(line))
        }
        var record = line.record(streamID: stream.number)
        record.origin =
            origins.ofDenial(line) ?? line.routeOrigin ?? stream.origin
            ?? (record.kind == .tcp ? origins.ofCluster(line) : nil)
        if line.isLogged { reading.entry = (record, line.userLines) }
        reading.events.append(.record(connection: number, record))
        guard connections[number]?.streams.isEmpty != false else { return }
        connections[number] = nil
        reading.events.append(.closed(connection: number))
    }
}

/// A line of Envoy's output that is no access-log line of ours.
struct EnvoyLogError: Error, CustomStringConvertible {
    let line: String
    let reason: String
    var description: String { "its output has a line that can't be read (\(reason)): \(line.prefix(500))" }
}

/// Which manifest line is behind a chain or cluster, by the names that a log line gives.
struct EnvoyOrigins: Sendable {
    private struct ChainKey: Hashable {
        let listener: String
        let chain: String
        let namesake: Int
    }

    private var chains: [ChainKey: ConfigurationOrigin] = [:]
    private var listeners: [String: ConfigurationOrigin] = [:]
    private var clusters: [String: ConfigurationOrigin] = [:]
    /// Of RBAC policies, by the names that details give.
    private var policies: [String: ConfigurationOrigin] = [:]
    /// Of the policies that allow what passes a chain.
    private var allowances: [ChainKey: ConfigurationOrigin] = [:]
    /// Of the policies that have an external authorizer asked.
    private var authorizers: [ChainKey: ConfigurationOrigin] = [:]

    /// - Parameter before: for what `configuration` does not have any more, while connections made under it live on.
    init(_ configuration: ProxyConfiguration, before: EnvoyOrigins? = nil) {
        if let before { self = before }
        for listener in configuration.listeners {
            listeners[listener.name] = listener.origin
            for (chain, namesake) in listener.numberedChains {
                let key = ChainKey(listener: listener.name, chain: chain.name, namesake: namesake)
                chains[key] = chain.origin
                authorizers[key] = chain.authorizerOrigin
                for rules in chain.enforcedRules {
                    if rules.action == .allow { allowances[key] = rules.origin }
                    for policy in rules.policies { policies[policy.name] = policy.origin }
                }
            }
        }
        for cluster in configuration.clusters { clusters[cluster.name] = cluster.origin }
    }

    /// Of the chain, else of its listener.
    func ofChain(_ line: EnvoyLogLine) -> ConfigurationOrigin? {
        guard let listener = line.listener else { return nil }
        return key(of: line).flatMap { chains[$0] } ?? listeners[listener]
    }

    /// Of the policy that refused, or of those none of which allowed.
    func ofDenial(_ line: EnvoyLogLine) -> ConfigurationOrigin? {
        let details = line.responseCodeDetails ?? line.connectionTerminationDetails ?? ""
        if details.hasPrefix("ext_authz_") { return key(of: line).flatMap { authorizers[$0] } }
        let prefix = "rbac_access_denied_matched_policy["
        guard details.hasPrefix(prefix), details.hasSuffix("]") else { return nil }
        let name = details.dropFirst(prefix.count).dropLast()
        if name != "none" { return policies[String(name)] }
        return key(of: line).flatMap { allowances[$0] }
    }

    private func key(of line: EnvoyLogLine) -> ChainKey? {
        guard let listener = line.listener, let chain = line.chain else { return nil }
        return ChainKey(listener: listener, chain: chain, namesake: line.namesake ?? 0)
    }

    func ofCluster(_ line: EnvoyLogLine) -> ConfigurationOrigin? { line.upstreamCluster.flatMap { clusters[$0] } }
}

extension FilterChain {
    /// What the chain's RBAC filters enforce.
    fileprivate var enforcedRules: [RBACRules] {
        var rules = (authorization ?? []).compactMap(\.rules)
        if case .httpConnectionManager(let manager) = filter {
            for case .rbac(let rbac) in manager.httpFilters ?? [] { rules += [rbac.rules].compactMap(\.self) }
        }
        return rules
    }

    fileprivate var authorizerOrigin: ConfigurationOrigin? {
        guard case .httpConnectionManager(let manager) = filter else { return nil }
        for case .externalAuthorization(let filter) in manager.httpFilters ?? [] { return filter.origin }
        return nil
    }
}
