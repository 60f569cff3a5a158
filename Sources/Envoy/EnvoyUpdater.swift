import NIOCore
import ProxyModel

/// Puts configurations in force in a running Envoy, through the files that it watches.
///
/// One change at a time: the next waits until the one before is in force or refused.
actor EnvoyUpdater {
    /// What a change waits for.
    private struct Wanted {
        var clusters: String?
        var listeners: String?
        /// By route configuration.
        var routes: [String: String] = [:]
        /// By name.
        var secrets: [String: String] = [:]
    }

    /// Envoy did not take a change.
    struct Refusal: Error {
        /// `cluster_manager.cds.update_rejected`.
        let statistic: String
    }

    /// A change was not in force in time; `missing` says what was not.
    struct Late: Error {
        let missing: String
    }

    private let directory: EnvoyDirectory
    private let admin: EnvoyAdmin
    private let timeout: Duration
    /// What the newest files were made from.
    private var configuration: ProxyConfiguration
    private var clusters: [Cluster] = []
    private var policyGenerations: [String: Int] = [:]
    private var version = 0
    /// The newest content of each file, but for its version, and that version.
    private var files: [String: (content: String, version: String)] = [:]
    private var refusals: [String: UInt64] = [:]
    /// True while the configuration of before comes back: Envoy may read the refused file once more, and says so then.
    private var isRestoring = false
    private var isBusy = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    init(
        _ configuration: ProxyConfiguration, directory: EnvoyDirectory, admin: EnvoyAdmin,
        timeout: Duration = .seconds(10)
    ) {
        self.configuration = configuration
        self.directory = directory
        self.admin = admin
        self.timeout = timeout
    }

    /// Writes what Envoy starts with.
    func prepare() throws {
        let bootstrap = try EnvoyBootstrap(
            configuration, resources: .files(directory: directory.path), adminSocket: directory.adminSocket,
            fenceSocket: directory.fenceSocket)
        try directory.put("bootstrap.json", bootstrap.json)
        version = 1
        let (plain, numbered) = try render(configuration, generations: [:])
        for (file, content) in zip(plain, numbered) { try write(file.name, file.content, content.content) }
        clusters = configuration.clusters
    }

    /// Waits until a fresh Envoy has taken what `prepare` wrote and its worker runs.
    func awaitStart(isAlive: () throws -> Void) async throws {
        let wanted = Wanted(
            clusters: "1", listeners: "1", routes: Dictionary(uniqueKeysWithValues: routesInUse.map { ($0, "1") }))
        try await wait(for: wanted, isStarting: true, isAlive: isAlive)
    }

    /// Puts `configuration` in force, or the current one with clusters made anew if `hasNewPolicies`: those that hold
    /// connections, which the policies may forbid now, and those whose names have no address, which may be had now. The
    /// others go by the addresses that they know, as they would in a cluster.
    ///
    /// Throws `Refusal` or `Late`; the configuration of before is then in force again.
    func update(
        to configuration: ProxyConfiguration? = nil, hasNewPolicies: Bool = false, isAlive: () throws -> Void
    ) async throws {
        await take()
        defer { release() }
        let (previous, previousGenerations) = (self.configuration, policyGenerations)
        if hasNewPolicies {
            for name in try await clustersToRenew() { policyGenerations[name, default: 0] += 1 }
        }
        do {
            try await apply(configuration ?? previous, isAlive: isAlive)
        } catch {
            policyGenerations = previousGenerations
            isRestoring = true
            defer { isRestoring = false }
            try? await apply(previous, isAlive: isAlive)
            throw error
        }
    }

    private func clustersToRenew() async throws -> [String] {
        let page = EnvoyStatisticsPage(
            try await admin.get("/stats?filter=upstream_cx_active%7Cmembership_total"))
        return configuration.clusters.filter { cluster in
            func number(_ name: String) -> UInt64? {
                let name = "cluster.\(cluster.name).\(name)"
                return page.numbers[name] ?? page.numbers[EnvoyStatisticsPage.sanitized(name)]
            }
            let isDNS = cluster.discovery == .strictDNS || cluster.discovery == .logicalDNS
            return number("upstream_cx_active") != 0 || isDNS && number("membership_total") == 0
        }
        .map(\.name)
    }

    private func take() async {
        if isBusy { await withCheckedContinuation { waiting.append($0) } }
        isBusy = true
    }

    private func release() {
        isBusy = false
        if !waiting.isEmpty {
            isBusy = true
            waiting.removeFirst().resume()
        }
    }

    // MARK: Steps

    /// No moment may have a route without its cluster or a listener without its route: what is new comes first, what
    /// nobody names any more goes last.
    private func apply(_ next: ProxyConfiguration, isAlive: () throws -> Void) async throws {
        version += 1
        let names = Set(next.clusters.map(\.name))
        let leaving = clusters.filter { !names.contains($0.name) }
        var union = next
        union.clusters += leaving
        let (plain, numbered) = try render(union, generations: policyGenerations)
        let changed = zip(plain, numbered).filter { files[$0.0.name]?.content != $0.0.content }
        guard !changed.isEmpty || !leaving.isEmpty else {
            configuration = next
            return
        }
        refusals = Self.refusals(in: try await statistics())
        let known = Set(routesInUse)

        // One that is missing is there as an empty file, which Envoy never takes for a version.
        let secrets = Set((next.secrets ?? []).map(\.name))
        try await change(
            changed.filter { $0.0.kind.isSecret }, awaited: { secrets.contains($0) }, isAlive: isAlive)
        try await change(changed.filter { $0.0.kind == .clusters }, isAlive: isAlive)
        clusters = union.clusters
        // Tables that no listener names yet are read when one does.
        let routes = changed.filter { $0.0.kind.isRoutes }
        try await change(routes, awaited: { known.contains($0) }, isAlive: isAlive)
        try await change(changed.filter { $0.0.kind == .listeners }, isAlive: isAlive)
        configuration = next
        try await wait(for: Wanted(routes: versions(of: routesInUse)), isAlive: isAlive)
        guard !leaving.isEmpty else { return }
        version += 1
        let (plainEnd, numberedEnd) = try render(next, generations: policyGenerations)
        try await change(zip(plainEnd, numberedEnd).filter { $0.0.kind == .clusters }, isAlive: isAlive)
        clusters = next.clusters
    }

    private func change(
        _ changed: [(File, File)], awaited: (String) -> Bool = { _ in true }, isAlive: () throws -> Void
    ) async throws {
        var wanted = Wanted()
        for (plain, numbered) in changed {
            try write(plain.name, plain.content, numbered.content)
            switch plain.kind {
            case .clusters: wanted.clusters = String(version)
            case .listeners: wanted.listeners = String(version)
            case .routes(let name): if awaited(name) { wanted.routes[name] = String(version) }
            case .secret(let name): if awaited(name) { wanted.secrets[name] = String(version) }
            }
        }
        if !changed.isEmpty { try await wait(for: wanted, isAlive: isAlive) }
    }

    // MARK: Files

    private struct File {
        enum Kind: Equatable {
            case clusters, listeners
            case routes(String)
            case secret(String)

            var isRoutes: Bool { if case .routes = self { true } else { false } }
            var isSecret: Bool { if case .secret = self { true } else { false } }
        }

        let kind: Kind
        let name: String
        let content: String
    }

    /// The files with and without the current version.
    private func render(_ configuration: ProxyConfiguration, generations: [String: Int]) throws -> ([File], [File]) {
        func files(version: String) throws -> [File] {
            let all = try EnvoyResourceFiles(
                configuration, version: version, directory: directory.path, policyGenerations: generations)
            return [
                File(kind: .clusters, name: all.clusters.name, content: all.clusters.content),
                File(kind: .listeners, name: all.listeners.name, content: all.listeners.content),
            ]
                + all.routes.map { File(kind: .routes($0.routeConfiguration), name: $0.name, content: $0.content) }
                + all.secrets.map { File(kind: .secret($0.secret), name: $0.name, content: $0.content) }
        }
        return (try files(version: ""), try files(version: String(version)))
    }

    private func write(_ name: String, _ plain: String, _ content: String) throws {
        try directory.put(name, content)
        files[name] = (plain, String(version))
    }

    /// The route configurations that listeners name.
    private var routesInUse: [String] {
        let chains = configuration.listeners.flatMap { $0.filterChains + ($0.defaultFilterChain.map { [$0] } ?? []) }
        return Set(
            chains.compactMap { chain in
                guard case .httpConnectionManager(let manager) = chain.filter else { return nil }
                return manager.routeConfiguration
            }
        ).sorted()
    }

    private func versions(of routes: [String]) -> [String: String] {
        var result: [String: String] = [:]
        for route in routes { result[route] = files[EnvoyResources.routeFile(route)]?.version }
        return result
    }

    // MARK: Waiting

    /// Envoy has nothing to subscribe to, so it is asked, at growing intervals.
    private func wait(for wanted: Wanted, isStarting: Bool = false, isAlive: () throws -> Void) async throws {
        let deadline = ContinuousClock.now + timeout
        var pause = Duration.milliseconds(isStarting ? 4 : 1)
        let longest = Duration.milliseconds(isStarting ? 4 : 20)
        while true {
            var missing: String?
            do {
                let page = try await statistics()
                let refused = Self.refusals(in: page).first { $0.value > refusals[$0.key] ?? 0 }
                if let refused, !isRestoring {
                    throw Refusal(statistic: refused.key)
                }
                missing = self.missing(wanted, in: page, isStarting: isStarting)
                if missing == nil { return }
            } catch let error as Refusal {
                throw error
            } catch {
                // A fresh Envoy has no socket yet.
                guard isStarting else { throw error }
                missing = "its administration interface: \(error)"
            }
            try isAlive()
            guard ContinuousClock.now < deadline else { throw Late(missing: missing ?? "") }
            try await Task.sleep(for: pause)
            pause = min(pause * 3 / 2, longest)
        }
    }

    private static let filter =
        "version_text%7Clds%5C.update_%7Ccds%5C.update_%7Crds%5C..*update_%7Cwarming%7Cworkers_started%7Cserver%5C.state"

    private func statistics() async throws -> EnvoyStatisticsPage {
        EnvoyStatisticsPage(try await admin.get("/stats?filter=\(Self.filter)"))
    }

    /// Counters of refused changes: of content that is wrong, and of files that can't be read.
    private static func refusals(in page: EnvoyStatisticsPage) -> [String: UInt64] {
        page.numbers.filter { name, _ in
            guard name.hasSuffix(".update_rejected") || name.hasSuffix(".update_failure") else { return false }
            return name.hasPrefix("listener_manager.lds.") || name.hasPrefix("cluster_manager.cds.")
                || name.hasPrefix("http.") && name.contains(".rds.")
        }
    }

    /// What is not as wanted yet; nil when all is.
    private func missing(_ wanted: Wanted, in page: EnvoyStatisticsPage, isStarting: Bool) -> String? {
        func differs(_ name: String, _ version: String?) -> String? {
            guard let version, page.texts[name] != version else { return nil }
            return "\(name) is \(page.texts[name] ?? "missing"), not \(version)"
        }
        if isStarting {
            for (name, value) in [("server.state", UInt64(0)), ("listener_manager.workers_started", 1)]
            where page.numbers[name] != value {
                return "\(name) is \(page.numbers[name].map(String.init) ?? "missing"), not \(value)"
            }
        }
        if let found = differs("cluster_manager.cds.version_text", wanted.clusters) { return found }
        if let found = differs("listener_manager.lds.version_text", wanted.listeners) { return found }
        for (route, version) in wanted.routes {
            let suffix = ".rds.\(EnvoyStatisticsPage.sanitized(route)).version_text"
            let found = page.texts.filter { $0.key.hasSuffix(suffix) }
            if !found.values.contains(version) {
                return "…\(suffix) is \(found.values.first ?? "missing"), not \(version)"
            }
        }
        for (secret, version) in wanted.secrets {
            let name = "sds.\(EnvoyStatisticsPage.sanitized(secret)).version_text"
            // Nobody may use it yet.
            if let found = page.texts[name], found != version { return "\(name) is \(found), not \(version)" }
        }
        for name in ["listener_manager.total_listeners_warming", "cluster_manager.warming_clusters"]
        where page.numbers[name] ?? 0 > 0 {
            return "\(name) is \(page.numbers[name] ?? 0), not 0"
        }
        return nil
    }
}
