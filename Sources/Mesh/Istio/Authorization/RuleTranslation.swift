import Manifests
import NetworkAddresses
import ProxyModel

/// Turns one rule of an AuthorizationPolicy into what a proxy evaluates, as Istio does.
struct RuleTranslation {
    /// A field that connections without HTTP don't have.
    struct HTTPOnly: Error {
        let field: String
    }

    /// The condition of one field, made of its values and their `not` form.
    private struct Term<Matcher> {
        var field: String
        var values: AuthorizationPolicy.Values
        var isHTTPOnly = false
        var make: (String) -> Matcher?
    }

    let policy: AuthorizationPolicy
    let rule: AuthorizationPolicy.Rule
    let isTCP: Bool
    /// The mesh's own trust domain, then its aliases.
    let trustDomains: [String]
    /// For ALLOW a field that can't be evaluated takes the rule with it; for the others only itself.
    let isStrict: Bool

    /// The fields that were left out because there is no HTTP to ask about.
    private(set) var droppedFields: [String] = []

    init(
        _ rule: AuthorizationPolicy.Rule, of policy: AuthorizationPolicy, isTCP: Bool, trustDomains: [String]
    ) {
        self.policy = policy
        self.rule = rule
        self.isTCP = isTCP
        self.trustDomains = trustDomains
        isStrict = policy.action == .allow
    }

    /// Throws where nothing remains of the rule.
    mutating func translate() throws(HTTPOnly) -> (permissions: [RBACPermission], principals: [RBACPrincipal]) {
        var permissions: [RBACPermission] = []
        let conditions = permissionConditions
        for operation in rule.to.isEmpty ? [AuthorizationPolicy.Operation()] : rule.to {
            permissions.append(.and(try permission(terms(of: operation) + conditions)))
        }
        var principals: [RBACPrincipal] = []
        let others = principalConditions
        for source in rule.from.isEmpty ? [AuthorizationPolicy.Source()] : rule.from {
            principals.append(.and(try principal(terms(of: source) + others)))
        }
        return (permissions, principals)
    }

    // MARK: Terms

    private func terms(of operation: AuthorizationPolicy.Operation) -> [Term<RBACPermission>] {
        [
            Term(field: "hosts", values: operation.hosts, isHTTPOnly: true) {
                .header(Self.header(":authority", $0, ignoresCase: true))
            },
            Term(field: "methods", values: operation.methods, isHTTPOnly: true) {
                .header(Self.header(":method", $0))
            },
            Term(field: "paths", values: operation.paths, isHTTPOnly: true, make: Self.path),
            Term(field: "ports", values: operation.ports) { UInt16($0).map(RBACPermission.destinationPort) },
        ]
    }

    private var permissionConditions: [Term<RBACPermission>] {
        rule.when.compactMap { condition in
            let (key, values) = (condition.key.value, condition.values)
            return switch key {
            case "destination.ip":
                Term(field: key, values: values) { IPPrefix($0).map(RBACPermission.destinationIP) }
            case "destination.port":
                Term(field: key, values: values) { UInt16($0).map(RBACPermission.destinationPort) }
            case "connection.sni": Term(field: key, values: values) { .requestedServerName(Self.match($0)) }
            default: nil
            }
        }
    }

    private func terms(of source: AuthorizationPolicy.Source) -> [Term<RBACPrincipal>] {
        [
            Term(field: "principals", values: migrated(source.principals), make: Self.identity),
            Term(field: "requestPrincipals", values: source.requestPrincipals, isHTTPOnly: true) {
                Self.requestPrincipal($0)
            },
            Term(field: "serviceAccounts", values: source.serviceAccounts, make: serviceAccount),
            Term(field: "trustDomains", values: source.trustDomains, make: Self.trustDomain),
            Term(field: "namespaces", values: source.namespaces, make: Self.namespace),
            Term(field: "remoteIpBlocks", values: source.remoteIpBlocks) { IPPrefix($0).map(RBACPrincipal.remoteIP) },
            Term(field: "ipBlocks", values: source.ipBlocks) { IPPrefix($0).map(RBACPrincipal.directRemoteIP) },
        ]
    }

    private var principalConditions: [Term<RBACPrincipal>] {
        rule.when.compactMap { condition in
            let (key, values) = (condition.key.value, condition.values)
            switch key {
            case "source.ip": return Term(field: key, values: values) { IPPrefix($0).map(RBACPrincipal.directRemoteIP) }
            case "remote.ip": return Term(field: key, values: values) { IPPrefix($0).map(RBACPrincipal.remoteIP) }
            case "source.namespace": return Term(field: key, values: values, make: Self.namespace)
            case "source.principal": return Term(field: key, values: migrated(values), make: Self.identity)
            case "source.serviceAccount": return Term(field: key, values: values, make: serviceAccount)
            case "request.auth.principal":
                return Term(field: key, values: values, isHTTPOnly: true) { Self.requestPrincipal($0) }
            case "request.auth.audiences":
                return Term(field: key, values: values, isHTTPOnly: true) { .claim(["aud"], Self.match($0)) }
            case "request.auth.presenter":
                return Term(field: key, values: values, isHTTPOnly: true) { .claim(["azp"], Self.match($0)) }
            default: break
            }
            if let name = Self.bracketed(key, after: "request.headers") {
                return Term(field: key, values: values, isHTTPOnly: true) {
                    .header(Self.header(name.lowercased(), $0))
                }
            }
            if let name = Self.bracketed(key, after: "request.auth.claims") {
                let path = name.replacing("][", with: "\n").split(separator: "\n").map(String.init)
                return Term(field: key, values: values, isHTTPOnly: true) { .claim(path, Self.match($0)) }
            }
            return nil
        }
    }

