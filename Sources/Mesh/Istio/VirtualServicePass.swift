import Manifests
import ProxyModel

/// Turns the rules of a VirtualService into routes and TCP targets (outbound.md §7).
struct VirtualServicePass {
    let context: ProxyContext
    /// Whether the requests came with TLS that ended at this proxy.
    var isTLS = false

    /// Istio's default since 1.1: two retries of what surely did not reach the application.
    static let defaultRetryOn = [
        "connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes",
    ]

    /// The routes for one listener port; nil when no rule is meant for this proxy, so that the rule has no effect.
    func routes(of service: ScopedVirtualService, port: UInt16) -> [Route]? {
        var routes: [Route] = []
        for rule in service.rule.http where !rule.route.isEmpty || rule.redirect != nil || rule.directResponse != nil {
            if rule.match.isEmpty {
                routes.append(route(rule, match: nil, of: service, port: port))
                // A rule without conditions ends the list.
                break
            }
            for match in rule.match where isMeant(match, of: service, port: port) {
                routes.append(route(rule, match: match, of: service, port: port))
            }
        }
        return routes.isEmpty ? nil : routes
    }

    /// The route of a service that no VirtualService covers.
    func defaultRoute(to service: RegistryService, port: RegistryService.Port) -> Route {
        let cluster = ClusterName.outbound(port: port.number, host: service.hostname)
        return Route(
            name: "default", match: RouteMatch(path: .prefix("/")),
            action: .forward(
                ForwardAction(
                    clusters: [WeightedCluster(name: cluster)], timeoutMs: context.defaultTimeoutMs,
                    retries: retries(nil), hashPolicies: ConsistentHashPass(context: context).policies(of: [cluster]))),
            decorator: "\(service.hostname):\(port.number)/*", origin: port.origin.description)
    }

    /// The clusters of a list of destinations, weighted.
    func clusters(
        of destinations: [VirtualService.Destination], in service: ScopedVirtualService, listenerPort: UInt16
    ) -> [WeightedCluster] {
        let weighted = destinations.map { destination in
            let cluster = WeightedCluster(
                name: cluster(of: destination, in: service, listenerPort: listenerPort),
                weight: destinations.count == 1 ? 1 : destination.weight ?? 0)
            return destinations.count == 1 ? cluster : RouteActionPass.weighted(cluster, destination.headers)
        }
        let live = weighted.filter { $0.weight > 0 }
        if !live.isEmpty { return live }
        return weighted.map { cluster in
            var cluster = cluster
            cluster.weight = 1
            return cluster
        }
    }

    /// The route's port, else the service's only one, else the listener's. A cluster nobody made answers NC.
    private func cluster(
        of destination: VirtualService.Destination, in service: ScopedVirtualService, listenerPort: UInt16
    ) -> String {
        let host = service.qualified(destination.host)
        let target = context.scope.service(host)
        let onlyPort = target.flatMap { $0.ports.count == 1 ? $0.ports.first?.number : nil }
        let port = destination.port ?? onlyPort ?? listenerPort
        let metadata = service.rule.metadata
        let object = "VirtualService \(metadata.namespace)/\(metadata.name)"
        if let target {
            if target.port(port) == nil {
                context.diagnostics.warn(
                    "\(object): \(host) has no port \(port); requests get 503 (NC)",
                    remedy: "use one of \(target.ports.map { String($0.number) }.joined(separator: ", "))",
                    at: destination.location)
            } else if let subset = destination.subset {
                warnOfMissing(subset, of: target, object: object, at: destination.location)
            }
        } else {
            context.diagnostics.warn(
                "\(object): destination host \(host) is no service that namespace \(context.namespace) sees; "
                    + "requests get 503 (NC)",
                remedy: "declare it with a ServiceEntry, or write its full name", at: destination.location)
        }
        return ClusterName.outbound(port: port, subset: destination.subset, host: host)
    }

    private func warnOfMissing(
        _ subset: String, of target: RegistryService, object: String, at location: SourceLocation
    ) {
        let match = context.destinationRules.rule(
            for: target.hostname, serviceNamespace: target.namespace, client: context.namespace,
            labels: context.labels)
        if match?.subsets.contains(where: { $0.subset.name == subset }) ?? false { return }
        let namespaces =
            context.namespace == target.namespace ? target.namespace : "\(context.namespace), \(target.namespace)"
        context.diagnostics.warn(
            "\(object): no DestinationRule that counts for clients in namespace \(context.namespace) declares subset "
                + "\(subset) of \(target.hostname); requests get 503 (NC)",
            remedy: "declare it in namespace \(namespaces) or in the root namespace",
            at: location)
    }

    private func isMeant(
        _ match: VirtualService.HTTPMatch, of service: ScopedVirtualService, port: UInt16
    ) -> Bool {
        if let wanted = match.port, wanted != port { return false }
        // With gateways given, Istio ignores where an HTTP request comes from.
        if !match.gateways.isEmpty { return service.isMeant(match.gateways, for: context.gateways) }
        return context.labels.hasAll(match.sourceLabels)
            && (match.sourceNamespace ?? context.namespace) == context.namespace
    }

