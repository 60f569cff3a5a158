import NetworkAddresses

extension VirtualService {
    private static let fields: FieldNames = "hosts gateways http tls tcp exportTo"

    /// Reads `networking.istio.io/VirtualService` with Istio's validation (ValidateVirtualService).
    init?(reading object: ObjectReader) {
        guard let spec = object.spec(Self.fields) else { return nil }
        // What others delegate to has rules for HTTP, and nothing else.
        let isDelegate = ["hosts", "gateways", "tls", "tcp"].allSatisfy { spec[$0] == nil } && spec["http"] != nil
        guard let hostsField = isDelegate ? spec["http"] : spec.required("hosts") else { return nil }
        if hostsField.isList, hostsField.list.isEmpty { hostsField.error("a VirtualService needs at least one host") }
        var names: Set<String> = []
        let hosts = (isDelegate ? [] : hostsField.list).compactMap { field -> Located<String>? in
            guard let host = field.locatedString else { return nil }
            if !HostName.isValid(host.value), IPAddress(host.value) == nil {
                field.error("\"\(host.value)\" is not a host name")
                return nil
            }
            if !names.insert(host.value.lowercased()).inserted { field.error("the host \(host.value) is given twice") }
            return host
        }
        let gateways = spec["gateways"]?.gatewayNames ?? []
        let isInMesh = gateways.isEmpty || gateways.contains { $0.value == "mesh" }
        if isInMesh, !isDelegate,
            let field = hostsField.list.first(where: { $0.node.text == "*" })
        {
            field.error("host * is not allowed in the mesh", remedy: "name hosts, or only gateways in gateways")
        }
        let http = (spec["http"]?.list ?? []).compactMap { HTTPRoute(reading: $0) }
        if isDelegate { Self.checkDelegate(spec["http"]?.list ?? []) }
        let tls = (spec["tls"]?.list ?? []).compactMap { TLSRoute(reading: $0, hosts: hosts) }
        let tcp = (spec["tcp"]?.list ?? []).compactMap { TCPRoute(reading: $0) }
        if spec["http"] == nil, spec["tls"] == nil, spec["tcp"] == nil {
            spec.error("a VirtualService needs http, tls or tcp routes")
        }
        self.init(
            metadata: object.metadata, hosts: hosts, gateways: gateways.isEmpty ? nil : gateways, http: http,
            tls: tls, tcp: tcp, exportTo: spec["exportTo"].map(\.exportTo) ?? ["*"])
    }
}

extension VirtualService {
    /// What only the root may say.
    private static func checkDelegate(_ routes: [FieldReader]) {
        for route in routes {
            route["delegate"]?.error("a VirtualService that others delegate to can't delegate itself")
            for match in route["match"]?.list ?? [] {
                for name in ["sourceLabels", "gateways", "sourceNamespace"] {
                    match[name]?.error("\(name) belongs to the VirtualService that delegates")
                }
            }
        }
    }
}

extension VirtualService.Destination {
    static func list(reading field: FieldReader, isHTTP: Bool = true) -> [Self] {
        let list = field.list
        if field.isList, list.isEmpty { field.error("at least one destination is needed") }
        let routes = list.compactMap { Self(reading: $0, isHTTP: isHTTP) }
        if routes.count > 1, routes.allSatisfy({ ($0.weight ?? 0) == 0 }) {
            field.error("the weights of several destinations add up to 0", remedy: "give each a weight")
        }
        return routes
    }

    init?(reading field: FieldReader, isHTTP: Bool = true) {
        guard field.check(isHTTP ? "destination weight headers" : "destination weight"),
            let destination = field.required("destination"), var value = Self(readingDestination: destination)
        else { return nil }
        value.weight = field["weight"]?.integer()
        value.headers = isHTTP ? field["headers"].flatMap { VirtualService.HeaderOperations(reading: $0) } : nil
        value.location = field.location
        self = value
    }

