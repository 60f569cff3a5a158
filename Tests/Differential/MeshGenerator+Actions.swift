/// What was added to the meshes later. It draws from a stream of its own, so that what a seed gave before is still there.
extension MeshGenerator {
    mutating func extend() {
        if dice.chance(50) { addActions() }
        if dice.chance(18) { makeOrigination() }
        // With two families the gateway has two addresses, and either is taken.
        if dice.chance(30), families == .ipv4 { makeGateway() }
        if dice.chance(25), pods.contains(where: { $0.name == "web" }) { makePolicies() }
    }

    // MARK: What routes do besides forwarding

    private mutating func addActions() {
        for position in mesh.virtualServices.indices {
            guard case .list(var routes)? = mesh.virtualServices[position]["spec"]?["http"] else { continue }
            for index in routes.indices { addAction(to: &routes[index]) }
            mesh.virtualServices[position]["spec"]?["http"] = .list(routes)
        }
    }

    private mutating func addAction(to route: inout YAMLValue) {
        if dice.chance(30) { route["headers"] = headerOperations() }
        if dice.chance(20), case .list(var destinations)? = route["route"] {
            destinations[0]["headers"] = headerOperations()
            route["route"] = .list(destinations)
        }
        switch dice.below(20) {
        case 0...4: route["rewrite"] = rewrite()
        case 5, 6: answer(&route, "redirect", redirect())
        case 7, 8:
            let body: YAMLValue = dice.pick(["string": "done\n"], ["string": ""], ["bytes": "AAECAw=="])
            var response: YAMLValue = ["status": .number(dice.pick(200, 204, 301, 304, 404, 503))]
            if dice.chance(60) { response["body"] = body }
            answer(&route, "directResponse", response)
        case 9:
            route["fault"] = ["abort": ["httpStatus": .number(dice.pick(400, 418, 503)), "percentage": ["value": 100]]]
        case 10: route["fault"] = ["delay": ["fixedDelay": "0.2s", "percentage": ["value": 100]]]
        case 11, 12:
            route["corsPolicy"] = [
                "allowOrigins": [dice.pick(["exact": "https://a.example"], ["prefix": "https://"], ["regex": ".*b.*"])],
                "allowMethods": ["GET", "PUT"], "maxAge": "60s",
            ]
        case 13:
            if let target = dice.pick(targets.filter { !$0.isKubernetes }), let port = target.ports.first {
                route["mirror"] = ["host": .text(target.host), "port": ["number": .number(port.number)]]
            }
        default: break
        }
    }

    /// The route answers itself.
    private func answer(_ route: inout YAMLValue, _ key: String, _ value: YAMLValue) {
        for other in ["route", "timeout", "retries"] { route[other] = nil }
        route[key] = value
    }

    private mutating func headerOperations() -> YAMLValue {
        func fields(_ dice: inout Dice, _ names: [String]) -> YAMLValue {
            .map([.init(key: dice.pick(names) ?? "x-a", value: .text(dice.pick(Self.values) ?? "1"))])
        }
        var result: YAMLValue = [:]
        let requestNames = ["x-a", "x-new", "user-agent", "X-Mixed-Case", "cookie", "Host", ":authority"]
        let responseNames = ["x-a", "server", "content-type", "x-new", "date", "Set-Cookie"]
        if dice.chance(65) {
            var request: YAMLValue = [:]
            if dice.chance(60) { request["set"] = fields(&dice, requestNames) }
            if dice.chance(40) {
                request["add"] = fields(&dice, requestNames.filter { $0 != ":authority" && $0 != "Host" })
            }
            if dice.chance(30) { request["remove"] = .texts([dice.pick("x-a", "user-agent", "accept", "x-missing")]) }
            if request != [:] { result["request"] = request }
        }
        if dice.chance(50) {
            var response: YAMLValue = [:]
            if dice.chance(60) { response["set"] = fields(&dice, responseNames) }
            if dice.chance(40) { response["add"] = fields(&dice, responseNames) }
            if dice.chance(30) { response["remove"] = .texts([dice.pick("server", "content-type", "x-missing")]) }
            if response != [:] { result["response"] = response }
        }
        return result == [:] ? ["request": ["set": ["x-new": "1"]]] : result
    }

