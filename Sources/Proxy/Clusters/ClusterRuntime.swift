import NIOCore
import NetworkAddresses
import ProxyModel

/// A cluster at work: its hosts, their discovery and the choice among them. Confined to the worker's loop.
final class ClusterRuntime: @unchecked Sendable {
    private(set) var model: Cluster
    let counters: ClusterCounters
    var load = ClusterLoad()
    private var hosts: [UpstreamHost] = []
    /// Those that clients dialled; nil where it is not they who choose.
    private var originalHosts: OriginalHosts?
    private var names: NameResolution?
    /// Of names that clients ask for; nil where the cluster's endpoints are known.
    private var dynamicHosts: DynamicHosts?
    private var detector: OutlierDetector?
    /// For choices by hash, of the hosts that may be chosen; nil: to be made.
    private var hashTable: HashTable?
    private var next = 0
    private let resolver: any HostResolver
    private let loop: any EventLoop
    private let statistics: ProxyStatistics

    init(_ model: Cluster, resolver: any HostResolver, loop: any EventLoop, statistics: ProxyStatistics) {
        self.model = model
        self.resolver = resolver
        self.loop = loop
        self.statistics = statistics
        counters = ClusterCounters(statistics, cluster: model.name)
        discover()
        detect()
    }

    private func detect() {
        detector?.stop()
        detector = model.outlierDetection.map { detection in
            OutlierDetector(
                detection, counters: OutlierCounters(statistics, cluster: model.name), loop: loop,
                hosts: { [weak self] in self?.unsortedHosts ?? [] }, changed: { [weak self] in self?.hashTable = nil })
        }
    }

    /// Follows a changed model; hosts that stay keep their connections, names that stay keep their addresses.
    func update(_ model: Cluster) {
        let old = self.model
        guard old != model else { return }
        self.model = model
        let sameNames =
            old.discovery == model.discovery && old.endpoints == model.endpoints && old.dnsFamilies == model.dnsFamilies
        let sameTransport =
            old.transportSocket == model.transportSocket && old.transportSocketMatches == model.transportSocketMatches
            && old.endpoints.map(\.metadata) == model.endpoints.map(\.metadata)
        if !sameTransport { closeIdle() }
        hashTable = nil
        if !sameNames || model.discovery.isStatic { discover() }
        if old.outlierDetection != model.outlierDetection { detect() }
    }

    /// What can be reached is another matter now: asks again for names that gave no address, and keeps no connection.
    func meetNewPolicies() {
        names?.askAgain()
        dynamicHosts?.forgetFailures()
        closeIdle()
    }

    private func closeIdle() {
        for host in hosts { host.closeIdle() }
        for host in originalHosts?.hosts ?? [] { host.closeIdle() }
        for host in dynamicHosts?.hosts ?? [] { host.closeIdle() }
    }

    /// The cluster is gone from the configuration.
    func retire() {
        names?.stop()
        names = nil
        detector?.stop()
        detector = nil
        setHosts([])
        dynamicHosts?.retire()
        originalHosts?.retire()
    }

    /// Calls `body` once the hosts are known: at once, except while the first DNS answers are awaited.
    func whenReady(_ body: @escaping () -> Void) {
        if let names, !names.isComplete, hosts.isEmpty { names.whenComplete(body) } else { body() }
    }

    /// Calls `body` once a name that a client asks for is resolved, or can't be.
    func resolve(_ name: DynamicHostName, then body: @escaping () -> Void) {
        guard let dynamicHosts else { return body() }
        dynamicHosts.load(name, model: model, then: body)
    }

    /// Whether a name that was asked for has an address, be it one of an ejected host.
    func isResolved(_ name: DynamicHostName) -> Bool { dynamicHosts?.host(name) != nil }

    /// Why a name that was asked for has no address.
    func resolutionFailure(of name: DynamicHostName) -> String? { dynamicHosts?.failure(name) }

    /// What became of an attempt with the host.
    func report(_ result: HostResult, of host: UpstreamHost) { detector?.put(result, for: host) }

    /// A host for a connection dialled to `destination`; nil when there is none. Hosts of `failed` are a last resort.
    ///
    /// - Parameters:
    ///   - hash: of what the client sends; nil leaves it to chance, where hosts are chosen by hash.
    ///   - name: what the client asks for, where that is resolved.
    func pick(
        for destination: IPEndpoint, avoiding failed: Set<IPEndpoint> = [], hash: UInt64? = nil,
        name: DynamicHostName? = nil
    ) -> UpstreamHost? {
        if let originalHosts {
            return originalHosts.host(at: IPEndpoint(destination.address, model.upstreamPort ?? destination.port))
        }
        // Here no lack of healthy hosts has the others used again.
        if let dynamicHosts { return name.flatMap(dynamicHosts.host).flatMap { $0.isEjected ? nil : $0 } }
        let usable = usableHosts
        if model.loadBalancing?.isConsistentHashing == true { return pick(by: hash, of: usable, avoiding: failed) }
        let fresh = failed.isEmpty ? usable : usable.filter { !failed.contains($0.endpoint) }
        let candidates = fresh.isEmpty ? usable : fresh
        guard let first = candidates.first else { return nil }
        if candidates.count == 1 { return first }
        let isWeighted = candidates.contains { $0.weight != first.weight }
        switch model.loadBalancing {
        case .random: return pickRandomly(candidates)
        case .roundRobin: return isWeighted ? pickWeighted(candidates) : pickNext(candidates)
        case .leastRequest, .ringHash, .maglev, nil:
            return isWeighted ? pickWeighted(candidates) : pickLeastActive(candidates)
        }
    }

