import NetworkAddresses

extension Service {
    private static let fields: FieldNames = """
        allocateLoadBalancerNodePorts clusterIP clusterIPs externalIPs externalName externalTrafficPolicy
        healthCheckNodePort internalTrafficPolicy ipFamilies ipFamilyPolicy loadBalancerClass loadBalancerIP
        loadBalancerSourceRanges ports publishNotReadyAddresses selector sessionAffinity sessionAffinityConfig
        topologyKeys trafficDistribution type
        """
    private static let portFields: FieldNames = "appProtocol name nodePort port protocol targetPort"

    /// Reads `v1/Service`.
    init?(reading object: ObjectReader) {
        guard let spec = object.spec(Self.fields) else { return nil }
        var type = ServiceType.clusterIP
        if let field = spec["type"] {
            let names: [ServiceType] = [.clusterIP, .nodePort, .loadBalancer, .externalName]
            guard let name = field.choice(of: names.map(\.rawValue)), let value = ServiceType(rawValue: name) else {
                return nil
            }
            type = value
        }
        var addresses: [IPAddress] = []
        var isHeadless = false
        for field in [spec["clusterIP"]].compactMap({ $0 }) + (spec["clusterIPs"]?.list ?? []) {
            switch field.node.text {
            case "None": isHeadless = true
            case "", nil: break
            default: if let address = field.ipAddress, !addresses.contains(address) { addresses.append(address) }
            }
        }
        if isHeadless, !addresses.isEmpty { spec.error("clusterIP None can't be combined with addresses") }
        if isHeadless, type == .nodePort || type == .loadBalancer {
            spec.error("a Service of type \(type.rawValue) needs a ClusterIP", remedy: "leave clusterIP: None out")
        }
        let ports = Self.ports(spec, required: !isHeadless && type != .externalName)
        self.init(
            metadata: object.metadata, type: type, selector: spec["selector"]?.stringMap, ports: ports,
            isHeadless: isHeadless, clusterIPs: addresses)
        readName(spec)
        readFamilies(spec)
        if let policy: TrafficPolicy = spec["internalTrafficPolicy"]?.choice() { internalTrafficPolicy = policy }
        if let policy: TrafficPolicy = spec["externalTrafficPolicy"]?.choice() { externalTrafficPolicy = policy }
        affinitySeconds = Self.affinity(spec)
        publishesNotReadyAddresses = spec["publishNotReadyAddresses"]?.boolean ?? false
        externalIPs = (spec["externalIPs"]?.list ?? []).compactMap(\.ipAddress)
        if !hasNodePorts {
            for (number, field) in (spec["ports"]?.list ?? []).enumerated() where ports.indices.contains(number) {
                if let port = field["nodePort"], port.node.text != "0" {
                    port.error("a Service of type \(type.rawValue) has no node ports")
                }
            }
        }
        guard type == .loadBalancer else { return }
        loadBalancerSourceRanges = (spec["loadBalancerSourceRanges"]?.list ?? []).compactMap { field in
            guard let range = field.ipPrefix else { return nil }
            guard field.node.text?.contains("/") ?? false else {
                field.error("\(range.address) is an address, and not a range", remedy: "write \(range)")
                return nil
            }
            return range
        }
        let given = (object.root["status"]?["loadBalancer"]?["ingress"]?.list ?? []).compactMap { $0["ip"]?.ipAddress }
        loadBalancerIPs = given.isEmpty ? [spec["loadBalancerIP"]?.ipAddress].compactMap(\.self) : given
    }

    private mutating func readName(_ spec: FieldReader) {
        guard type == .externalName else { return }
        guard let field = spec.required("externalName"), let name = field.string else { return }
        if IPAddress(name) != nil {
            field.error(
                "\"\(name)\" is an address, and externalName is the name of a host",
                remedy: "write a Service without selector and an EndpointSlice")
        } else if !HostName.isValid(name) || name.contains("*") {
            field.error("\"\(name)\" is no host name")
        }
        externalName = name.hasSuffix(".") ? String(name.dropLast()) : name
    }

    /// Without `ipFamilyPolicy` a Service of this cluster, which speaks both families, has both.
    private mutating func readFamilies(_ spec: FieldReader) {
        var listed: [IPFamily] = []
        for field in spec["ipFamilies"]?.list ?? [] {
            guard let name = field.choice(of: ["IPv4", "IPv6"]) else { continue }
            let family: IPFamily = name == "IPv4" ? .ipv4 : .ipv6
            if listed.contains(family) { field.error("\(name) is given twice") } else { listed.append(family) }
        }
        let policy = spec["ipFamilyPolicy"]?.choice(of: ["SingleStack", "PreferDualStack", "RequireDualStack"])
        if policy == "SingleStack", listed.count > 1 {
            spec["ipFamilies"]?.error("SingleStack has one family", remedy: "use ipFamilyPolicy: PreferDualStack")
        }
        if !clusterIPs.isEmpty {
            families = clusterIPs.map(\.family)
            for (family, address) in zip(listed, clusterIPs) where family != address.family {
                spec["ipFamilies"]?.error(
                    "\(family == .ipv4 ? "IPv4" : "IPv6") does not go with the clusterIP \(address)")
            }
            return
        }
        switch policy {
        case "SingleStack": families = [listed.first ?? .ipv4]
        // One family that is named without a policy is that one alone.
        case nil where !listed.isEmpty: families = listed
        default: families = listed + IPFamily.allCases.filter { !listed.contains($0) }
        }
    }

    private static func affinity(_ spec: FieldReader) -> Int? {
        guard let field = spec["sessionAffinity"], field.choice(of: ["None", "ClientIP"]) == "ClientIP" else {
            return nil
        }
        let seconds = spec["sessionAffinityConfig"]?["clientIP"]?["timeoutSeconds"]?.integer(1...86_400)
        return seconds ?? 10_800
    }

    private static func ports(_ spec: FieldReader, required: Bool) -> [Port] {
        guard let field = required ? spec.required("ports") : spec["ports"] else { return [] }
        let list = field.list
        if required, field.isList, list.isEmpty { field.error("a Service needs at least one port") }
        var names: Set<String> = []
        var numbers: Set<String> = []
        return list.compactMap { element in
            guard element.check(portFields), let number = element.required("port")?.port else { return nil }
            let name = element["name"]?.string ?? ""
            if name.isEmpty, list.count > 1 {
                element.error("name is required where a Service has several ports")
            } else if !name.isEmpty, !names.insert(name).inserted {
                element["name"]?.error("the name \(name) is given twice")
            }
            let transport = element["protocol"].map(\.transport) ?? .tcp
            guard let transport else { return nil }
            if !numbers.insert("\(number)/\(transport)").inserted {
                element["port"]?.error("port \(number)/\(transport) is given twice")
            }
            var target: TargetPort?
            if let field = element["targetPort"] {
                if case .scalar(let scalar) = field.node.content, field.node.scalarType == .string {
                    // A number in quotes is a number, as in Kubernetes' IntOrString of most controllers' manifests.
                    target = UInt16(scalar.text).map(TargetPort.number) ?? .name(scalar.text)
                } else {
                    guard let number = field.port else { return nil }
                    target = .number(number)
                }
            }
            return Port(
                name: name, number: number, targetPort: target, transport: transport,
                appProtocol: element["appProtocol"]?.string,
                nodePort: element["nodePort"].flatMap { $0.node.text == "0" ? nil : $0.port },
                location: element.location)
        }
    }
}
