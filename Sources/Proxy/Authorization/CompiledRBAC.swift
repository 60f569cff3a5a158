import NetworkAddresses
import ProxyModel
import RegularExpressions

/// Who asks for what: all that authorization looks at. Without a request it is a connection's first bytes.
struct AuthorizationSubject {
    var source: IPAddress
    /// The client, as far as proxies on the way tell of it.
    var client: IPAddress
    var destination: IPEndpoint
    var serverName: String
    /// nil without TLS of the proxy's own.
    var tls: TLSSession?
    var request: HTTPRequest?

    init(_ connection: DownstreamConnection, request: HTTPRequest? = nil) {
        source = connection.source.address
        client = Self.client(of: request) ?? source
        destination = connection.destination
        serverName = connection.serverName ?? ""
        tls = connection.tls
        self.request = request
    }

    /// Who a proxy before this one had the request from; this one has added its own peer at an edge.
    private static func client(of request: HTTPRequest?) -> IPAddress? {
        guard let last = request?.header("x-forwarded-for")?.split(separator: ",").last else { return nil }
        return IPAddress(String(last.drop { $0 == " " }.prefix { $0 != " " }))
    }

    /// Each value of a header by itself: what several say together is no way around a rule.
    fileprivate func values(of header: String) -> [String] {
        guard let request else { return [] }
        return switch header {
        case ":method": [request.method]
        case ":scheme": [request.scheme]
        case ":authority", "host": [request.authority]
        case ":path": [request.path]
        default: request.head.fields.all(header)
        }
    }
}

/// A filter's rules made ready for evaluation.
struct CompiledRBAC: Sendable {
    let rules: CompiledRBACRules?
    let shadowRules: CompiledRBACRules?
    let shadowRulesStatPrefix: String

    init(_ model: RBAC) throws {
        rules = try model.rules.map(CompiledRBACRules.init)
        shadowRules = try model.shadowRules.map(CompiledRBACRules.init)
        shadowRulesStatPrefix = model.shadowRulesStatPrefix
    }
}

/// Envoy: `RoleBasedAccessControlEngineImpl`.
struct CompiledRBACRules: Sendable {
    /// What was decided, and the policy that matched, if any did.
    struct Decision {
        var isAllowed: Bool
        var policy: String?
        var origin: ConfigurationOrigin?
    }

    private struct Policy: Sendable {
        let name: String
        let permissions: [CompiledPermission]
        let principals: [CompiledPrincipal]
        let origin: ConfigurationOrigin?
    }

    private let action: RBACRules.Action
    private let policies: [Policy]
    private let origin: ConfigurationOrigin?

    init(_ model: RBACRules) throws {
        action = model.action
        origin = model.origin
        policies = try model.policies.map { policy in
            Policy(
                name: policy.name, permissions: try policy.permissions.map(CompiledPermission.init),
                principals: try policy.principals.map(CompiledPrincipal.init), origin: policy.origin)
        }.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    }

    func decide(_ subject: AuthorizationSubject) -> Decision {
        let found = policies.first { policy in
            policy.permissions.contains { $0.matches(subject) } && policy.principals.contains { $0.matches(subject) }
        }
        let isAllowed =
            switch action {
            case .allow: found != nil
            case .deny: found == nil
            case .log: true
            }
        return Decision(isAllowed: isAllowed, policy: found?.name, origin: found?.origin ?? origin)
    }
}

private struct CompiledHeaderMatch: Sendable {
    let name: String
    let match: CompiledStringMatch

    init(_ model: RBACHeaderMatch) throws {
        name = model.name.lowercased()
        match = try CompiledStringMatch(model.match, ignoresCase: model.ignoresCase)
    }

    func matches(_ subject: AuthorizationSubject) -> Bool {
        subject.values(of: name).contains { match.matches($0[...]) }
    }
}