    /// Reads `destination` itself: what a mirror names, too.
    init?(readingDestination field: FieldReader) {
        guard field.check("host subset port"), let hostField = field.required("host"), let host = hostField.string
        else { return nil }
        if !HostName.isValid(host) {
            hostField.error("\"\(host)\" is not a host name")
            return nil
        }
        var port: UInt16?
        if let selector = field["port"] {
            selector.check("number")
            guard let number = selector.required("number")?.port else { return nil }
            port = number
        }
        let subset = field["subset"]?.string
        if let subset, !HostName.isLabel(subset) { field["subset"]?.error("\"\(subset)\" is no subset name") }
        self.init(host: host, subset: subset, port: port, location: field.location)
    }
}

extension VirtualService.TLSRoute {
    init?(reading field: FieldReader, hosts: [Located<String>]) {
        guard field.check("match route"), let matches = field.required("match"),
            let routes = field.required("route")
        else { return nil }
        if matches.isList, matches.list.isEmpty { matches.error("a TLS route needs at least one match") }
        self.init(
            match: matches.list.compactMap { VirtualService.TLSMatch(reading: $0, hosts: hosts) },
            route: VirtualService.Destination.list(reading: routes, isHTTP: false), location: field.location)
    }
}

extension VirtualService.TLSMatch {
    private static let fields: FieldNames = """
        sniHosts destinationSubnets port sourceLabels gateways sourceNamespace sourceSubnet
        """

    init?(reading field: FieldReader, hosts: [Located<String>]) {
        guard field.check(Self.fields), let names = field.required("sniHosts") else { return nil }
        if names.isList, names.list.isEmpty { names.error("at least one SNI host is needed") }
        self.init(
            sniHosts: names.list.compactMap { element in
                guard let name = element.string else { return nil }
                if !HostName.isValid(name) {
                    element.error("\"\(name)\" is not a host name")
                } else if !hosts.contains(where: { HostName.isWithin(name, $0.value) }) {
                    element.error("SNI host \(name) is not one of the VirtualService's hosts")
                }
                return name
            })
        location = field.location
        destinationSubnets = (field["destinationSubnets"]?.list ?? []).compactMap(\.ipPrefix)
        port = field["port"]?.port
        sourceLabels = field["sourceLabels"]?.stringMap ?? [:]
        sourceNamespace = field["sourceNamespace"]?.string
        gateways = field["gateways"]?.gatewayNames.map(\.value) ?? []
    }
}

extension VirtualService.TCPRoute {
    init?(reading field: FieldReader) {
        guard field.check("match route"), let routes = field.required("route") else { return nil }
        self.init(
            match: (field["match"]?.list ?? []).compactMap { VirtualService.TCPMatch(reading: $0) },
            route: VirtualService.Destination.list(reading: routes, isHTTP: false), location: field.location)
    }
}

extension VirtualService.TCPMatch {
    private static let fields: FieldNames = """
        destinationSubnets port sourceLabels gateways sourceNamespace sourceSubnet
        """

    init?(reading field: FieldReader) {
        guard field.check(Self.fields) else { return nil }
        self.init()
        destinationSubnets = (field["destinationSubnets"]?.list ?? []).compactMap(\.ipPrefix)
        port = field["port"]?.port
        sourceLabels = field["sourceLabels"]?.stringMap ?? [:]
        sourceNamespace = field["sourceNamespace"]?.string
        gateways = field["gateways"]?.gatewayNames.map(\.value) ?? []
    }
}

extension FieldReader {
    /// Names of gateways: `mesh`, `NAME`, or `NAMESPACE/NAME`.
    var gatewayNames: [Located<String>] {
        list.compactMap { element in
            guard let name = element.locatedString else { return nil }
            let parts = name.value.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
            let isName = parts.count <= 2 && parts.allSatisfy { HostName.isValid($0) && !$0.contains("*") }
            // The dot is the own namespace.
            guard isName || (parts.count == 2 && parts[0] == "." && HostName.isValid(parts[1])) else {
                element.error(
                    "\"\(name.value)\" is no gateway", remedy: "write mesh, NAME, or NAMESPACE/NAME")
                return nil
            }
            return name
        }
    }
}