    /// All hosts: those of the configuration, and those that clients dialled or asked for themselves.
    var allHosts: [UpstreamHost] { hosts + chosenByClients.sorted { $0.endpoint < $1.endpoint } }

    private var unsortedHosts: [UpstreamHost] { hosts + chosenByClients }

    private var chosenByClients: [UpstreamHost] { originalHosts?.hosts ?? dynamicHosts?.hosts ?? [] }

    /// Of a name without one, where names are resolved.
    var defaultPort: UInt16 { model.transportSocket == nil ? 80 : 443 }

    /// Whether requests of `version` go upstream with HTTP/2.
    func usesHTTP2(for version: HTTPProtocol) -> Bool {
        switch model.httpProtocolOptions {
        case .http2: true
        case .useDownstreamProtocol: version == .http2
        case .http1, nil: false
        }
    }

    /// The address to connect from; nil leaves it to the kernel.
    func sourceAddress(for family: IPFamily) -> IPAddress? {
        model.sourceAddresses.first { $0.family == family }
    }

    /// The hosts that are not ejected; all of them where too few would be left.
    private var usableHosts: [UpstreamHost] {
        guard let detection = model.outlierDetection, hosts.contains(where: \.isEjected) else { return hosts }
        let healthy = hosts.filter { !$0.isEjected }
        return healthy.count * 100 < detection.healthyPanicThreshold * hosts.count ? hosts : healthy
    }

    /// Hosts that failed before are passed by as often as Envoy does (`host_selection_retry_max_attempts`).
    private func pick(
        by hash: UInt64?, of usable: [UpstreamHost], avoiding failed: Set<IPEndpoint>
    ) -> UpstreamHost? {
        if hashTable == nil {
            hashTable = HashTable(
                usable.map { HashTable.Host(key: $0.endpoint.description, weight: $0.weight) }, cluster: model)
        }
        guard let hashTable, !usable.isEmpty else { return nil }
        let hash = hash ?? UInt64.random(in: 0...UInt64.max)
        var host: UpstreamHost?
        for attempt in 0...(failed.isEmpty ? 0 : 5) {
            let found = usable[hashTable.host(for: hash, attempt: attempt)]
            host = found
            if !failed.contains(found.endpoint) { break }
        }
        return host
    }

    private func pickLeastActive(_ candidates: [UpstreamHost]) -> UpstreamHost? {
        next &+= 1
        let least = candidates.map(\.active).min() ?? 0
        let ties = candidates.filter { $0.active == least }
        return ties[Int(UInt(bitPattern: next) % UInt(ties.count))]
    }

    private func pickNext(_ candidates: [UpstreamHost]) -> UpstreamHost? {
        next &+= 1
        return candidates[Int(UInt(bitPattern: next) % UInt(candidates.count))]
    }

    private func pickRandomly(_ candidates: [UpstreamHost]) -> UpstreamHost? {
        var point = Int.random(in: 0..<candidates.reduce(0) { $0 + $1.weight })
        return candidates.first { host in
            point -= host.weight
            return point < 0
        }
    }

    /// nginx's smooth weighted round robin.
    private func pickWeighted(_ candidates: [UpstreamHost]) -> UpstreamHost? {
        for host in candidates { host.credit += host.weight }
        let best = candidates.max { $0.credit < $1.credit }
        best?.credit -= candidates.reduce(0) { $0 + $1.weight }
        return best
    }

    private func discover() {
        names?.stop()
        names = nil
        if model.discovery != .dynamicForwardProxy {
            dynamicHosts?.retire()
            dynamicHosts = nil
        }
        if model.discovery != .originalDestination {
            originalHosts?.retire()
            originalHosts = nil
        }
        let forgotten = { [weak self] (host: UpstreamHost) -> Void in self?.detector?.forget(host) }
        switch model.discovery {
        case .originalDestination:
            setHosts([])
            if originalHosts == nil { originalHosts = OriginalHosts(loop: loop, forgotten: forgotten) }
        case .dynamicForwardProxy:
            setHosts([])
            if dynamicHosts == nil {
                dynamicHosts = DynamicHosts(resolver: resolver, loop: loop, forgotten: forgotten)
            }
        case .staticEndpoints, .endpointDiscovery:
            setHosts(
                model.endpoints.compactMap { endpoint in
                    IPAddress(endpoint.host).map { (IPEndpoint($0, endpoint.port), endpoint.weight) }
                })
        case .strictDNS, .logicalDNS:
            let names = NameResolution(model, resolver: resolver, loop: loop) { [weak self] in self?.setHosts($0) }
            self.names = names
            names.start()
        }
    }

    private func setHosts(_ list: [(IPEndpoint, Int)]) {
        var seen: Set<IPEndpoint> = []
        let old = hosts
        hosts = list.filter { seen.insert($0.0).inserted }.map { endpoint, weight in
            old.first { $0.endpoint == endpoint && $0.weight == max(weight, 1) }
                ?? UpstreamHost(endpoint, weight: weight)
        }
        hashTable = nil
        for host in old where !hosts.contains(where: { $0 === host }) {
            detector?.forget(host)
            host.retire()
        }
    }
}

extension Cluster.Discovery {
    fileprivate var isStatic: Bool { self == .staticEndpoints || self == .endpointDiscovery }
}
