import ProxyModel

/// The listeners, clusters and routes of a configuration as Envoy takes them.
struct EnvoyResources {
    let listeners: [JSON]
    let clusters: [JSON]
    /// By name, in the configuration's order; connection managers that name none of them get an empty one, as a
    /// proxy that misses a table answers 404.
    let routes: [(name: String, table: JSON)]
    /// By name; nil is a secret that contexts name and the configuration lacks.
    let secrets: [(name: String, secret: JSON?)]

    /// `directory`: where route files are; nil puts routes into the listeners.
    init(
        _ configuration: ProxyConfiguration, directory: String?, policyGenerations: [String: Int]
    ) throws(EnvoyRenderingError) {
        var routes: [(name: String, table: JSON)] = []
        for table in configuration.routes {
            routes.append((table.name, try RouteRendering(configuration: table).render()))
        }
        for name in Self.routeNames(configuration.listeners) where !routes.contains(where: { $0.name == name }) {
            let empty = RouteConfiguration(name: name, virtualHosts: [])
            routes.append((name, try RouteRendering(configuration: empty).render()))
        }
        let source: ConnectionManagerRendering.Routes =
            directory.map { directory in .files { directory + "/" + Self.routeFile($0) } }
            ?? .inline(Dictionary(routes.map { ($0.name, $0.table) }, uniquingKeysWith: { first, _ in first }))
        let known = configuration.secrets ?? []
        let missing = configuration.referencedSecrets.subtracting(known.map(\.name)).sorted()
        secrets = known.map { ($0.name, SecretRendering.secret($0)) } + missing.map { ($0, nil) }
        let secretSource: SecretSource =
            directory.map { directory in .files { directory + "/" + Self.secretFile($0) } }
            ?? .inline(available: Set(known.map(\.name)))
        let transportSockets = TransportSocketRendering(secrets: secretSource)
        let clusterRendering = ClusterRendering(
            nameservers: configuration.nameservers, policyGenerations: policyGenerations,
            transportSockets: transportSockets)
        let dnsCache = try configuration.clusters.first { $0.discovery == .dynamicForwardProxy }
            .map { cluster throws(EnvoyRenderingError) in try clusterRendering.dnsCache(of: cluster) }
        let listenerRendering = ListenerRendering(
            accessLog: try AccessLogRendering(configuration),
            connectionManagers: ConnectionManagerRendering(routes: source, dnsCache: dnsCache),
            transportSockets: transportSockets, dnsCache: dnsCache)
        var listeners: [JSON] = []
        for listener in configuration.listeners { listeners.append(try listenerRendering.listener(listener)) }
        var clusters: [JSON] = []
        for cluster in configuration.clusters { clusters.append(try clusterRendering.cluster(cluster)) }
        (self.listeners, self.clusters, self.routes) = (listeners, clusters, routes)
    }

    /// `rds/outbound%7C80.json`: each name its own file.
    static func routeFile(_ name: String) -> String { "rds/\(fileName(name)).json" }

    static func secretFile(_ name: String) -> String { "sds/\(fileName(name)).json" }

    private static func fileName(_ name: String) -> String {
        let safe = name.utf8.map { byte -> String in
            let character = Character(UnicodeScalar(byte))
            if character.isASCII, character.isLetter || character.isNumber || "-_.".contains(character) {
                return String(character)
            }
            let digits = String(byte, radix: 16, uppercase: true)
            return "%" + (digits.count < 2 ? "0" : "") + digits
        }
        return safe.joined()
    }

    /// What the listeners' connection managers refer to, each once.
    private static func routeNames(_ listeners: [Listener]) -> [String] {
        var seen: Set<String> = []
        return listeners.flatMap { $0.filterChains + [$0.defaultFilterChain].compactMap(\.self) }.compactMap { chain in
            guard case .httpConnectionManager(let manager) = chain.filter else { return nil }
            return seen.insert(manager.routeConfiguration).inserted ? manager.routeConfiguration : nil
        }
    }
}
