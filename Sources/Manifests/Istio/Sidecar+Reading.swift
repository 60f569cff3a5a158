import NetworkAddresses

extension Sidecar {
    private static let fields: FieldNames = """
        workloadSelector ingress egress outboundTrafficPolicy inboundConnectionPool
        """

    /// Reads `networking.istio.io/Sidecar`.
    init?(reading object: ObjectReader) {
        guard let spec = object.spec(Self.fields) else { return nil }
        var selector: [String: String]?
        if let field = spec["workloadSelector"] {
            field.check("labels")
            let labels = field["labels"]?.stringMap ?? [:]
            selector = labels.isEmpty ? nil : labels
        }
        if let ingress = spec["ingress"], !ingress.list.isEmpty {
            ingress.refuse("ingress listeners of a Sidecar are not supported yet")
        }
        spec["inboundConnectionPool"]?.warn("connection limits are not carried out")
        var egress: [EgressListener]?
        if let field = spec["egress"] {
            let list = field.list
            egress = list.isEmpty ? nil : list.compactMap(Self.listener)
            var seen: Set<UInt16?> = []
            for (listener, element) in zip(egress ?? [], list) where !seen.insert(listener.port).inserted {
                element.error(
                    listener.port.map { "port \($0) is given twice" }
                        ?? "only one egress listener may be without port")
            }
        }
        self.init(
            metadata: object.metadata, workloadSelector: selector, egress: egress,
            outboundTrafficPolicy: spec["outboundTrafficPolicy"].flatMap {
                MeshConfig.OutboundTrafficPolicy.located(reading: $0)
            })
    }

    private static func listener(_ field: FieldReader) -> EgressListener? {
        guard field.check("port bind captureMode hosts") else { return nil }
        var number: UInt16?
        var portProtocol: PortProtocol?
        if let port = field["port"] {
            port.check("number name protocol targetPort")
            guard let value = port.required("number")?.port else { return nil }
            number = value
            portProtocol = port["protocol"]?.portProtocol
        }
        field.refuse(fields: "bind")
        if let mode = field["captureMode"]?.choice(of: ["DEFAULT", "IPTABLES", "NONE"]), mode == "NONE" {
            field["captureMode"]?.refuse("captureMode NONE is not supported yet")
        }
        guard let list = field.required("hosts") else { return nil }
        if list.isList, list.list.isEmpty { list.error("an egress listener needs at least one host") }
        let hosts = list.list.compactMap { element -> Located<String>? in
            guard let text = element.string else { return nil }
            let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
            guard parts.count == 2, !parts[0].isEmpty, HostName.isValid(String(parts[1])) else {
                element.error(
                    "\"\(text)\" is not NAMESPACE/HOST", remedy: "write, for example, ./* or istio-system/*")
                return nil
            }
            return Located(text, at: element.location)
        }
        return EgressListener(port: number, portProtocol: portProtocol, hosts: hosts, location: field.location)
    }
}
