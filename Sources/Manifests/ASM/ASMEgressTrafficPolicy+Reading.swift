extension ASMEgressTrafficPolicy {
    /// Reads `istio.alibabacloud.com/ASMEgressTrafficPolicy`.
    init?(reading object: ObjectReader) {
        guard let spec = object.spec("byEgressGateway egressRules") else { return nil }
        if object.metadata.namespace != Self.namespace {
            let place = object.root["metadata"]?["namespace"] ?? object.root["metadata"] ?? object.root
            place.error(
                "an ASMEgressTrafficPolicy counts in namespace \(Self.namespace) only, not in "
                    + object.metadata.namespace, remedy: "write namespace: \(Self.namespace)")
        }
        guard let reference = spec.required("byEgressGateway"), reference.check("name"),
            let gateway = reference.required("name")?.locatedString, let rules = spec.required("egressRules")
        else { return nil }
        let name = "egress-by-\(gateway.value)"
        if object.metadata.name != name, let place = object.root["metadata"]?["name"] {
            place.say(.note, "a policy of gateway \(gateway.value) is by convention called \(name)")
        }
        self.init(
            metadata: object.metadata, gateway: gateway,
            egressRules: rules.list.compactMap { Rule(reading: $0) })
        var names: Set<String> = []
        for (index, rule) in rules.list.enumerated() where index < egressRules.count {
            for destination in rule["to"]?.list ?? [] {
                guard let field = destination["name"], let name = field.node.text else { continue }
                if !names.insert(name).inserted { field.error("the destination \(name) is given twice") }
            }
        }
    }
}

extension ASMEgressTrafficPolicy.Rule {
    init?(reading field: FieldReader) {
        guard field.check("from to"), let from = field.required("from"), let to = field.required("to") else {
            return nil
        }
        if from.isList, from.list.isEmpty { from.error("a rule without clients lets nobody out") }
        if to.isList, to.list.isEmpty { to.error("a rule without destinations leads nowhere") }
        self.init(
            from: from.list.compactMap { ASMEgressTrafficPolicy.Client(reading: $0) },
            to: to.list.compactMap { ASMEgressTrafficPolicy.Destination(reading: $0) }, location: field.location)
    }
}

extension ASMEgressTrafficPolicy.Client {
    init?(reading field: FieldReader) {
        guard field.check("namespace workloadSelector"), let namespace = field.required("namespace")?.string else {
            return nil
        }
        self.init(namespace: namespace, location: field.location)
        guard let selector = field["workloadSelector"] else { return }
        // Labels as they are, or under `labels` as Istio's own selectors have them.
        let labels = selector["labels"].map { $0.isMapping ? $0 : selector } ?? selector
        let map = labels.stringMap
        workloadSelector = map.isEmpty ? nil : map
    }
}

extension ASMEgressTrafficPolicy.Destination {
    init?(reading field: FieldReader) {
        guard field.check("name hosts port byEgressGateway httpsUpgrade"), let name = field.required("name")?.string,
            let hostsField = field.required("hosts"), let portField = field.required("port"),
            let port = ASMEgressTrafficPolicy.Port(reading: portField), let through = field.required("byEgressGateway"),
            through.check("port"), let gatewayField = through.required("port"), let gatewayPort = gatewayField.port
        else { return nil }
        if hostsField.isList, hostsField.list.isEmpty { hostsField.error("a destination needs at least one host") }
        let hosts = hostsField.list.compactMap { element -> Located<String>? in
            guard let host = element.locatedString else { return nil }
            guard HostName.isValid(host.value), !host.value.hasPrefix("*") else {
                element.error("\"\(host.value)\" is not the name of one host", remedy: "name each host")
                return nil
            }
            return Located(host.value.lowercased(), at: host.location)
        }
        guard !hosts.isEmpty else { return nil }
        self.init(
            name: name, hosts: hosts, port: port, gatewayPort: Located(gatewayPort, at: gatewayField.location),
            location: field.location)
        if let upgrade = field["httpsUpgrade"] { readUpgrade(upgrade) }
    }

    private mutating func readUpgrade(_ field: FieldReader) {
        guard field.check("enabled port") else { return }
        let isEnabled = field["enabled"]?.boolean ?? false
        guard isEnabled else {
            if let port = field["port"] { port.warn("without effect while httpsUpgrade is not enabled") }
            return
        }
        upgradePort = field.required("port")?.port
        if port.protocol != .http { field.error("only what clients send as HTTP can be upgraded to HTTPS") }
    }
}

extension ASMEgressTrafficPolicy.Port {
    init?(reading field: FieldReader) {
        guard field.check("name number protocol"), let name = field.required("name")?.string,
            let number = field.required("number")?.port, let protocolField = field.required("protocol"),
            let word = protocolField.string
        else { return nil }
        let named: PortProtocol
        switch word.uppercased() {
        case "HTTP": named = .http
        case "HTTPS": named = .https
        default:
            if PortProtocol.allCases.contains(where: { $0.rawValue.uppercased() == word.uppercased() }) {
                protocolField.refuse(
                    "protocol \(word) of an ASMEgressTrafficPolicy is not supported, only HTTP and HTTPS")
            } else {
                protocolField.error("\"\(word)\" is no protocol", remedy: "write HTTP or HTTPS")
            }
            return nil
        }
        self.init(name: name, number: number, protocol: named, location: field.location)
    }
}
