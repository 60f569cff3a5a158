import Manifests
import ProxyModel

/// Makes the RBAC filters of a proxy from the AuthorizationPolicies that select it (gateway.md §6).
struct AuthorizationPass {
    private static let badCustomSuffix = "-deny-due-to-bad-CUSTOM-action"

    private let policies: SelectedPolicies
    private let authorizers: [ExternalAuthorizer]
    private let scope: ProxyScope
    private let trustDomains: [String]
    private let diagnostics: DiagnosticCollector
    /// What a message calls the proxy.
    private let proxyName: String

    init(
        _ index: AuthorizationIndex, pod: ClusterPod, mesh: MeshConfig, trustDomains: [String], scope: ProxyScope,
        diagnostics: DiagnosticCollector
    ) {
        authorizers = mesh.externalAuthorizers ?? []
        self.scope = scope
        policies = index.policies(namespace: pod.id.namespace, labels: pod.labels)
        self.trustDomains = trustDomains
        self.diagnostics = diagnostics
        proxyName = "\(pod.id.namespace)/\(pod.workload)"
    }

    /// The filters of an HTTP chain; nil where no policy selects the proxy.
    func httpFilters() -> [HTTPFilter]? {
        let filters = customFilters() + rbacs(isTCP: false, isTold: true).map(HTTPFilter.rbac)
        return filters.isEmpty ? nil : filters
    }

    /// The filters of a chain whose bytes are not HTTP; nil as above.
    ///
    /// - Parameter isImplied: nobody declared the port, so that nobody is told of what the policies lose there.
    func connectionFilters(isImplied: Bool = false) -> [RBAC]? {
        let filters = badCustomFilters(isTCP: true) + rbacs(isTCP: true, isTold: !isImplied)
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

    // MARK: CUSTOM

    /// The enforced policies of the one provider, and what is said of policies that can't be carried out.
    private var customPolicies: [AuthorizationPolicy] {
        for policy in policies.custom where policy.isDryRun {
            diagnostics.unsupported(
                "\(policy.id): a dry run of action CUSTOM is not supported", at: policy.metadata.location)
        }
        return policies.custom.filter { !$0.isDryRun }
    }

    /// Asks the provider about what the policies match: shadow rules say so to the filter behind them.
    private func customFilters() -> [HTTPFilter] {
        let policies = customPolicies
        guard let provider = policies.first?.provider?.value else { return [] }
        guard let filter = authorization(by: provider, for: policies) else {
            return badCustomFilters(isTCP: false).map(HTTPFilter.rbac)
        }
        let rules = policies.flatMap { translated($0, isTCP: false, isTold: false, prefix: filter.policyPrefix) }
        return [
            .rbac(
                RBAC(
                    shadowRules: RBACRules(action: .deny, policies: rules),
                    shadowRulesStatPrefix: "istio_ext_authz_")), .externalAuthorization(filter),
        ]
    }

    /// As Istio does it, what nobody can be asked about is denied. An HTTP provider is not asked about bytes.
    private func badCustomFilters(isTCP: Bool) -> [RBAC] {
        let policies = customPolicies
        guard let provider = policies.first?.provider?.value, authorization(by: provider, for: policies) == nil else {
            return []
        }
        let rules = policies.flatMap { policy in
            translated(
                policy, isTCP: isTCP, isTold: false, prefix: "istio-ext-authz-\(policy.provider?.value ?? "")-")
        }.map { rule in
            var rule = rule
            rule.name += Self.badCustomSuffix
            return rule
        }
        return [RBAC(rules: RBACRules(action: .deny, policies: rules))]
    }

    /// nil, and said, where the provider can't be asked.
    private func authorization(by provider: String, for policies: [AuthorizationPolicy]) -> ExternalAuthorization? {
        guard let first = policies.first, let place = first.provider?.location else { return nil }
        if let other = policies.first(where: { $0.provider?.value != provider }) {
            warn(
                other, "a proxy asks one provider, and \(first.id) names \(provider)", "name the same provider",
                other.provider?.location ?? place)
            return nil
        }
        guard let authorizer = authorizers.first(where: { $0.name == provider }) else {
            let known = authorizers.map(\.name).joined(separator: ", ")
            warn(
                first, "meshConfig has no extension provider \(provider)",
                known.isEmpty ? "add it to extensionProviders" : "name one of \(known)", place)
            return nil
        }
        guard authorizer.kind == .http else {
            diagnostics.unsupported(
                "\(first.id): envoyExtAuthzGrpc of provider \(provider) is not supported, only envoyExtAuthzHttp",
                at: place)
            return nil
        }
        let host = authorizer.service.value.split(separator: "/").last.map { $0.lowercased() } ?? ""
        guard let service = scope.service(host), service.port(authorizer.port) != nil else {
            warn(
                first, "provider \(provider) is at \(host):\(authorizer.port), which is no Service",
                "write the Service's full name and port", authorizer.service.location)
            return nil
        }
        return authorization(authorizer, at: service.hostname, origin: first.origin(at: place).description)
    }

    private func warn(_ policy: AuthorizationPolicy, _ text: String, _ remedy: String, _ place: SourceLocation) {
        diagnostics.warn("\(policy.id): \(text); what it matches is denied", remedy: remedy, at: place)
    }

    private func authorization(
        _ authorizer: ExternalAuthorizer, at host: String, origin: String
    ) -> ExternalAuthorization {
        func matches(_ names: [String]) -> [StringMatch] { names.map { RuleTranslation.match($0) } }
        return ExternalAuthorization(
            cluster: ClusterName.outbound(port: authorizer.port, host: host), serverName: host,
            timeoutMs: authorizer.timeoutMs ?? 600_000, pathPrefix: authorizer.pathPrefix,
            failureModeAllow: authorizer.failOpen, statusOnError: authorizer.statusOnError ?? 403,
            allowedHeaders: matches(authorizer.includeRequestHeadersInCheck),
            headersToAdd: authorizer.includeAdditionalHeadersInCheck.sorted { $0.key < $1.key }.map {
                HeaderValue(name: $0.key, value: $0.value)
            },
            allowedUpstreamHeaders: matches(authorizer.headersToUpstreamOnAllow),
            allowedClientHeaders: matches(authorizer.headersToDownstreamOnDeny),
            allowedClientHeadersOnSuccess: matches(authorizer.headersToDownstreamOnAllow),
            policyPrefix: "istio-ext-authz-\(authorizer.name)-", origin: origin)
    }

    // MARK: ALLOW, DENY, AUDIT

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

    private func translated(_ policy: AuthorizationPolicy, isTCP: Bool, isTold: Bool, prefix: String = "")
        -> [RBACPolicy]
    {
        let (namespace, name) = (policy.metadata.namespace, policy.metadata.name)
        func policyName(_ rule: Int) -> String { "\(prefix)ns[\(namespace)]-policy[\(name)]-rule[\(rule)]" }
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