private indirect enum CompiledPermission: Sendable {
    case any
    case and([CompiledPermission])
    case or([CompiledPermission])
    case not(CompiledPermission)
    case header(CompiledHeaderMatch)
    case path(CompiledStringMatch)
    case destinationIP(IPPrefix)
    case destinationPort(UInt16)
    case serverName(CompiledStringMatch)

    init(_ model: RBACPermission) throws {
        self =
            switch model {
            case .any: .any
            case .and(let list): .and(try list.map(CompiledPermission.init))
            case .or(let list): .or(try list.map(CompiledPermission.init))
            case .not(let inner): .not(try CompiledPermission(inner))
            case .header(let header): .header(try CompiledHeaderMatch(header))
            case .urlPath(let match): .path(try CompiledStringMatch(match, ignoresCase: false))
            case .uriTemplate(let template):
                .path(try CompiledStringMatch(.regex(URITemplate.expression(template)), ignoresCase: false))
            case .destinationIP(let prefix): .destinationIP(prefix)
            case .destinationPort(let port): .destinationPort(port)
            case .requestedServerName(let match): .serverName(try CompiledStringMatch(match, ignoresCase: false))
            }
    }

    func matches(_ subject: AuthorizationSubject) -> Bool {
        switch self {
        case .any: true
        case .and(let list): list.allSatisfy { $0.matches(subject) }
        case .or(let list): list.contains { $0.matches(subject) }
        case .not(let inner): !inner.matches(subject)
        case .header(let header): header.matches(subject)
        case .path(let match):
            subject.request.map { match.matches($0.path.prefix { $0 != "?" && $0 != "#" }) } ?? false
        case .destinationIP(let prefix): prefix.contains(subject.destination.address)
        case .destinationPort(let port): subject.destination.port == port
        case .serverName(let match): match.matches(subject.serverName[...])
        }
    }
}

private indirect enum CompiledPrincipal: Sendable {
    case any
    case and([CompiledPrincipal])
    case or([CompiledPrincipal])
    case not(CompiledPrincipal)
    case authenticated(CompiledStringMatch)
    case directRemoteIP(IPPrefix)
    case remoteIP(IPPrefix)
    case header(CompiledHeaderMatch)
    case nobody

    init(_ model: RBACPrincipal) throws {
        self =
            switch model {
            case .any: .any
            case .and(let list): .and(try list.map(CompiledPrincipal.init))
            case .or(let list): .or(try list.map(CompiledPrincipal.init))
            case .not(let inner): .not(try CompiledPrincipal(inner))
            case .authenticated(let match): .authenticated(try CompiledStringMatch(match, ignoresCase: false))
            case .directRemoteIP(let prefix): .directRemoteIP(prefix)
            case .remoteIP(let prefix): .remoteIP(prefix)
            case .header(let header): .header(try CompiledHeaderMatch(header))
            case .claim: .nobody
            }
    }

    func matches(_ subject: AuthorizationSubject) -> Bool {
        switch self {
        case .any: return true
        case .and(let list): return list.allSatisfy { $0.matches(subject) }
        case .or(let list): return list.contains { $0.matches(subject) }
        case .not(let inner): return !inner.matches(subject)
        case .authenticated(let match):
            guard let tls = subject.tls else { return false }
            guard let peer = tls.peer else { return match.matches("") }
            return (peer.uris + peer.dnsNames + [peer.subject]).contains { match.matches($0[...]) }
        case .directRemoteIP(let prefix): return prefix.contains(subject.source)
        case .remoteIP(let prefix): return prefix.contains(subject.client)
        case .header(let header): return header.matches(subject)
        case .nobody: return false
        }
    }
}

/// Envoy: `extensions.path.match.uri_template`.
enum URITemplate {
    private static let segment = "[a-zA-Z0-9\\-._~%!$&'()+,;:@=]+"
    private static let rest = "[a-zA-Z0-9\\-._~%!$&'()+,;:@=/]*"

    /// The expression that means the same as a template.
    static func expression(_ template: String) -> String {
        template.split(separator: "/", omittingEmptySubsequences: false).map { part in
            switch part {
            case "*": segment
            case "**": rest
            default: part.map { #"\.+*?()|[]{}^$"#.contains($0) ? "\\\($0)" : String($0) }.joined()
            }
        }.joined(separator: "/")
    }
}
