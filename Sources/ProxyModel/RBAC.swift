package import NetworkAddresses

/// Envoy: `extensions.filters.http.rbac.v3.RBAC` and `extensions.filters.network.rbac.v3.RBAC`, which differ in what
/// they see alone.
package struct RBAC: Codable, Equatable, Sendable {
    /// nil: nothing is enforced.
    package var rules: RBACRules?
    /// Evaluated and counted without any effect.
    package var shadowRules: RBACRules?
    /// Stands before `shadow_allowed` and `shadow_denied` in statistics: `istio_dry_run_deny_`.
    package var shadowRulesStatPrefix: String

    package init(rules: RBACRules? = nil, shadowRules: RBACRules? = nil, shadowRulesStatPrefix: String = "") {
        self.rules = rules
        self.shadowRules = shadowRules
        self.shadowRulesStatPrefix = shadowRulesStatPrefix
    }
}

/// Envoy: `config.rbac.v3.RBAC`.
package struct RBACRules: Codable, Equatable, Sendable {
    package enum Action: String, Codable, Sendable {
        /// Only what a policy matches gets through.
        case allow = "ALLOW"
        /// What a policy matches does not get through.
        case deny = "DENY"
        /// Everything gets through.
        case log = "LOG"
    }

    package var action: Action
    package var policies: [RBACPolicy]
    /// The manifest lines behind a refusal for want of a match.
    package var origin: ConfigurationOrigin?

    package init(action: Action, policies: [RBACPolicy], origin: ConfigurationOrigin? = nil) {
        self.action = action
        self.policies = policies
        self.origin = origin
    }
}

/// Envoy: `config.rbac.v3.Policy`. It matches where one of the permissions and one of the principals does.
package struct RBACPolicy: Codable, Equatable, Sendable {
    /// `ns[istio-system]-policy[no-post]-rule[0]`; policies are tried in the order of their names.
    package var name: String
    package var permissions: [RBACPermission]
    package var principals: [RBACPrincipal]
    package var origin: ConfigurationOrigin?

    package init(
        name: String, permissions: [RBACPermission], principals: [RBACPrincipal], origin: ConfigurationOrigin? = nil
    ) {
        self.name = name
        self.permissions = permissions
        self.principals = principals
        self.origin = origin
    }
}

/// How a header of a request is compared.
package struct RBACHeaderMatch: Codable, Equatable, Sendable {
    /// Lower case; or `:method`, `:authority`.
    package var name: String
    package var match: StringMatch
    package var ignoresCase: Bool

    package init(name: String, match: StringMatch, ignoresCase: Bool = false) {
        self.name = name
        self.match = match
        self.ignoresCase = ignoresCase
    }
}

/// Envoy: `config.rbac.v3.Permission`: what is asked for. Those of HTTP never match a connection's bytes.
package indirect enum RBACPermission: Codable, Equatable, Sendable {
    case any
    case and([RBACPermission])
    case or([RBACPermission])
    case not(RBACPermission)
    case header(RBACHeaderMatch)
    /// The path without its query.
    case urlPath(StringMatch)
    /// The path by a template of Envoy's: `*` is a segment, `**` any number of them.
    case uriTemplate(String)
    case destinationIP(IPPrefix)
    case destinationPort(UInt16)
    case requestedServerName(StringMatch)
}

/// Envoy: `config.rbac.v3.Principal`: who asks.
package indirect enum RBACPrincipal: Codable, Equatable, Sendable {
    case any
    case and([RBACPrincipal])
    case or([RBACPrincipal])
    case not(RBACPrincipal)
    /// By the client's certificate: its URIs, else its DNS names, else its subject.
    case authenticated(StringMatch)
    /// The peer's address.
    case directRemoteIP(IPPrefix)
    /// The client's address, as far as proxies on the way tell it.
    case remoteIP(IPPrefix)
    case header(RBACHeaderMatch)
    /// A string in the metadata that Istio's request authentication leaves, at a path of keys. Nothing leaves any here,
    /// so it matches nothing.
    case claim([String], StringMatch)
}

/// An HTTP filter before the router, of those that vary.
package enum HTTPFilter: Codable, Equatable, Sendable {
    case rbac(RBAC)
    case externalAuthorization(ExternalAuthorization)
}

extension RBAC {
    /// The filter as far as it decides anything: a manifest line that moves changes nothing.
    package var withoutOrigins: RBAC {
        var copy = self
        copy.rules = rules?.withoutOrigins
        copy.shadowRules = shadowRules?.withoutOrigins
        return copy
    }
}

extension RBACRules {
    fileprivate var withoutOrigins: RBACRules {
        RBACRules(
            action: action,
            policies: policies.map { RBACPolicy(name: $0.name, permissions: $0.permissions, principals: $0.principals) }
        )
    }
}

extension HTTPFilter {
    /// As for `RBAC`.
    package var withoutOrigins: HTTPFilter {
        switch self {
        case .rbac(let rbac): return .rbac(rbac.withoutOrigins)
        case .externalAuthorization(var filter):
            filter.origin = nil
            return .externalAuthorization(filter)
        }
    }
}

extension ProxyConfiguration {
    /// What one chain asks before it lets something through.
    private struct ChainAuthorization: Equatable {
        var listener: String
        var chain: String
        var connection: [RBAC]
        var request: [HTTPFilter]
    }

    private var authorizations: [ChainAuthorization] {
        listeners.flatMap { listener in
            (listener.filterChains + [listener.defaultFilterChain].compactMap(\.self)).compactMap { chain in
                var request: [HTTPFilter] = []
                if case .httpConnectionManager(let manager) = chain.filter { request = manager.httpFilters ?? [] }
                let connection = chain.authorization ?? []
                if request.isEmpty, connection.isEmpty { return nil }
                return ChainAuthorization(
                    listener: listener.name, chain: chain.name, connection: connection.map(\.withoutOrigins),
                    request: request.map(\.withoutOrigins))
            }
        }
    }

    /// True when both let the same through, whatever else they do.
    package func authorizes(as other: ProxyConfiguration) -> Bool { authorizations == other.authorizations }
}