    private static let values = ["1", "", "a b", "a.example", "%PROTOCOL%", "%REQ(x-a)%", "100%%", "\"quoted\""]

    private mutating func rewrite() -> YAMLValue {
        switch dice.below(5) {
        case 0, 1: return ["uri": .text(dice.pick("/", "/anything/new", "/anything/new/", "/anything?q=1"))]
        case 2:
            return [
                "uriRegexRewrite": [
                    "match": .text(dice.pick("^/anything/(.*)$", "/+", "a", "^/([^/?]*)")),
                    "rewrite": .text(dice.pick("/anything/r/\\1", "/x", "\\0\\0")),
                ]
            ]
        case 3: return ["authority": .text(dice.pick(hosts)?.names.first ?? "a.example")]
        default: return ["uri": "/anything/both", "authority": .text(dice.pick("b.example", "b.example:8080"))]
        }
    }

    private mutating func redirect() -> YAMLValue {
        var result: YAMLValue = [:]
        if dice.chance(60) { result["uri"] = .text(dice.pick("/anything/moved", "/anything/moved?x=1", "/")) }
        if dice.chance(40) { result["authority"] = .text(dice.pick("a.example", "b.example:8080")) }
        if dice.chance(30) {
            result["port"] = .number(dice.pick(80, 443, 8080))
        } else if dice.chance(20) {
            result["derivePort"] = .text(dice.pick("FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"))
        }
        if dice.chance(30) { result["scheme"] = .text(dice.pick("http", "https")) }
        if dice.chance(50) { result["redirectCode"] = .number(dice.pick(301, 302, 303, 307, 308)) }
        let names = ["uri", "authority", "scheme", "port"]
        if names.allSatisfy({ result[$0] == nil }) { result["uri"] = "/get" }
        return result
    }

    // MARK: TLS that the proxy originates

    private mutating func makeOrigination() {
        guard let target = dice.pick(targets.filter { !$0.isKubernetes }), let port = dice.pick(target.ports) else {
            return
        }
        var tls: YAMLValue = ["mode": "SIMPLE"]
        if dice.chance(40) { tls["sni"] = .text(dice.pick(target.names + ["other.example"]) ?? "a.example") }
        if dice.chance(25) { tls["insecureSkipVerify"] = true }
        if dice.chance(20) { tls["subjectAltNames"] = .texts([dice.pick(target.names + ["x.example"]) ?? "x.example"]) }
        let policy: YAMLValue = ["portLevelSettings": [["port": ["number": .number(port.number)], "tls": tls]]]
        mesh.destinationRules.append(
            object(
                "DestinationRule", "originate", namespace: target.namespace,
                spec: ["host": .text(target.host), "trafficPolicy": policy]))
    }

    // MARK: Gateways

