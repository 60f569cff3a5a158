/// Comparisons of host names and wildcards as Istio makes them; all names are lower case.
enum HostPattern {
    /// True when every name that `host` stands for is one that `pattern` stands for.
    static func covers(_ pattern: String, _ host: String) -> Bool {
        if pattern == "*" || pattern == host { return true }
        guard pattern.hasPrefix("*") else { return false }
        let suffix = pattern.dropFirst()
        let name = host.hasPrefix("*") ? host.dropFirst() : host[...]
        // `*.x` does not stand for `.x` itself, but `*.a.x` is inside `*.x`.
        return name.hasSuffix(suffix) && name.utf8.count > suffix.utf8.count
    }

    /// True when some name is meant by both: symmetric, so `*.com` and `*.foo.com` intersect.
    static func intersects(_ a: String, _ b: String) -> Bool { covers(a, b) || covers(b, a) }

    /// A name without dots belongs to the namespace of the resource that says it.
    static func qualified(_ host: String, namespace: String) -> String {
        let lower = host.lowercased()
        return lower.contains(".") || lower.contains("*") ? lower : "\(lower).\(namespace).svc.cluster.local"
    }

    /// The most specific pattern that covers `host`.
    static func mostSpecific(of patterns: some Sequence<String>, covering host: String) -> String? {
        patterns.filter { covers($0, host) }.max { specificity($0) < specificity($1) }
    }

    /// Exact names before long wildcards before short ones.
    static func specificity(_ pattern: String) -> Int {
        pattern.hasPrefix("*") ? pattern.utf8.count : Int.max
    }
}
