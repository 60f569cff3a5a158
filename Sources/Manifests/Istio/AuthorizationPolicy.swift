/// `security.istio.io/AuthorizationPolicy`: who may ask what of a workload.
package struct AuthorizationPolicy: Resource, Equatable {
    package enum Action: String, Sendable, CaseIterable {
        case allow = "ALLOW"
        case deny = "DENY"
        case audit = "AUDIT"
        case custom = "CUSTOM"
    }

    /// A field and its `not` form.
    package struct Values: Sendable, Equatable {
        package var values: [Located<String>]
        package var notValues: [Located<String>]

        package init(_ values: [Located<String>] = [], not notValues: [Located<String>] = []) {
            self.values = values
            self.notValues = notValues
        }

        package var isEmpty: Bool { values.isEmpty && notValues.isEmpty }
    }

    /// `from[].source`.
    package struct Source: Sendable, Equatable {
        package var principals = Values()
        package var requestPrincipals = Values()
        package var namespaces = Values()
        package var serviceAccounts = Values()
        package var trustDomains = Values()
        package var ipBlocks = Values()
        package var remoteIpBlocks = Values()

        package init() {}
    }

    /// `to[].operation`.
    package struct Operation: Sendable, Equatable {
        package var hosts = Values()
        package var ports = Values()
        package var methods = Values()
        package var paths = Values()

        package init() {}
    }

    /// One of `when`.
    package struct Condition: Sendable, Equatable {
        package var key: Located<String>
        package var values: Values

        package init(key: Located<String>, values: Values) {
            self.key = key
            self.values = values
        }
    }

    package struct Rule: Sendable, Equatable {
        package var from: [Source]
        package var to: [Operation]
        package var when: [Condition]
        package var location: SourceLocation

        package init(
            from: [Source] = [], to: [Operation] = [], when: [Condition] = [], location: SourceLocation
        ) {
            self.from = from
            self.to = to
            self.when = when
            self.location = location
        }
    }

    package static let kind = "AuthorizationPolicy"
    package var metadata: ObjectMeta
    /// nil: every workload of the namespace; in the root namespace, of the mesh.
    package var selector: [String: String]?
    /// Names objects of the Gateway API or Services of waypoints: proxies that don't exist here.
    package var hasTargetRefs: Bool
    package var action: Action
    /// The name of the extension provider that CUSTOM asks.
    package var provider: Located<String>?
    package var rules: [Rule]
    /// `istio.io/dry-run`: counted, without any effect.
    package var isDryRun: Bool

    package init(
        metadata: ObjectMeta, selector: [String: String]? = nil, hasTargetRefs: Bool = false, action: Action = .allow,
        provider: Located<String>? = nil, rules: [Rule] = [], isDryRun: Bool = false
    ) {
        self.metadata = metadata
        self.selector = selector
        self.hasTargetRefs = hasTargetRefs
        self.action = action
        self.provider = provider
        self.rules = rules
        self.isDryRun = isDryRun
    }
}