    /// One of the five chains of hops through an egress gateway.
    private mutating func makeGateway() {
        guard let host = dice.pick(hosts.filter { $0.isSingle && !$0.name.hasPrefix("*") }) else { return }
        let chain = dice.pick("http", "passthrough", "mutual", "origination", "tunnel")
        let isTLS = chain == "passthrough" || chain == "tunnel"
        mesh.workloads.append([
            "apiVersion": "install.istio.io/v1alpha1", "kind": "IstioOperator", "metadata": ["name": "gateways"],
            "spec": ["components": ["egressGateways": [["name": "istio-egressgateway", "enabled": true]]]],
        ])
        let name = host.names[0]
        mesh.serviceEntries.append(
            object(
                "ServiceEntry", "through-gateway",
                spec: [
                    "hosts": [.text(name)], "location": "MESH_EXTERNAL", "resolution": "STATIC",
                    "ports": [
                        ["number": 80, "name": "http", "protocol": "HTTP"],
                        ["number": 443, "name": "tls", "protocol": "TLS"],
                    ],
                    "endpoints": [["address": .text(host.addresses[0])]],
                ]))
        let gatewayPort = chain == "http" ? 80 : 443
        var server: YAMLValue = [
            "port": [
                "number": .number(gatewayPort), "name": "p",
                "protocol": .text(chain == "http" ? "HTTP" : isTLS ? "TLS" : "HTTPS"),
            ], "hosts": [.text(dice.chance(20) ? "*" : name)],
        ]
        if chain != "http" { server["tls"] = ["mode": .text(chain == "passthrough" ? "PASSTHROUGH" : "ISTIO_MUTUAL")] }
        mesh.destinationRules.append(
            object("Gateway", "egress", spec: ["selector": ["istio": "egressgateway"], "servers": [server]]))
        let service = "istio-egressgateway.istio-system.svc.cluster.local"
        var subset: YAMLValue = ["name": "out"]
        if chain != "http" && chain != "passthrough" {
            var tls: YAMLValue = ["mode": "ISTIO_MUTUAL"]
            if !dice.chance(10) { tls["sni"] = .text(name) }
            subset["trafficPolicy"] = ["portLevelSettings": [["port": ["number": 443], "tls": tls]]]
        }
        if !dice.chance(6) {
            mesh.destinationRules.append(
                object("DestinationRule", "to-gateway", spec: ["host": .text(service), "subsets": [subset]]))
        }
        if chain == "origination" {
            let tls: YAMLValue = ["mode": "SIMPLE", "sni": .text(name)]
            mesh.destinationRules.append(
                object(
                    "DestinationRule", "from-gateway",
                    spec: [
                        "host": .text(name),
                        "trafficPolicy": ["portLevelSettings": [["port": ["number": 443], "tls": tls]]],
                    ]))
        }
        let inward: YAMLValue = [
            "destination": ["host": .text(service), "subset": "out", "port": ["number": .number(gatewayPort)]]
        ]
        let outward: YAMLValue = [
            "destination": [
                "host": .text(name), "port": ["number": .number(isTLS || chain == "origination" ? 443 : 80)],
            ]
        ]
        var spec: YAMLValue = ["hosts": [.text(name)], "gateways": ["mesh", "egress"]]
        if isTLS {
            let fromMesh: YAMLValue = ["gateways": ["mesh"], "port": 443, "sniHosts": [.text(name)]]
            var rules: [YAMLValue] = [["match": [fromMesh], "route": [inward]]]
            if chain == "passthrough" {
                let match: YAMLValue = ["gateways": ["egress"], "port": 443, "sniHosts": [.text(name)]]
                rules.append(["match": [match], "route": [outward]])
            } else {
                spec["tcp"] = [["match": [["gateways": ["egress"], "port": 443]], "route": [outward]]]
            }
            spec["tls"] = .list(rules)
        } else {
            var out: YAMLValue = [
                "match": [["gateways": ["egress"], "port": .number(gatewayPort)]], "route": [outward],
            ]
            if dice.chance(40) { addAction(to: &out) }
            spec["http"] = [["match": [["gateways": ["mesh"], "port": 80]], "route": [inward]], out]
        }
        mesh.virtualServices.append(object("VirtualService", "by-gateway", spec: spec))
        for _ in 1...3 {
            let scheme = isTLS ? dice.pick("https", "https", "tls") : "http"
            addFlow(from: "default/client", to: "\(scheme)://\(name):\(isTLS ? 443 : 80)", names: [name])
            // An echo would show the client's certificate, which is another in each run, and of another length.
            guard chain == "mutual" || chain == "origination" else { continue }
            mesh.flows[mesh.flows.count - 1]["path"] = dice.pick("/status/204", "/status/404", "/status/503", "/ip")
        }
        guard chain == "mutual" || chain == "origination" else { return }
        // Other flows to the name go that way, too.
        for index in mesh.flows.indices {
            let flow = mesh.flows[index]
            guard [flow["to"], flow["host"]].contains(where: { $0?.string?.contains(name) == true }),
                let path = flow["path"]?.string,
                path.hasPrefix("/anything") || path.hasPrefix("/headers")
                    || path.hasPrefix("/get")
            else { continue }
            mesh.flows[index]["path"] = "/status/204"
        }
    }

