extension MeshGenerator {
    /// Paths that rules name and clients ask for.
    static let paths = [
        "/", "/get", "/ip", "/anything", "/anything/a", "/anything/A", "/ANYTHING/a", "/anything/a%2Fb",
        "/anything/a%2fb", "/anything//b", "//anything", "/anything/../get", "/anything/./a", "/status/204",
        "/status/404", "/status/503", "/status/2044", "/get?x=1", "/anything?x=1&y=2", "/anything?y", "/anything?x=",
        "/?only=query", "/headers", "/delay/1.5", "/anything/%zz", "/anything/%00", "/anything/a;b=c",
        "/anything/a\\b", "/anything?x=a%20b", "/user-agent",
    ]
    private static let prefixes = ["/", "/any", "/anything", "/anything/", "/anything/a", "/status", "/delay", "/get"]
    private static let expressions = [
        "/status/2\\d\\d", "/anything/.*", ".*", "/(get|ip)", "/[a-z]+/[A-Z]?.*", "/anything(\\?.*)?", "(?i)/anything",
    ]
    static let headerNames = ["x-a", "x-canary", "user-agent", "cookie", "x-missing", "X-Mixed-Case"]
    static let headerValues = ["1", "yes", "a=b", "curl/8.5.0", "egress-lab"]

    mutating func makeVirtualService(_ number: Int) {
        guard let target = dice.pick(targets) else { return }
        var host = target.host
        if target.isKubernetes, dice.chance(50) { host = target.names.last ?? host }
        if dice.chance(8) { host = "alias.example" }
        if dice.chance(6) { host = Self.covering(target.host) }
        var spec: YAMLValue = ["hosts": [.text(host)]]
        if dice.chance(10) { spec["gateways"] = ["mesh"] }
        let tlsPorts = target.ports.filter { $0.protocol == "TLS" || $0.protocol == "HTTPS" }
        let hasHTTP = tlsPorts.isEmpty || dice.chance(40)
        if hasHTTP {
            spec["http"] = .list((1...dice.between(1...3)).map { httpRoute($0, target) })
        }
        if !tlsPorts.isEmpty, host.contains("."), !hasHTTP || dice.chance(50) {
            spec["tls"] = .list((1...dice.between(1...2)).map { _ in tlsRoute(target, host: host) })
        }
        guard spec["http"] != nil || spec["tls"] != nil else { return }
        if let exports = exportTo() { spec["exportTo"] = exports }
        let namespace = dice.chance(10) ? dice.pick(namespaces) ?? "default" : target.namespace
        mesh.virtualServices.append(object("VirtualService", "routes-\(number)", namespace: namespace, spec: spec))
        if host == "alias.example" {
            targets.append(
                Target(host: host, names: [host], namespace: "default", ports: [(80, "HTTP")], addresses: []))
        }
    }

    // MARK: HTTP

    private mutating func httpRoute(_ number: Int, _ target: Target) -> YAMLValue {
        var route: YAMLValue = [:]
        if dice.chance(60) { route["name"] = .text("rule-\(number)") }
        let matches = (0..<dice.weighted([0: 25, 1: 55, 2: 20], or: 1)).map { _ in httpMatch(target) }
        if !matches.isEmpty { route["match"] = .list(matches) }
        route["route"] = .list(destinations(target))
        if dice.chance(25) { route["timeout"] = .text(dice.pick("0.5s", "0.6s", "0s", "3s")) }
        if dice.chance(30) {
            var retries: YAMLValue = ["attempts": .number(dice.below(3))]
            if retries["attempts"] != 0 {
                if dice.chance(60) {
                    retries["retryOn"] = .text(
                        dice.pick("5xx", "503", "gateway-error", "connect-failure", "reset", "retriable-4xx", "404,5xx")
                    )
                }
                if dice.chance(25) { retries["perTryTimeout"] = "0.5s" }
            }
            route["retries"] = retries
        }
        return route
    }

    private mutating func httpMatch(_ target: Target) -> YAMLValue {
        var match: YAMLValue = [:]
        if dice.chance(15) { match["name"] = "part" }
        for _ in 1...dice.weighted([1: 70, 2: 25, 3: 5], or: 1) { addCondition(to: &match, target) }
        return match
    }

