import Manifests

/// Puts the rules of those VirtualServices that others delegate to in their place.
///
/// Source of truth: Istio's `mergeVirtualServicesIfNeeded` and `mergeHTTPRoutes`. One level only; rules whose conditions
/// can't hold together are left out, and the delegated rule's own settings win over the root's, but for `rewrite`.
struct Delegation {
    private(set) var virtualServices: [VirtualService] = []
    private(set) var diagnostics: [Diagnostic] = []

    init(_ resources: ResourceSet) {
        let all = resources.resources(VirtualService.self)
        let delegates = Dictionary(
            all.filter(\.hosts.isEmpty).map { ("\($0.metadata.namespace)/\($0.metadata.name)", $0) }
        ) { first, _ in first }
        for root in all where !root.hosts.isEmpty {
            guard root.http.contains(where: { $0.delegate != nil }) else {
                virtualServices.append(root)
                continue
            }
            var merged = root
            merged.http = root.http.flatMap { rules(of: $0, in: root, delegates) }
            virtualServices.append(merged)
        }
    }

    private mutating func rules(
        of rule: VirtualService.HTTPRoute, in root: VirtualService, _ delegates: [String: VirtualService]
    ) -> [VirtualService.HTTPRoute] {
        guard let reference = rule.delegate else { return [rule] }
        let name = "\(reference.namespace ?? root.metadata.namespace)/\(reference.name)"
        func warn(_ what: String, _ remedy: String) {
            diagnostics.append(Diagnostic(.warning, "\(root.id): \(what)", remedy: remedy, at: reference.location))
        }
        guard let delegate = delegates[name] else {
            warn(
                "there is no VirtualService \(name) without hosts to delegate to, so this rule is not used",
                "apply it, with http alone")
            return []
        }
        let exported = ExportTo(delegate.exportTo, namespace: delegate.metadata.namespace)
        guard exported.includes(root.metadata.namespace) else {
            warn("VirtualService \(name) is not exported to it, so this rule is not used", "extend its exportTo")
            return []
        }
        let result = delegate.http.compactMap { Self.merged(rule, $0, from: delegate) }
        if result.count < delegate.http.count {
            warn(
                "rules of VirtualService \(name) whose conditions can't hold together with these are not used",
                "let the delegate's conditions be narrower than the root's, and no regular expressions")
        }
        return result
    }

    private static func merged(
        _ root: VirtualService.HTTPRoute, _ leaf: VirtualService.HTTPRoute, from delegate: VirtualService
    ) -> VirtualService.HTTPRoute? {
        var result = leaf
        if root.match.isEmpty {
            result.match = leaf.match
        } else if leaf.match.isEmpty {
            result.match = root.match
        } else {
            result.match = root.match.flatMap { outer in leaf.match.compactMap { merged(outer, $0) } }
            if result.match.isEmpty { return nil }
        }
        result.name = joined(root.name, leaf.name)
        result.rewrite = root.rewrite ?? leaf.rewrite
        result.timeoutMs = leaf.timeoutMs ?? root.timeoutMs
        result.retries = leaf.retries ?? root.retries
        result.fault = leaf.fault ?? root.fault
        result.headers = leaf.headers ?? root.headers
        if leaf.mirrors.isEmpty { result.mirrors = root.mirrors }
        // A short name is one in the namespace of the VirtualService that says it.
        let namespace = delegate.metadata.namespace
        for index in result.route.indices {
            result.route[index].host = HostPattern.qualified(result.route[index].host, namespace: namespace)
        }
        return result
    }

    private static func joined(_ root: String?, _ leaf: String?) -> String? {
        guard let root else { return leaf }
        return leaf.map { "\(root)-\($0)" } ?? root
    }

    // MARK: Conditions

    private static func merged(
        _ root: VirtualService.HTTPMatch, _ leaf: VirtualService.HTTPMatch
    ) -> VirtualService.HTTPMatch? {
        let pairs = [
            (root.uri, leaf.uri), (root.scheme, leaf.scheme), (root.method, leaf.method),
            (root.authority, leaf.authority),
        ]
        let maps = [
            (root.headers, leaf.headers), (root.withoutHeaders, leaf.withoutHeaders),
            (root.queryParams, leaf.queryParams),
        ]
        let areCompatible =
            pairs.allSatisfy { isCompatible($0.0, $0.1) }
            && maps.allSatisfy { outer, inner in inner.allSatisfy { isCompatible(outer[$0.key], $0.value) } }
            && (root.port == nil || leaf.port == nil || root.port == leaf.port)
            && root.ignoreUriCase == leaf.ignoreUriCase
        guard areCompatible else { return nil }
        var result = leaf
        result.name = joined(root.name, leaf.name)
        result.uri = leaf.uri ?? root.uri
        result.scheme = leaf.scheme ?? root.scheme
        result.method = leaf.method ?? root.method
        result.authority = leaf.authority ?? root.authority
        result.headers.merge(root.headers) { own, _ in own }
        result.withoutHeaders.merge(root.withoutHeaders) { own, _ in own }
        result.queryParams.merge(root.queryParams) { own, _ in own }
        result.port = leaf.port ?? root.port
        result.sourceLabels = root.sourceLabels
        result.sourceNamespace = root.sourceNamespace
        result.gateways = root.gateways
        return result
    }

    /// Whether the inner condition lies within the outer one; of regular expressions nobody can tell.
    private static func isCompatible(
        _ outer: VirtualService.StringMatch?, _ inner: VirtualService.StringMatch?
    ) -> Bool {
        guard let outer, let inner else { return true }
        switch (outer, inner) {
        case (.regex, _), (_, .regex): return false
        case (.exact(let a), .exact(let b)): return a == b
        case (.exact, .prefix): return false
        case (.prefix(let a), .exact(let b)), (.prefix(let a), .prefix(let b)): return b.hasPrefix(a)
        case (.present, _), (_, .present): return true
        }
    }
}
