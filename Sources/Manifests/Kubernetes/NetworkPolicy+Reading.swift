import NetworkAddresses

extension NetworkPolicy {
    private static let fields: FieldNames = "podSelector policyTypes ingress egress"
    private static let peerFields: FieldNames = "podSelector namespaceSelector ipBlock"

    /// Reads `networking.k8s.io/v1/NetworkPolicy` with Kubernetes' validation (networking/validation.go).
    init?(reading object: ObjectReader) {
        guard let spec = object.spec(Self.fields) else { return nil }
        let selector = spec.required("podSelector").map(LabelSelector.init(reading:))
        let ingress = spec["ingress"]?.list.map { Self.rule($0, direction: .ingress) } ?? []
        let egress = spec["egress"]?.list.map { Self.rule($0, direction: .egress) } ?? []
        var types: [Direction] = egress.isEmpty ? [.ingress] : [.ingress, .egress]
        if let field = spec["policyTypes"], !field.list.isEmpty {
            types = field.list.compactMap { $0.choice(Direction.self) }
            if Set(types).count < types.count { field.error("a policy type is given twice") }
        }
        guard let selector else { return nil }
        self.init(
            metadata: object.metadata, podSelector: selector, policyTypes: types, ingress: ingress, egress: egress)
    }

    private static func rule(_ field: FieldReader, direction: Direction) -> Rule {
        let peersName = direction == .ingress ? "from" : "to"
        field.check(direction == .ingress ? "from ports" : "to ports")
        let peers = field[peersName]?.list.compactMap(peer) ?? []
        let ports = field["ports"]?.list.compactMap(port) ?? []
        // A list that holds only wrong elements must not turn into "everything".
        let hasPeers = !(field[peersName]?.list.isEmpty ?? true)
        let hasPorts = !(field["ports"]?.list.isEmpty ?? true)
        return Rule(peers: hasPeers ? peers : nil, ports: hasPorts ? ports : nil, location: field.location)
    }

    private static func peer(_ field: FieldReader) -> Peer? {
        guard field.check(peerFields) else { return nil }
        let (pods, namespaces) = (field["podSelector"], field["namespaceSelector"])
        guard let block = field["ipBlock"] else {
            guard pods != nil || namespaces != nil else {
                field.error("an empty peer is not allowed", remedy: "give podSelector, namespaceSelector or ipBlock")
                return nil
            }
            return .pods(
                namespaces: namespaces.map(LabelSelector.init(reading:)), pods: pods.map(LabelSelector.init(reading:)))
        }
        guard pods == nil, namespaces == nil else {
            field.error("ipBlock can't be combined with podSelector or namespaceSelector")
            return nil
        }
        block.check("cidr except")
        guard let cidr = block.required("cidr"), let prefix = cidr.cidr else { return nil }
        let except = (block["except"]?.list ?? []).compactMap { element -> IPPrefix? in
            guard let hole = element.cidr else { return nil }
            guard prefix.contains(hole), prefix != hole else {
                element.error("\(hole) must lie inside \(prefix) and be smaller")
                return nil
            }
            return hole
        }
        return .ipBlock(prefix, except: except)
    }

    private static func port(_ field: FieldReader) -> Port? {
        guard field.check("port endPort protocol") else { return nil }
        var transport = IPProtocol.tcp
        if let named = field["protocol"] {
            guard let value = named.transport else { return nil }
            transport = value
        }
        let end = field["endPort"]
        guard let number = field["port"] else {
            if let end {
                end.error("endPort needs a port")
                return nil
            }
            return Port(transport: transport, number: .all, location: field.location)
        }
        if number.node.scalarType == .string, let name = number.text {
            if let end {
                end.error("endPort needs a numeric port")
                return nil
            }
            guard isPortName(name) else {
                number.error("\"\(name)\" is neither a port's number nor its name")
                return nil
            }
            return Port(transport: transport, number: .named(name), location: field.location)
        }
        guard let first = number.port else { return nil }
        guard let end else {
            return Port(transport: transport, number: .range(PortRange(first)), location: field.location)
        }
        guard let last = end.port else { return nil }
        guard let range = PortRange(first, through: last) else {
            end.error("endPort \(last) is below port \(first)")
            return nil
        }
        return Port(transport: transport, number: .range(range), location: field.location)
    }
}

extension NetworkPolicy {
    /// What Kubernetes takes for the name of a port: at most 15 of a–z, 0–9 and `-`, with a letter among them.
    private static func isPortName(_ text: String) -> Bool {
        text.utf8.count <= 15 && text.contains { ("a"..."z").contains($0) }
            && text.allSatisfy { ("a"..."z").contains($0) || ("0"..."9").contains($0) || $0 == "-" }
            && !text.hasPrefix("-") && !text.hasSuffix("-") && !text.contains("--")
    }
}

extension FieldReader {
    /// A CIDR block with its length, as ipBlock wants it.
    fileprivate var cidr: IPPrefix? {
        guard let text = string else { return nil }
        guard text.contains("/"), let prefix = IPPrefix(text) else {
            error("\"\(text)\" is not a CIDR block such as 192.0.2.0/24")
            return nil
        }
        return prefix
    }
}
