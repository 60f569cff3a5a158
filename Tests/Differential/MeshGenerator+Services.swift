extension MeshGenerator {
    // MARK: Kubernetes

    mutating func makeServices() {
        for pod in pods where pod.name != "client" {
            makeService(pod.name, selecting: pod.name)
            if dice.chance(15) { makeService("\(pod.name)-two", selecting: pod.name) }
        }
        if dice.chance(8) { makeService("nobody", selecting: "nobody") }
    }

    private mutating func makeService(_ name: String, selecting label: String) {
        let isHeadless = dice.chance(25)
        var target = Target(
            host: "\(name).default.svc.cluster.local",
            names: ["\(name).default.svc.cluster.local", "\(name).default", name], namespace: "default", ports: [],
            addresses: [], isKubernetes: true)
        var list: [YAMLValue] = []
        for number in dice.some(dice.between(1...3), of: ports) {
            let (prefix, kind) = dice.weighted(
                [
                    ["http", "HTTP"]: 35, ["http2", "HTTP2"]: 3, ["grpc", "GRPC"]: 3, ["tcp", "TCP"]: 18,
                    ["tls", "TLS"]: 8, ["https", "HTTPS"]: 6, ["mongo", "Mongo"]: 2, ["mysql", "MySQL"]: 2,
                    ["redis", "Redis"]: 2, ["web", ""]: 12, ["", ""]: 6,
                ], or: ["tcp", "TCP"]
            ).parts
            var port: YAMLValue = ["port": .number(number)]
            // Kubernetes wants names where there are several ports.
            port["name"] = .text(prefix.isEmpty ? "p-\(number)" : "\(prefix)-\(number)")
            if dice.chance(8) {
                port["appProtocol"] = dice.pick("http", "tcp", "https", "tls", "grpc", "kubernetes.io/h2c")
            }
            // A headless port has its number on the pod, whatever the target says.
            if !isHeadless, dice.chance(35) { port["targetPort"] = .number(dice.pick(8080, 9090, 18080)) }
            list.append(port)
            target.ports.append((number, kind))
        }
        guard !list.isEmpty else { return }
        if list.count == 1, dice.chance(15) { list[0]["name"] = nil }
        var spec: YAMLValue = ["selector": ["app": .text(label)], "ports": .list(list)]
        if isHeadless { spec["clusterIP"] = "None" }
        mesh.services.append(object("Service", name, spec: spec))
        targets.append(target)
    }

    // MARK: ServiceEntries

    mutating func makeServiceEntry(_ number: Int) {
        guard let host = dice.pick(hosts) else { return }
        let isWild = host.name.hasPrefix("*.")
        var names = [isWild && dice.chance(30) ? "www.wild.example" : host.name]
        if dice.chance(12), let other = dice.pick(hosts), other.name != host.name { names.append(other.name) }
        if dice.chance(4) { names = ["gone.example"] }
        if dice.chance(5) { names[0] = names[0].replacing("example", with: "EXAMPLE") }
        let hasWildcard = names.contains { $0.hasPrefix("*") }

        var resolution = dice.weighted(["NONE": 30, "DNS": 32, "STATIC": 25, "DNS_ROUND_ROBIN": 13], or: "NONE")
        // A proxy that resolves a name to two addresses takes either.
        let asked = Set(names.map { $0.lowercased() })
        let resolvesBoth = hosts.contains { !$0.isSingle && !asked.isDisjoint(with: $0.names + [$0.name]) }
        let resolvesSelf = (resolution == "DNS" || resolution == "DNS_ROUND_ROBIN") && (hasWildcard || resolvesBoth)
        let list = entryPorts(resolution)
        guard !list.isEmpty else { return }
        var spec: YAMLValue = ["hosts": .texts(names)]
        let virtual = addresses(resolution, host)
        if !virtual.isEmpty { spec["addresses"] = .texts(virtual) }
        spec["ports"] = .list(list)
        if dice.chance(30) { spec["location"] = dice.pick("MESH_EXTERNAL", "MESH_INTERNAL") }
        let endpoints = entryEndpoints(resolution, ports: list, required: resolvesSelf)
        if resolvesSelf, endpoints.isEmpty { resolution = "NONE" }
        if resolution != "NONE" || dice.chance(50) { spec["resolution"] = .text(resolution) }
        if resolution != "NONE", !endpoints.isEmpty { spec["endpoints"] = .list(endpoints) }
        if let exports = exportTo() { spec["exportTo"] = exports }
        let namespace = dice.chance(15) ? dice.pick(namespaces) ?? "default" : "default"
        mesh.serviceEntries.append(object("ServiceEntry", "entry-\(number)", namespace: namespace, spec: spec))

        for name in names {
            let known = hosts.first { $0.name == name.lowercased() }
            targets.append(
                Target(
                    host: name.lowercased(), names: known?.names ?? [name], namespace: namespace,
                    ports: list.compactMap { port in
                        guard case .number(let number)? = port["number"] else { return nil }
                        return (number, port["protocol"]?.string ?? "")
                    },
                    addresses: virtual.map(Self.member)))
        }
    }

    private mutating func entryPorts(_ resolution: String) -> [YAMLValue] {
        var numbers = dice.some(dice.between(1...3), of: ports)
        if let greetingPort, dice.chance(70) { numbers.append(greetingPort) }
        return numbers.map { number in
            if number == greetingPort {
                return ["number": .number(number), "name": .text("p\(number)"), "protocol": "TCP"]
            }
            let usual =
                switch number {
                case 80, 8080: "HTTP"
                case 443, 8443: "TLS"
                default: "TCP"
                }
            let kind = dice.weighted(
                [
                    usual: 45, "HTTP": 14, "TLS": 10, "HTTPS": 8, "TCP": 10, "": 10, "HTTP2": 2, "GRPC": 2,
                    "GRPC-Web": 1, "Mongo": 2, "MySQL": 2, "Redis": 2,
                ], or: usual)
            var port: YAMLValue = ["number": .number(number), "name": .text("p\(number)")]
            if !kind.isEmpty { port["protocol"] = .text(dice.chance(5) ? kind.lowercased() : kind) }
            if dice.chance(15), let other = dice.pick(ports + [4444]) { port["targetPort"] = .number(other) }
            return port
        }
    }

    private mutating func addresses(_ resolution: String, _ host: Host) -> [String] {
        guard dice.chance(45) else { return [] }
        let takesBlocks = resolution == "NONE" || resolution == "STATIC"
        var result: [String] = []
        for _ in 1...dice.between(1...2) {
            let address =
                switch dice.below(takesBlocks ? 10 : 6) {
                case 0, 1: host.addresses[0]
                case 2, 3: dice.pick("192.0.2.10", "192.0.2.11")
                case 4: "2001:db8:aaaa::10"
                case 5: "198.51.100.7"
                case 6: "203.0.113.0/28"
                case 7: dice.pick("198.51.100.0/24", "198.51.100.0/28")
                case 8: "2001:db8::/32"
                default: dice.pick("0.0.0.0/0", "198.51.0.0/16", "192.0.2.10/32")
                }
            if !result.contains(address) { result.append(address) }
        }
        return result
    }

    /// An address of a block.
    private static func member(_ block: String) -> String {
        let known = [
            "203.0.113.0/28": "203.0.113.11", "198.51.100.0/24": "198.51.100.200", "198.51.100.0/28": "198.51.100.7",
            "2001:db8::/32": "2001:db8:ffff::7", "0.0.0.0/0": "198.51.100.7", "198.51.0.0/16": "198.51.100.7",
            "192.0.2.10/32": "192.0.2.10",
        ]
        return known[block] ?? block
    }

    private mutating func entryEndpoints(_ resolution: String, ports: [YAMLValue], required: Bool) -> [YAMLValue] {
        guard resolution != "NONE" else { return [] }
        let isStatic = resolution == "STATIC"
        guard required || dice.chance(isStatic ? 88 : 35) else { return [] }
        var endpoint: YAMLValue
        let single = hosts.filter { $0.isSingle && !$0.name.hasPrefix("*") }.map(\.name)
        if !isStatic, dice.chance(60), let name = dice.pick(single + (dice.chance(8) ? ["gone.example"] : [])) {
            endpoint = ["address": .text(name)]
        } else {
            endpoint = ["address": .text(dice.pick(hosts.flatMap(\.addresses) + ["198.51.100.50"]) ?? "198.51.100.50")]
        }
        var numbers: YAMLValue = [:]
        for port in ports {
            guard let name = port["name"]?.string, name != "p25", dice.chance(20) else { continue }
            numbers[name] = .number(dice.pick(self.ports + [7000]) ?? 7000)
        }
        // On the pod itself nobody listens on the port "discard": refused at once.
        if greetingPort == nil, dice.chance(7) {
            endpoint["address"] = "127.0.0.1"
            for port in ports { if let name = port["name"]?.string { numbers[name] = 9 } }
        }
        if numbers != [:] { endpoint["ports"] = numbers }
        if dice.chance(30) { endpoint["labels"] = ["version": .text(dice.pick("v1", "v2"))] }
        if dice.chance(10) { endpoint["weight"] = .number(dice.between(1...100)) }
        return [endpoint]
    }

    // MARK: DestinationRules

    mutating func makeDestinationRules() {
        for number in 1...dice.between(1...2) {
            guard let position = targets.indices.randomPosition(&dice) else { return }
            let target = targets[position]
            var spec: YAMLValue = ["host": .text(dice.chance(12) ? Self.covering(target.host) : target.host)]
            if dice.chance(40) {
                spec["trafficPolicy"] = dice.pick(
                    ["loadBalancer": ["simple": "ROUND_ROBIN"]], ["loadBalancer": ["simple": "RANDOM"]],
                    ["tls": ["mode": "DISABLE"]], ["connectionPool": ["tcp": ["connectTimeout": "1s"]]])
            }
            let names = dice.some(dice.between(1...2), of: ["v1", "v2"])
            spec["subsets"] = .list(
                names.map { ["name": .text($0), "labels": ["version": .text($0)]] as YAMLValue })
            if let exports = exportTo() { spec["exportTo"] = exports }
            let namespace = dice.chance(15) ? dice.pick(namespaces) ?? "default" : "default"
            mesh.destinationRules.append(object("DestinationRule", "rule-\(number)", namespace: namespace, spec: spec))
            targets[position].subsets += names
        }
    }

    /// A wildcard that covers the name.
    static func covering(_ host: String) -> String {
        let parts = host.split(separator: ".").dropFirst()
        return parts.isEmpty ? host : "*." + parts.joined(separator: ".")
    }

    // MARK: Sidecars

    mutating func makeSidecars() {
        for namespace in namespaces where namespace == "default" || dice.chance(30) {
            var spec: YAMLValue = [:]
            if dice.chance(30) { spec["workloadSelector"] = ["labels": ["app": "client"]] }
            var listeners: [YAMLValue] = []
            if dice.chance(15), let port = dice.pick(ports) {
                listeners.append([
                    "port": ["number": .number(port), "name": "p", "protocol": .text(dice.pick("HTTP", "TCP", "TLS"))],
                    "hosts": .texts(scope()),
                ])
            }
            if listeners.isEmpty || dice.chance(70) { listeners.append(["hosts": .texts(scope())]) }
            spec["egress"] = .list(listeners)
            if dice.chance(40) {
                spec["outboundTrafficPolicy"] = ["mode": .text(dice.pick("ALLOW_ANY", "REGISTRY_ONLY"))]
            }
            mesh.sidecars.append(object("Sidecar", "scope", namespace: namespace, spec: spec))
        }
    }

    private mutating func scope() -> [String] {
        var result: [String] = []
        for _ in 1...dice.between(1...2) {
            let element =
                switch dice.below(8) {
                case 0, 1: "./*"
                case 2, 3: "*/*"
                case 4: "~/*"
                case 5: "*/*.example"
                case 6: "istio-system/*"
                default: "*/\(dice.pick(targets)?.host ?? "*")"
                }
            if !result.contains(element) { result.append(element) }
        }
        return result
    }
}

extension Range<Int> {
    /// One of the positions; nil when there is none.
    fileprivate func randomPosition(_ dice: inout Dice) -> Int? {
        isEmpty ? nil : lowerBound + dice.below(count)
    }
}

extension [String] {
    fileprivate var parts: (String, String) { (first ?? "", last ?? "") }
}
