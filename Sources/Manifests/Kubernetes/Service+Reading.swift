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
            switch value {
            case .clusterIP: break
            case .nodePort, .loadBalancer:
                // What enters is not what this tool is about; it is no mistake of the user's.
                field.say(.note, "\(name) is taken as ClusterIP: nothing enters from outside")
            case .externalName: field.refuse("Services of type ExternalName are not supported yet")
            }
        }
        spec.refuse(fields: "externalIPs")
        if spec["sessionAffinity"]?.node.text == "ClientIP" {
            spec["sessionAffinity"]?.warn("session affinity is not carried out")
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
        let ports = Self.ports(spec, required: !isHeadless && type != .externalName)
        self.init(
            metadata: object.metadata, type: type, selector: spec["selector"]?.stringMap, ports: ports,
            isHeadless: isHeadless, clusterIPs: addresses, externalName: spec["externalName"]?.string)
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
                appProtocol: element["appProtocol"]?.string, location: element.location)
        }
    }
}