    private mutating func addCondition(to match: inout YAMLValue, _ target: Target) {
        switch dice.below(16) {
        case 0...5:
            match["uri"] = uriMatch()
            if dice.chance(15) { match["ignoreUriCase"] = true }
        case 6: match["method"] = .map([.init(key: "exact", value: .text(dice.pick("GET", "POST", "OPTIONS")))])
        case 7, 8: match["headers"] = fieldMatch(Self.headerNames)
        case 9: match["withoutHeaders"] = fieldMatch(Self.headerNames)
        case 10, 11: match["queryParams"] = fieldMatch(["x", "y", "only"])
        case 12:
            let name = target.names.first ?? "a.example"
            match["authority"] = dice.pick(
                ["exact": .text(name)], ["prefix": .text(String(name.prefix(3)))], ["regex": ".*\\.example(:\\d+)?"],
                ["exact": .text("\(name):\(target.ports.first?.number ?? 80)")])
        case 13: match["scheme"] = ["exact": .text(dice.pick("http", "https"))]
        case 14: if let port = dice.pick(ports) { match["port"] = .number(port) }
        default:
            if dice.chance(70) {
                match["sourceLabels"] = ["app": .text(dice.pick("client", "web"))]
            } else {
                match["sourceNamespace"] = .text(dice.pick("default", "other"))
            }
        }
    }

    private mutating func uriMatch() -> YAMLValue {
        switch dice.below(4) {
        case 0:
            let path = (dice.pick(Self.paths) ?? "/").prefix { $0 != "?" }
            return ["exact": .text(String(path))]
        case 1, 2: return ["prefix": .text(dice.pick(Self.prefixes) ?? "/")]
        default: return ["regex": .text(dice.pick(Self.expressions) ?? ".*")]
        }
    }

    private mutating func fieldMatch(_ names: [String]) -> YAMLValue {
        let value = dice.pick(Self.headerValues) ?? "1"
        let condition: YAMLValue = dice.pick(
            [:], ["exact": .text(value)], ["exact": .text(value)], ["prefix": .text(String(value.prefix(1)))],
            ["regex": ".*[0-9]"])
        return .map([.init(key: dice.pick(names) ?? "x-a", value: condition)])
    }

    // MARK: TLS

    private mutating func tlsRoute(_ target: Target, host: String) -> YAMLValue {
        var match: YAMLValue = ["sniHosts": [.text(host)]]
        let covered = target.names.filter { host.hasPrefix("*.") && $0.hasSuffix(host.dropFirst()) }
        if !covered.isEmpty, dice.chance(60) { match["sniHosts"] = .texts(covered) }
        let numbers = target.ports.filter { $0.protocol == "TLS" || $0.protocol == "HTTPS" }.map(\.number)
        if dice.chance(60), let port = dice.pick(numbers) { match["port"] = .number(port) }
        if dice.chance(10) { match["destinationSubnets"] = [.text(dice.pick("203.0.113.0/28", "198.51.100.0/24"))] }
        if dice.chance(10) { match["sourceLabels"] = ["app": "client"] }
        return ["match": [match], "route": .list(destinations(target))]
    }

    // MARK: Destinations

    private mutating func destinations(_ target: Target) -> [YAMLValue] {
        let first = destination(target)
        guard dice.chance(15) else { return [first] }
        var (one, two) = (first, destination(dice.pick(targets) ?? target))
        let isFirst = dice.chance(50)
        one["weight"] = .number(isFirst ? 100 : 0)
        two["weight"] = .number(isFirst ? 0 : 100)
        return [one, two]
    }

    private mutating func destination(_ own: Target) -> YAMLValue {
        let target = dice.chance(55) ? own : dice.pick(targets) ?? own
        var destination: YAMLValue = ["host": .text(target.isKubernetes ? target.names.last ?? "" : target.host)]
        if dice.chance(5) { destination["host"] = "nowhere.example" }
        if dice.chance(25) { destination["subset"] = .text(dice.pick(target.subsets + ["v9"]) ?? "v9") }
        if dice.chance(35), let port = dice.pick(target.ports.map(\.number)) {
            destination["port"] = ["number": .number(port)]
        }
        return ["destination": destination]
    }
}
