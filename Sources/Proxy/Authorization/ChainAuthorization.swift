import ProxyModel

/// What a filter chain asks before it lets something through, made ready for use.
final class ChainAuthorization: Sendable {
    enum HTTPStep: Sendable {
        case rbac(CompiledRBAC)
        case external(CompiledExternalAuthorization)
    }

    /// For a TCP chain's connections.
    let connection: [CompiledRBAC]
    /// For an HTTP chain's requests.
    let request: [HTTPStep]

    /// nil where the chain asks nothing.
    init?(_ chain: FilterChain) throws {
        connection = try (chain.authorization ?? []).map(CompiledRBAC.init)
        if case .httpConnectionManager(let manager) = chain.filter {
            request = try (manager.httpFilters ?? []).map { filter in
                switch filter {
                case .rbac(let rbac): .rbac(try CompiledRBAC(rbac))
                case .externalAuthorization(let filter): .external(try CompiledExternalAuthorization(filter))
                }
            }
        } else {
            request = []
        }
        if connection.isEmpty, request.isEmpty { return nil }
    }
}

/// The authorization of all chains of a configuration.
struct AuthorizationTable: Sendable {
    private var chains: [String: [String: ChainAuthorization]] = [:]

    init(_ listeners: [Listener]) throws {
        for listener in listeners where chains[listener.name] == nil {
            var found: [String: ChainAuthorization] = [:]
            for chain in listener.filterChains + (listener.defaultFilterChain.map { [$0] } ?? [])
            where found[chain.name] == nil {
                found[chain.name] = try ChainAuthorization(chain)
            }
            if !found.isEmpty { chains[listener.name] = found }
        }
    }

    subscript(listener: String, chain: String) -> ChainAuthorization? { chains[listener]?[chain] }
}

extension DownstreamConnection {
    /// What stands in force for the connection's chain; that of before where the chain is gone.
    func currentAuthorization(_ worker: ProxyWorker) -> ChainAuthorization? {
        guard let snapshot = worker.snapshot, authorizedBy !== snapshot, let listener, let chain else {
            return authorization
        }
        authorizedBy = snapshot
        if snapshot.listeners.named(listener.name)?.chain(named: chain.name) != nil {
            authorization = snapshot.authorizations[listener.name, chain.name]
        }
        return authorization
    }
}

/// The counters of one RBAC filter.
struct RBACCounters {
    let allowed: Counter
    let denied: Counter
    let shadowAllowed: Counter
    let shadowDenied: Counter

    /// - Parameter prefix: `http.PREFIX.` or `tcp.`.
    init(_ statistics: ProxyStatistics, prefix: String, shadowPrefix: String) {
        let shadowPrefix = shadowPrefix.isEmpty ? "" : shadowPrefix + "."
        allowed = statistics.counter("\(prefix)rbac.allowed")
        denied = statistics.counter("\(prefix)rbac.denied")
        shadowAllowed = statistics.counter("\(prefix)rbac.\(shadowPrefix)shadow_allowed")
        shadowDenied = statistics.counter("\(prefix)rbac.\(shadowPrefix)shadow_denied")
    }
}

/// Why something did not get through.
struct RBACDenial: Equatable {
    /// `rbac_access_denied_matched_policy[ns[NS]-policy[NAME]-rule[0]]`, or `[none]`.
    var details: String
    var origin: ConfigurationOrigin?
}

extension CompiledRBAC {
    /// Evaluates both sets of rules and counts. Without a denial it may pass; `shadowPolicy` is the shadow rules' match,
    /// which filters behind this one look at.
    func check(
        _ subject: AuthorizationSubject, _ counters: RBACCounters
    ) -> (denial: RBACDenial?, shadowPolicy: String?) {
        let shadow = shadowRules?.decide(subject)
        if let shadow { (shadow.isAllowed ? counters.shadowAllowed : counters.shadowDenied).add() }
        guard let decision = rules?.decide(subject) else { return (nil, shadow?.policy) }
        guard !decision.isAllowed else {
            counters.allowed.add()
            return (nil, shadow?.policy)
        }
        counters.denied.add()
        let details = "rbac_access_denied_matched_policy[\(decision.policy ?? "none")]"
        return (RBACDenial(details: details, origin: decision.origin), shadow?.policy)
    }
}