    // MARK: Putting together

    private mutating func permission(_ terms: [Term<RBACPermission>]) throws(HTTPOnly) -> [RBACPermission] {
        var all: [RBACPermission] = []
        for term in terms {
            guard let (values, notValues) = try matchers(term) else { continue }
            if !values.isEmpty { all.append(.or(values)) }
            if !notValues.isEmpty { all.append(.not(.or(notValues))) }
        }
        return all.isEmpty ? [.any] : all
    }

    private mutating func principal(_ terms: [Term<RBACPrincipal>]) throws(HTTPOnly) -> [RBACPrincipal] {
        var all: [RBACPrincipal] = []
        for term in terms {
            guard let (values, notValues) = try matchers(term) else { continue }
            if !values.isEmpty { all.append(.or(values)) }
            if !notValues.isEmpty { all.append(.not(.or(notValues))) }
        }
        return all.isEmpty ? [.any] : all
    }

    private mutating func matchers<Matcher>(
        _ term: Term<Matcher>
    ) throws(HTTPOnly) -> (values: [Matcher], notValues: [Matcher])? {
        if term.values.isEmpty { return nil }
        if term.isHTTPOnly, isTCP {
            if isStrict { throw HTTPOnly(field: term.field) }
            if !droppedFields.contains(term.field) { droppedFields.append(term.field) }
            return nil
        }
        return (
            term.values.values.compactMap { term.make($0.value) },
            term.values.notValues.compactMap { term.make($0.value) }
        )
    }

    // MARK: Texts

    /// Exact, `prefix*`, `*suffix`, or `*` for anything but nothing.
    static func match(_ text: String, prefix: String = "") -> StringMatch {
        if text == "*" { return .regex(".+") }
        if text.hasPrefix("*") {
            let rest = String(text.dropFirst())
            return prefix.isEmpty ? .suffix(rest) : .regex("\(prefix).*\(rest)")
        }
        if text.hasSuffix("*") { return .prefix(prefix + text.dropLast()) }
        return .exact(prefix + text)
    }

    private static func header(_ name: String, _ text: String, ignoresCase: Bool = false) -> RBACHeaderMatch {
        RBACHeaderMatch(
            name: name, match: text == "*" ? .present : match(text), ignoresCase: ignoresCase && text != "*")
    }

    private static func path(_ text: String) -> RBACPermission {
        guard text.contains("{") else { return .urlPath(match(text)) }
        return .uriTemplate(text.replacing("{*}", with: "*").replacing("{**}", with: "**"))
    }

    private static func identity(_ text: String) -> RBACPrincipal {
        .authenticated(match(text, prefix: "spiffe://"))
    }

    private static func namespace(_ text: String) -> RBACPrincipal {
        .authenticated(.regex(".*/ns/\(text.replacing("*", with: ".*"))/.*"))
    }

    private static func trustDomain(_ text: String) -> RBACPrincipal {
        .authenticated(.regex("spiffe://\(text.replacing("*", with: "[^/]*"))/.*"))
    }

    private func serviceAccount(_ text: String) -> RBACPrincipal {
        let parts = text.split(separator: "/", maxSplits: 1)
        let (namespace, name) =
            parts.count == 2 ? (String(parts[0]), String(parts[1])) : (policy.metadata.namespace, text)
        return .authenticated(.regex("spiffe://.+/ns/\(namespace)/(.+/|)sa/\(name)(/.+)?"))
    }

    /// `ISSUER/SUBJECT`; the issuer may be a URL.
    private static func requestPrincipal(_ text: String) -> RBACPrincipal {
        let any = StringMatch.regex(".+")
        guard text != "*" else { return .and([.claim(["iss"], any), .claim(["sub"], any)]) }
        guard let slash = text.lastIndex(of: "/") else {
            return text.hasPrefix("*")
                ? .and([.claim(["iss"], any), .claim(["sub"], match(text))])
                : .and([.claim(["iss"], match(text)), .claim(["sub"], any)])
        }
        let (issuer, subject) = (String(text[..<slash]), String(text[text.index(after: slash)...]))
        return .and([.claim(["iss"], match(issuer)), .claim(["sub"], match(subject))])
    }

    private static func bracketed(_ key: String, after name: String) -> String? {
        guard key.hasPrefix(name + "["), key.hasSuffix("]") else { return nil }
        return String(key.dropFirst(name.count + 1).dropLast())
    }

    /// A principal of the mesh's trust domain is meant under each of its aliases, too.
    private func migrated(_ values: AuthorizationPolicy.Values) -> AuthorizationPolicy.Values {
        func migrated(_ list: [Located<String>]) -> [Located<String>] {
            list.flatMap { value -> [Located<String>] in
                guard let slash = value.value.firstIndex(of: "/"), trustDomains.count > 1 else { return [value] }
                let domain = String(value.value[..<slash])
                guard trustDomains.contains(domain) || domain == "cluster.local" else { return [value] }
                let names = trustDomains + (trustDomains.contains(domain) ? [] : [domain])
                return names.map { Located($0 + value.value[slash...], at: value.location) }
            }
        }
        return AuthorizationPolicy.Values(migrated(values.values), not: migrated(values.notValues))
    }
}
