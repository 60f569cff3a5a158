extension MeshGenerator {
    mutating func makeFlows() {
        for number in 1...dice.between(8...14) {
            var flow = dice.chance(12) ? podFlow() : outsideFlow()
            flow["id"] = nil
            var entries: [YAMLValue.Entry] = [.init(key: "id", value: .text("f\(number)"))]
            if case .map(let rest) = flow { entries += rest }
            flow = .map(entries)
            if dice.chance(2) { flow["uid"] = 1337 }
            if dice.chance(6) { flow["count"] = 2 }
            flow["expect"] = GeneratedMesh.neutralExpectation
            mesh.flows.append(flow)
        }
        if dice.chance(3) { makeSilentClient() }
        if let greetingPort {
            for host in dice.some(2, of: hosts) {
                let name = host.names.first ?? host.name
                mesh.flows.append([
                    "id": .text("greeting-\(mesh.flows.count + 1)"), "from": "default/client",
                    "to": .text("tcp://\(name):\(greetingPort)"), "body": "",
                    "expect": GeneratedMesh.neutralExpectation,
                ])
            }
        }
    }

    /// One that waits for the server to speak, for as long as its limit; whoever looks for its traces then waits too.
    private mutating func makeSilentClient() {
        guard let host = dice.pick(hosts), let port = dice.pick(ports) else { return }
        let name = host.names.first ?? host.name
        mesh.commands.append([
            "in": "default/client", "run": .text("timeout 0.2 bash -c 'head -n 1 </dev/tcp/\(name)/\(port)'"),
        ])
    }

    // MARK: Statistics

    /// Only counters that do not depend on which of a proxy's threads took a connection.
    mutating func makeAssertions() {
        for _ in 1...dice.between(1...4) {
            let name: String
            if dice.chance(30), let port = dice.pick(ports) {
                let counter = dice.pick("downstream_rq_total", "downstream_rq_4xx", "downstream_rq_5xx")
                name = "http.outbound_0.0.0.0_\(port).\(counter)"
            } else if dice.chance(80), let target = dice.pick(targets), let port = dice.pick(target.ports) {
                let counter = dice.pick(
                    "rq_total", "rq_total", "rq_retry", "rq_timeout", "rq_2xx", "rq_4xx", "rq_5xx", "cx_none_healthy",
                    "cx_connect_fail")
                name = "cluster.outbound|\(port.number)||\(target.host).upstream_\(counter)"
            } else {
                name = dice.pick(
                    "cluster.PassthroughCluster.upstream_rq_total", "cluster.BlackHoleCluster.upstream_cx_none_healthy",
                    "cluster.PassthroughCluster.upstream_cx_connect_fail")
            }
            let assertion: YAMLValue = ["stat": "default/client", "name": .text(name), "atLeast": 0]
            if !mesh.assertions.contains(assertion) { mesh.assertions.append(assertion) }
        }
    }

    private mutating func source() -> String {
        let meshed = pods.filter(\.hasSidecar).map(\.reference)
        if dice.chance(75) { return "default/client" }
        return (dice.chance(80) ? dice.pick(meshed) : dice.pick(pods.map(\.reference))) ?? "default/client"
    }

    // MARK: Pod to pod

    private mutating func podFlow() -> YAMLValue {
        guard let pod = dice.pick(pods.filter { $0.name != "client" }), let port = dice.pick(ports + [8080]) else {
            return outsideFlow()
        }
        let scheme = dice.pick("http", "http", "tcp", "https", "tls")
        var flow: YAMLValue = ["from": .text(source()), "to": .text("\(scheme)://\(pod.reference):\(port)")]
        describe(scheme, &flow, names: ["\(pod.name).default.svc.cluster.local", pod.name], port: port)
        return flow
    }

    // MARK: To a name or an address

    private mutating func outsideFlow() -> YAMLValue {
        let target = dice.chance(75) ? dice.pick(targets) : nil
        var names = target?.names ?? dice.pick(hosts)?.names ?? []
        if names.isEmpty { names = ["a.example"] }
        let known = target.flatMap { dice.pick($0.ports) }
        var port = known?.number ?? dice.pick(ports) ?? 80
        if dice.chance(8) { port = dice.pick(ports + [4444]) ?? 4444 }
        if dice.chance(1) { port = dice.pick(15001, 15006, 15021, 15090) }
        if port == greetingPort { port = ports.first ?? 80 }
        let scheme = scheme(for: known?.protocol ?? "", port)

        let isVIP = target.map { !$0.addresses.isEmpty } ?? false
        let place: String
        let isName: Bool
        if isVIP, dice.chance(40), let address = dice.pick(target?.addresses ?? []) {
            (place, isName) = (address, false)
        } else if dice.chance(20), let address = dice.pick(hosts.flatMap(\.addresses) + Self.foreign) {
            (place, isName) = (address, false)
        } else {
            (place, isName) = (dice.pick(names) ?? "a.example", true)
        }
        let authority = place.contains(":") ? "[\(place)]" : place
        var flow: YAMLValue = ["from": .text(source()), "to": .text("\(scheme)://\(authority):\(port)")]
        // Names that no resolver knows, and lies.
        let resolves = hosts.contains { $0.names.contains(place) } || (target?.isKubernetes ?? false)
        if isName, !resolves || dice.chance(15) {
            flow["address"] = .text(dice.pick(hosts.flatMap(\.addresses) + Self.foreign) ?? "198.51.100.7")
        }
        // A family without an address would be a failed lookup, which no proxy sees.
        let isDual = isName && hosts.contains { !$0.isSingle && $0.names.contains(place) }
        if isDual, flow["address"] == nil, dice.chance(30) { flow["family"] = .text(dice.pick("ipv4", "ipv6")) }
        describe(scheme, &flow, names: names, port: port)
        return flow
    }

    private mutating func scheme(for kind: String, _ port: Int) -> String {
        let usual =
            switch kind {
            case "HTTP", "HTTP2", "GRPC", "GRPC-Web": "http"
            case "TLS", "HTTPS": "https"
            case "": port == 443 || port == 8443 ? "https" : "http"
            default: dice.pick("tcp", "tcp", "http", "https")
            }
        return dice.weighted([usual: 70, "http": 12, "https": 8, "tcp": 6, "tls": 4], or: usual)
    }

    /// What the client says, which needs not fit what it dialled.
    mutating func describe(_ scheme: String, _ flow: inout YAMLValue, names: [String], port: Int) {
        let others = hosts.flatMap(\.names) + targets.flatMap(\.names) + ["unknown.example", "alias.example"]
        switch scheme {
        case "http", "https":
            if scheme == "https", dice.chance(20) { flow["sni"] = .text(serverName(names, others)) }
            if dice.chance(25) { flow["host"] = .text(hostHeader(names, others, port)) }
            describeRequest(&flow)
        case "tls":
            if dice.chance(50) { flow["sni"] = .text(serverName(names, others)) }
        default:
            if dice.chance(30) {
                let name = dice.pick(names) ?? "a.example"
                flow["body"] = dice.pick(
                    "SSH-2.0-client\r\n", "hello\n", "\u{0}\u{1}\u{2}\u{3}",
                    .text("GET /anything HTTP/1.1\r\nHost: \(name)\r\nConnection: close\r\n\r\n"),
                    .text("GET /anything HTTP/1.0\r\nHost: \(name)\r\n\r\n"),
                    .text("get /anything HTTP/1.1\r\nHost: \(name)\r\n\r\n"), "GET /\r\n\r\n",
                    .text("GET /anything HTTP/1.1\nHost: \(name)\n\n"),
                    .text("\r\nGET /anything HTTP/1.1\r\nHost: \(name)\r\n\r\n"),
                    "GET /anything HTTP/3.7\r\n\r\n")
            }
        }
    }

    private mutating func serverName(_ own: [String], _ others: [String]) -> String {
        let name = (dice.chance(40) ? dice.pick(own) : dice.pick(others)) ?? "a.example"
        switch dice.below(8) {
        case 0: return name.uppercased()
        case 1: return "sub." + name
        default: return name
        }
    }

    private mutating func hostHeader(_ own: [String], _ others: [String], _ port: Int) -> String {
        let name = (dice.chance(45) ? dice.pick(own) : dice.pick(others)) ?? "a.example"
        switch dice.below(20) {
        case 0: return name.uppercased()
        case 1: return "\(name):\(port)"
        case 2: return "\(name):9999"
        case 3: return name + "."
        case 4: return "\(name).:\(port)"
        case 5: return "sub." + name
        case 6: return dice.pick(hosts.flatMap(\.addresses)).map { $0.contains(":") ? "[\($0)]:\(port)" : $0 } ?? name
        case 7: return dice.pick("", "*", "a b", "user@\(name)", "\(name):", "[::1", "a_b.example")
        default: return name
        }
    }

    private mutating func describeRequest(_ flow: inout YAMLValue) {
        var path = dice.pick(Self.paths) ?? "/"
        switch dice.below(60) {
        case 0: path = "/anything/" + String(repeating: "long/", count: 400)
        case 1: path = "http://\(dice.pick(hosts)?.names.first ?? "a.example")/anything/absolute"
        case 2: path = "https://unknown.example:8443/get"
        case 3: path = "/anything#fragment"
        default: break
        }
        if path != "/" { flow["path"] = .text(path) }
        let method = dice.weighted(
            [
                "GET": 74, "POST": 8, "HEAD": 4, "OPTIONS": 3, "DELETE": 2, "PUT": 3, "PATCH": 2, "TRACE": 1,
                "PROPFIND": 1, "PURGE": 1,
            ], or: "GET")
        if method != "GET" { flow["method"] = .text(method) }
        if method == "OPTIONS", dice.chance(30) { flow["path"] = "*" }
        if ["POST", "PUT", "PATCH"].contains(method) || dice.chance(2) {
            flow["body"] = .text(dice.pick("item=1", "", String(repeating: "0123456789", count: 500)))
        }
        if dice.chance(9) { flow["httpVersion"] = "1.0" }
        guard dice.chance(30) else { return }
        var headers: YAMLValue = [:]
        for _ in 1...dice.between(1...2) {
            let name = dice.pick(Self.headerNames) ?? "x-a"
            headers[name] = .text(dice.pick(Self.headerValues) ?? "1")
        }
        switch dice.below(14) {
        case 0: headers["connection"] = "close"
        case 1: headers["x-forwarded-for"] = "192.0.2.1"
        case 2: headers["x-request-id"] = "11111111-2222-4333-8444-555555555555"
        case 3: headers["x-envoy-upstream-rq-timeout-ms"] = "500"
        case 4: headers["te"] = "trailers"
        case 5: headers["x-a"] = ["1", "2"]
        case 6: headers["x-forwarded-proto"] = "https"
        case 7: headers["x-empty"] = ""
        case 8: headers["server"] = "mine"
        case 9: headers["x-envoy-retry-on"] = "5xx"
        default: break
        }
        flow["headers"] = headers
    }
}
