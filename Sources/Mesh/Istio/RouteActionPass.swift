import Manifests
import ProxyModel

/// Turns what a VirtualService's rule does besides choosing a destination into Envoy's terms (outbound.md §7).
struct RouteActionPass {
    /// Where the port of a redirect comes from when it is the request's.
    let listenerPort: UInt16
    let isTLS: Bool

    func redirect(_ asked: VirtualService.Redirect) -> RedirectAction {
        var action = RedirectAction(
            responseCode: asked.code, schemeRedirect: Self.given(asked.scheme),
            hostRedirect: Self.given(asked.authority), pathRedirect: Self.given(asked.uri))
        switch asked.port {
        case .number(let number): action.portRedirect = number
        case .fromRequestPort: action.portRedirect = listenerPort
        case .fromProtocolDefault, nil: break
        }
        // What the scheme implies is left out of the URL.
        let scheme = action.schemeRedirect ?? (isTLS ? "https" : "http")
        if action.portRedirect == (scheme == "https" ? 443 : 80) { action.portRedirect = nil }
        return action
    }

    static func directResponse(_ asked: VirtualService.DirectResponse) -> RouteAction {
        .directResponse(status: asked.status, body: String(decoding: asked.body, as: UTF8.self))
    }

    static func fault(_ asked: VirtualService.Fault) -> HTTPFault {
        HTTPFault(
            delay: asked.delay.map {
                HTTPFault.Delay(fixedDelayMs: $0.fixedDelayMs, perMillion: perMillion($0.percentage))
            },
            abort: asked.abort.map { abort in
                let status: HTTPFault.Abort.Status =
                    switch abort.status {
                    case .http(let code): .http(code)
                    case .grpc(let code): .grpc(code)
                    }
                return HTTPFault.Abort(status: status, perMillion: perMillion(abort.percentage))
            })
    }

    static func cors(_ asked: VirtualService.CorsPolicy) -> CorsPolicy {
        CorsPolicy(
            allowOriginStringMatch: asked.allowOrigins.map(\.modelled),
            allowMethods: asked.allowMethods.joined(separator: ","),
            allowHeaders: asked.allowHeaders.joined(separator: ","),
            exposeHeaders: asked.exposeHeaders.joined(separator: ","),
            maxAge: asked.maxAgeMs.map { String($0 / 1000) } ?? "", allowCredentials: asked.allowCredentials,
            forwardNotMatchingPreflights: asked.forwardsUnmatchedPreflights)
    }

    /// How many of a million; Istio cuts what is finer, too.
    static func perMillion(_ percentage: Double) -> Int { Int(percentage * 10_000) }

    static func pathRewrite(_ asked: VirtualService.Rewrite?) -> PathRewrite? {
        if let regex = asked?.uriRegexRewrite { return .regex(pattern: regex.match, substitution: regex.rewrite) }
        return given(asked?.uri).map(PathRewrite.prefix)
    }

    /// The rewrite's own, else what the rule's request headers set; a destination's counts only without either.
    static func hostRewrite(_ rule: VirtualService.HTTPRoute) -> String? {
        let asked = given(rule.rewrite?.authority) ?? authority(rule.headers)
        return asked ?? (rule.route.count == 1 ? authority(rule.route[0].headers) : nil)
    }

    /// The changes of the rule and, where it has one destination only, of that: later ones win.
    static func headers(_ rule: VirtualService.HTTPRoute) -> HeaderMutations? {
        var result = rule.headers.map(mutations) ?? HeaderMutations()
        if rule.route.count == 1, let own = rule.route[0].headers.map(mutations) {
            result.requestHeadersToAdd += own.requestHeadersToAdd
            result.requestHeadersToRemove += own.requestHeadersToRemove
            result.responseHeadersToAdd += own.responseHeadersToAdd
            result.responseHeadersToRemove += own.responseHeadersToRemove
        }
        return result.isEmpty ? nil : result
    }

    /// A destination among several, with its own changes.
    static func weighted(
        _ cluster: WeightedCluster, _ headers: VirtualService.HeaderOperations?
    ) -> WeightedCluster {
        var cluster = cluster
        guard let headers else { return cluster }
        let mutations = mutations(headers)
        cluster.headers = mutations.isEmpty ? nil : mutations
        cluster.hostRewrite = authority(headers)
        return cluster
    }

    private static func mutations(_ operations: VirtualService.HeaderOperations) -> HeaderMutations {
        HeaderMutations(
            requestHeadersToAdd: options(operations.request), requestHeadersToRemove: operations.request.remove,
            responseHeadersToAdd: options(operations.response), responseHeadersToRemove: operations.response.remove)
    }

    private static func options(_ operations: VirtualService.HeaderOperations.Operations) -> [HeaderValueOption] {
        func sorted(_ values: [String: String], _ action: HeaderValueOption.AppendAction) -> [HeaderValueOption] {
            values.filter { !isAuthority($0.key) }.sorted { $0.key < $1.key }.map {
                HeaderValueOption(name: $0.key, value: $0.value, action: action)
            }
        }
        return sorted(operations.set, .overwrite) + sorted(operations.add, .append)
    }

    private static func authority(_ operations: VirtualService.HeaderOperations?) -> String? {
        given(operations?.request.set.first { isAuthority($0.key) }?.value)
    }

    private static func isAuthority(_ name: String) -> Bool { [":authority", "host"].contains(name.lowercased()) }

    private static func given(_ text: String?) -> String? { text.flatMap { $0.isEmpty ? nil : $0 } }
}
