import Manifests
import ProxyModel

/// Makes the RBAC filters of a proxy from the AuthorizationPolicies that select it (gateway.md §6).
struct AuthorizationPass {
    private let policies: SelectedPolicies
    private let trustDomains: [String]
    private let diagnostics: DiagnosticCollector
    /// What a message calls the proxy.
    private let proxyName: String

    init(
        _ index: AuthorizationIndex, pod: ClusterPod, trustDomains: [String], diagnostics: DiagnosticCollector
    ) {
        policies = index.policies(namespace: pod.id.namespace, labels: pod.labels)
        self.trustDomains = trustDomains
        self.diagnostics = diagnostics
        proxyName = "\(pod.id.namespace)/\(pod.workload)"
    }

    /// The filters of an HTTP chain; nil where no policy selects the proxy.
    func httpFilters() -> [HTTPFilter]? {
        let filters = rbacs(isTCP: false, isTold: true).map(HTTPFilter.rbac)
        return filters.isEmpty ? nil : filters
    }

    /// The filters of a chain whose bytes are not HTTP; nil as above.
    ///
    /// - Parameter isImplied: nobody declared the port, so that nobody is told of what the policies lose there.
    func connectionFilters(isImplied: Bool = false) -> [RBAC]? {
        let filters = rbacs(isTCP: true, isTold: !isImplied)
        return filters.isEmpty ? nil : filters
    }

    /// Puts the filters that a chain needs into it.
    func authorized(_ chain: FilterChain) -> FilterChain {
        var chain = chain
        switch chain.filter {
        case .httpConnectionManager(var manager):
            manager.httpFilters = httpFilters()
            chain.filter = .httpConnectionManager(manager)
        case .tcpProxy: chain.authorization = connectionFilters()
        }
        return chain
    }

    private func rbacs(isTCP: Bool, isTold: Bool) -> [RBAC] {
        let groups: [(policies: [AuthorizationPolicy], action: RBACRules.Action, shadowPrefix: String)] = [
            (policies.audit, .log, ""), (policies.deny, .deny, "istio_dry_run_deny_"),
            (policies.allow, .allow, "istio_dry_run_allow_"),
        ]
        return groups.compactMap { policies, action, shadowPrefix in
            rbac(policies, action, shadowPrefix) { policy in
                translated(policy, isTCP: isTCP, isTold: isTold && !policy.isDryRun)
            }
        }
    }

    private func rbac(
        _ policies: [AuthorizationPolicy], _ action: RBACRules.Action, _ shadowPrefix: String,
        translate: (AuthorizationPolicy) -> [RBACPolicy]
    ) -> RBAC? {
        if policies.isEmpty { return nil }
        let enforced = rules(policies.filter { !$0.isDryRun }, action, translate)
        let shadow = rules(policies.filter(\.isDryRun), action, translate)
        return RBAC(
            rules: enforced, shadowRules: shadow, shadowRulesStatPrefix: shadow == nil ? "" : shadowPrefix)
    }

    /// nil without policies; with policies of which nothing remains, ALLOW allows nothing.
    private func rules(
        _ policies: [AuthorizationPolicy], _ action: RBACRules.Action,
        _ translate: (AuthorizationPolicy) -> [RBACPolicy]
    ) -> RBACRules? {
        guard !policies.isEmpty else { return nil }
        let origins = policies.map { $0.origin().description }
        return RBACRules(
            action: action, policies: policies.flatMap(translate),
            origin: action == .allow ? origins.joined(separator: "; ") : nil)
    }

    private func translated(_ policy: AuthorizationPolicy, isTCP: Bool, isTold: Bool) -> [RBACPolicy] {
        let (namespace, name) = (policy.metadata.namespace, policy.metadata.name)
        func policyName(_ rule: Int) -> String { "ns[\(namespace)]-policy[\(name)]-rule[\(rule)]" }
        if policy.rules.isEmpty {
            return [
                RBACPolicy(
                    name: policyName(0), permissions: [.not(.any)], principals: [.not(.any)],
                    origin: policy.origin().description)
            ]
        }
        return policy.rules.enumerated().compactMap { index, rule in
            var translation = RuleTranslation(rule, of: policy, isTCP: isTCP, trustDomains: trustDomains)
            do throws(RuleTranslation.HTTPOnly) {
                let (permissions, principals) = try translation.translate()
                if isTold, !translation.droppedFields.isEmpty { tellWidened(policy, rule, translation.droppedFields) }
                return RBACPolicy(
                    name: policyName(index), permissions: permissions, principals: principals,
                    origin: policy.origin("rules[\(index)]", at: rule.location).description)
            } catch {
                if isTold { tellLost(policy, rule, error.field) }
                return nil
            }
        }
    }

    private func tellWidened(_ policy: AuthorizationPolicy, _ rule: AuthorizationPolicy.Rule, _ fields: [String]) {
        guard policy.action == .deny else { return }
        diagnostics.warn(
            "\(policy.id): on ports of \(proxyName) that don't speak HTTP this rule denies without looking at "
                + fields.joined(separator: ", "),
            remedy: "name the HTTP ports in ports, if only those are meant", at: rule.location)
    }

    private func tellLost(_ policy: AuthorizationPolicy, _ rule: AuthorizationPolicy.Rule, _ field: String) {
        diagnostics.warn(
            "\(policy.id): on ports of \(proxyName) that don't speak HTTP this rule allows nothing, because of \(field)",
            remedy: "write another rule for those ports", at: rule.location)
    }
}
