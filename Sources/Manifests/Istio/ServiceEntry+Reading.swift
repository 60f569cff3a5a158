import NetworkAddresses

extension ServiceEntry {
    private static let fields: FieldNames = """
        hosts addresses ports location resolution endpoints workloadSelector exportTo subjectAltNames
        """

    /// Reads `networking.istio.io/ServiceEntry` with Istio's validation (pkg/config/validation, ValidateServiceEntry).
    init?(reading object: ObjectReader) {
        guard let spec = object.spec(Self.fields) else { return nil }
        let hosts = Self.hosts(spec)
        let addresses = (spec["addresses"]?.list ?? []).compactMap { field in
            field.ipPrefix.map { Located($0, at: field.location) }
        }
        // What is wrong is told and taken for the default, so that the rest is checked too.
        var resolution = Resolution.none
        var isResolutionKnown = true
        if let field = spec["resolution"] {
            let all: [Resolution] = [.none, .static, .dns, .dnsRoundRobin, .dynamicDNS]
            let value = field.choice(of: all.map(\.rawValue)).flatMap(Resolution.init)
            resolution = value ?? .none
            isResolutionKnown = value != nil
        }
        var location = Location.meshExternal
        if let field = spec["location"] {
            let all: [Location] = [.meshExternal, .meshInternal]
            location = field.choice(of: all.map(\.rawValue)).flatMap(Location.init) ?? .meshExternal
        }
        if let selector = spec["workloadSelector"], selector.check("labels") {
            if spec["endpoints"] != nil { selector.error("workloadSelector can't be combined with endpoints") }
            if selector["labels"]?.node.keys.isEmpty ?? true { selector.error("workloadSelector needs labels") }
        }
        let ports = Self.ports(spec)
        let endpoints = (spec["endpoints"]?.list ?? []).compactMap { Self.endpoint($0, resolution, ports) }
        self.init(
            metadata: object.metadata, hosts: hosts, addresses: addresses, ports: ports, meshLocation: location,
            resolution: resolution, endpoints: endpoints,
            workloadSelector: spec["workloadSelector"]?["labels"]?.stringMap,
            exportTo: spec["exportTo"].map(\.exportTo) ?? ["*"],
            subjectAltNames: spec["subjectAltNames"]?.strings ?? [])
        if isResolutionKnown { validate(spec) }
    }

    private static func hosts(_ spec: FieldReader) -> [Located<String>] {
        guard let field = spec.required("hosts") else { return [] }
        let list = field.list
        if field.isList, list.isEmpty { field.error("a ServiceEntry needs at least one host") }
        return list.compactMap { element in
            guard let host = element.string else { return nil }
            guard host != "*" else {
                element.error("host * is not allowed", remedy: "name a domain, such as *.example.com")
                return nil
            }
            if host.hasPrefix("*"), !host.hasPrefix("*.") {
                element.warn("partial wildcard \"\(host)\"", remedy: "write *.\(host.dropFirst())")
            }
            guard HostName.isValid(host) else {
                element.error("\"\(host)\" is not a host name")
                return nil
            }
            return Located(host, at: element.location)
        }
    }

    private static func ports(_ spec: FieldReader) -> [Port] {
        guard let field = spec.required("ports") else { return [] }
        let list = field.list
        if field.isList, list.isEmpty { field.error("a ServiceEntry needs at least one port") }
        var names: Set<String> = []
        var numbers: Set<UInt16> = []
        return list.compactMap { element in
            guard element.check("number name protocol targetPort") else { return nil }
            let number = element.required("number")?.port
            let name = element.required("name")?.string
            if let name, !names.insert(name).inserted {
                element["name"]?.error("the port name \(name) is given twice")
            }
            if let number, !numbers.insert(number).inserted {
                element["number"]?.error("port \(number) is given twice")
            }
            var portProtocol = PortProtocol.unspecified
            if let field = element["protocol"] {
                portProtocol = field.portProtocol ?? .unspecified
            }
            guard let number, let name else { return nil }
            return Port(
                number: number, name: name, protocol: portProtocol, targetPort: element["targetPort"]?.port,
                location: element.location)
        }
    }

    static let endpointFields: FieldNames = "address ports labels network locality weight serviceAccount"

    /// Reads an endpoint; `ports` and `resolution` are those of the ServiceEntry that it stands in, if it does.
    static func endpoint(_ field: FieldReader, _ resolution: Resolution?, _ ports: [Port]?) -> Endpoint? {
        guard field.check(endpointFields) else { return nil }
        guard let address = field.required("address"), let text = address.string else { return nil }
        if text.hasPrefix("unix:") {
            address.refuse("Unix domain sockets are not supported yet")
        } else if IPAddress(text) == nil {
            if resolution == .static {
                address.error("\"\(text)\" is not an IP address, which resolution STATIC needs")
            }
            if !HostName.isValid(text) || text.contains("*") {
                address.error("\"\(text)\" is neither an IP address nor a host name")
            }
        }
        var numbers: [String: UInt16] = [:]
        for entry in field["ports"]?.entries ?? [] {
            if let ports, !ports.contains(where: { $0.name == entry.key }) {
                entry.field.say(
                    .error, "the ServiceEntry has no port named \(entry.key)",
                    remedy: NearestName.remedy(for: entry.key, among: ports.map(\.name)), at: entry.location)
            }
            numbers[entry.key] = entry.field.port
        }
        return Endpoint(
            address: text, ports: numbers, labels: field["labels"]?.stringMap ?? [:],
            weight: field["weight"]?.integer() ?? 1, serviceAccount: field["serviceAccount"]?.string,
            locality: field["locality"]?.string, network: field["network"]?.string, location: field.location)
    }

    private func validate(_ spec: FieldReader) {
        let endpointsField = spec["endpoints"]
        switch resolution {
        case .none:
            if !endpoints.isEmpty { endpointsField?.error("resolution NONE can't have endpoints") }
        case .static:
            break
        case .dns, .dnsRoundRobin:
            for host in hosts where host.value.hasPrefix("*") && endpoints.isEmpty {
                spec.say(
                    .error, "resolution \(resolution.rawValue) needs endpoints for the wildcard host \(host.value)",
                    at: host.location)
            }
            for address in addresses where !address.value.isHost {
                spec.say(
                    .error, "a CIDR address can't be combined with resolution \(resolution.rawValue)",
                    at: address.location)
            }
            if resolution == .dnsRoundRobin, endpoints.count > 1 {
                endpointsField?.error("resolution DNS_ROUND_ROBIN takes at most one endpoint")
            }
        case .dynamicDNS:
            validateDynamicDNS(spec)
        }
        for port in ports where addresses.isEmpty && port.protocol.isPlainTCP {
            spec.say(
                .warning,
                "TCP port \(port.number) without an address takes all traffic to that port, whatever its destination",
                remedy: "give addresses", at: port.location)
        }
    }

    private func validateDynamicDNS(_ spec: FieldReader) {
        for host in hosts where !host.value.hasPrefix("*") {
            spec.say(.error, "resolution DYNAMIC_DNS needs wildcard hosts, not \(host.value)", at: host.location)
        }
        if !addresses.isEmpty { spec["addresses"]?.error("resolution DYNAMIC_DNS can't have addresses") }
        if !endpoints.isEmpty { spec["endpoints"]?.error("resolution DYNAMIC_DNS can't have endpoints") }
        for port in ports where ![.http, .http2, .grpc, .tls].contains(port.protocol) {
            spec.say(
                .error, "resolution DYNAMIC_DNS needs HTTP, HTTP2, GRPC or TLS, not \(port.protocol.rawValue)",
                at: port.location)
        }
    }
}