    private func route(
        _ rule: VirtualService.HTTPRoute, match: VirtualService.HTTPMatch?, of service: ScopedVirtualService,
        port: UInt16
    ) -> Route {
        let clusters = rule.route.isEmpty ? [] : clusters(of: rule.route, in: service, listenerPort: port)
        let matching = match.map(Self.routeMatch) ?? RouteMatch(path: .prefix("/"))
        var name = rule.name
        if let part = match?.name { name = name.map { "\($0).\(part)" } ?? ".\(part)" }
        // `host:port` of the one destination; with several, the rule's own name stands for them.
        var target = "\(service.rule.metadata.name):\(port)"
        if clusters.count == 1,
            let parts = clusters.first?.name.split(separator: "|", omittingEmptySubsequences: false),
            parts.count == 4
        {
            target = "\(parts[3]):\(parts[1])"
        }
        return Route(
            name: name, match: matching, action: action(rule, clusters: clusters, of: service, port: port),
            decorator: target + Self.decoratedPath(matching.path), headers: RouteActionPass.headers(rule),
            fault: rule.fault.map(RouteActionPass.fault),
            cors: rule.route.isEmpty ? nil : rule.corsPolicy.map(RouteActionPass.cors),
            origin: service.rule.origin(at: rule.location).description)
    }

    private func action(
        _ rule: VirtualService.HTTPRoute, clusters: [WeightedCluster], of service: ScopedVirtualService, port: UInt16
    ) -> RouteAction {
        if let redirect = rule.redirect {
            return .redirect(RouteActionPass(listenerPort: port, isTLS: isTLS).redirect(redirect))
        }
        if let response = rule.directResponse { return RouteActionPass.directResponse(response) }
        let mirrors = rule.mirrors.map { mirror in
            RequestMirrorPolicy(
                cluster: cluster(of: mirror.destination, in: service, listenerPort: port),
                perMillion: RouteActionPass.perMillion(mirror.percentage))
        }.filter { $0.perMillion > 0 }
        return .forward(
            ForwardAction(
                clusters: clusters, timeoutMs: rule.timeoutMs ?? context.defaultTimeoutMs,
                retries: retries(rule.retries), hostRewrite: RouteActionPass.hostRewrite(rule),
                pathRewrite: RouteActionPass.pathRewrite(rule.rewrite),
                requestMirrorPolicies: mirrors.isEmpty ? nil : mirrors,
                hashPolicies: ConsistentHashPass(context: context).policies(of: clusters.map(\.name))))
    }

    private func retries(_ asked: VirtualService.Retries?) -> RetryPolicy? {
        guard let asked else {
            return context.isIstio10 ? nil : RetryPolicy(retryOn: Self.defaultRetryOn, numRetries: 2)
        }
        guard asked.attempts > 0 else { return nil }
        let words = asked.retryOn ?? []
        var conditions = words.filter { Int($0) == nil }
        let codes = words.compactMap { Int($0) }
        if conditions.isEmpty, codes.isEmpty { conditions = Self.defaultRetryOn }
        if !codes.isEmpty, !conditions.contains("retriable-status-codes") {
            conditions.append("retriable-status-codes")
        }
        return RetryPolicy(
            retryOn: conditions, numRetries: asked.attempts, perTryTimeoutMs: asked.perTryTimeoutMs ?? 0,
            retriableStatusCodes: codes, baseIntervalMs: asked.backoffMs ?? 25,
            avoidsPreviousHosts: asked.retryIgnorePreviousHosts)
    }

    private static func routeMatch(_ match: VirtualService.HTTPMatch) -> RouteMatch {
        var fields: [RouteMatch.Field] = []
        let pseudo = [(":method", match.method), (":scheme", match.scheme), (":authority", match.authority)]
        for case (let name, let value?) in pseudo {
            fields.append(RouteMatch.Field(name: name, match: value.modelled))
        }
        for (name, value) in match.headers.sorted(by: { $0.key < $1.key }) {
            fields.append(RouteMatch.Field(name: name.lowercased(), match: value.modelled))
        }
        for (name, value) in match.withoutHeaders.sorted(by: { $0.key < $1.key }) {
            fields.append(RouteMatch.Field(name: name.lowercased(), match: value.modelled, inverted: true))
        }
        return RouteMatch(
            path: match.uri?.modelled ?? .prefix("/"), ignoresCase: match.ignoreUriCase, headers: fields,
            queryParameters: match.queryParams.sorted { $0.key < $1.key }.map {
                RouteMatch.Field(name: $0.key, match: $0.value.modelled)
            })
    }

    private static func decoratedPath(_ path: ProxyModel.StringMatch?) -> String {
        switch path {
        case .exact(let text), .regex(let text): text
        case .prefix(let text): text + "*"
        default: "/*"
        }
    }
}

extension VirtualService.StringMatch {
    /// The same in the proxy's terms.
    var modelled: ProxyModel.StringMatch {
        switch self {
        case .exact(let text): .exact(text)
        case .prefix(let text): .prefix(text)
        case .regex(let text): .regex(text)
        case .present: .present
        }
    }
}