    private mutating func addFlow(from source: String, to destination: String, names: [String]) {
        var flow: YAMLValue = [
            "id": .text("f\(mesh.flows.count + 1)"), "from": .text(source), "to": .text(destination),
        ]
        let parts = destination.split(separator: ":", maxSplits: 1)
        describe(String(parts.first ?? "http"), &flow, names: names, port: 80)
        flow["expect"] = GeneratedMesh.neutralExpectation
        mesh.flows.append(flow)
    }

    // MARK: Authorization

    /// Of the pod `web`, which a Service of one port always leads to.
    private mutating func makePolicies() {
        let name = "asked"
        mesh.services.append(
            object(
                "Service", name,
                spec: [
                    "selector": ["app": "web"],
                    "ports": [["name": .text(dice.pick("http", "tcp")), "port": 8000, "targetPort": 8080]],
                ]))
        for number in 1...dice.between(1...2) {
            var spec: YAMLValue = [
                "selector": ["matchLabels": ["app": "web"]],
                "action": .text(dice.pick("ALLOW", "DENY", "DENY", "AUDIT")),
            ]
            if !dice.chance(8) { spec["rules"] = .list((1...dice.between(1...2)).map { _ in policyRule() }) }
            var policy = object("AuthorizationPolicy", "policy-\(number)", spec: spec)
            policy["apiVersion"] = "security.istio.io/v1"
            mesh.sidecars.append(policy)
        }
        for _ in 1...4 {
            addFlow(
                from: dice.pick(pods)?.reference ?? "default/client", to: "http://\(name).default:8000", names: [name])
        }
    }

    private mutating func policyRule() -> YAMLValue {
        var rule: YAMLValue = [:]
        if dice.chance(50) {
            let source: YAMLValue = dice.pick(
                ["namespaces": ["default"]], ["notNamespaces": ["default"]], ["principals": ["*"]],
                ["principals": ["cluster.local/ns/default/sa/default"]], ["ipBlocks": ["10.244.0.0/16"]],
                ["notIpBlocks": ["10.244.0.0/16", "fd00::/8"]], ["remoteIpBlocks": ["192.0.2.0/24"]])
            rule["from"] = [["source": source]]
        }
        if dice.chance(70) {
            let operation: YAMLValue = dice.pick(
                ["methods": ["GET"]], ["notMethods": ["GET", "HEAD"]], ["paths": ["/anything*"]],
                ["paths": ["*/a", "/get"]], ["notPaths": ["/anything"]], ["paths": ["/anything/{*}"]],
                ["hosts": ["asked*", "*.example"]], ["ports": ["8080"]], ["notPorts": ["8080"]],
                ["methods": ["POST"], "paths": ["/*"]])
            rule["to"] = [["operation": operation]]
        }
        if dice.chance(30) {
            let condition: YAMLValue = dice.pick(
                ["key": "request.headers[x-a]", "values": ["1", "y*"]],
                ["key": "request.headers[user-agent]", "notValues": ["curl*"]],
                ["key": "destination.port", "values": ["8080"]], ["key": "source.namespace", "values": ["other"]],
                ["key": "connection.sni", "values": ["*asked*"]])
            rule["when"] = [condition]
        }
        return rule
    }
}
