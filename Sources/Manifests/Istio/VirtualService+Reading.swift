import NetworkAddresses
import RegularExpressions

extension VirtualService {
    private static let fields: FieldNames = "hosts gateways http tls tcp exportTo"

    /// Reads `networking.istio.io/VirtualService` with Istio's validation (ValidateVirtualService).
    init?(reading object: ObjectReader) {
        guard let spec = object.spec(Self.fields), let hostsField = spec.required("hosts") else { return nil }
        if hostsField.isList, hostsField.list.isEmpty { hostsField.error("a VirtualService needs at least one host") }
        let hosts = hostsField.list.compactMap { field -> Located<String>? in
            guard let host = field.locatedString else { return nil }
            if !HostName.isValid(host.value) {
                field.error("\"\(host.value)\" is not a host name")
                return nil
            }
            return host
        }
        var gateways = ["mesh"]
        if let field = spec["gateways"] {
            let list = field.list
            let names = list.compactMap(\.string)
            if !names.isEmpty { gateways = names }
            for element in list where element.node.text != "mesh" && element.node.scalarType == .string {
                element.refuse("gateways come with a later version; only mesh is carried out")
            }
        }
        if let tcp = spec["tcp"], !tcp.list.isEmpty { tcp.refuse("tcp routes are not supported yet") }
        let http = (spec["http"]?.list ?? []).compactMap { HTTPRoute(reading: $0) }
        let tls = (spec["tls"]?.list ?? []).compactMap { TLSRoute(reading: $0, hosts: hosts) }
        if spec["http"] == nil, spec["tls"] == nil, spec["tcp"] == nil {
            spec.error("a VirtualService needs http, tls or tcp routes")
        }
        self.init(
            metadata: object.metadata, hosts: hosts, gateways: gateways, http: http, tls: tls,
            exportTo: spec["exportTo"].map(\.exportTo) ?? ["*"])
    }
}

extension VirtualService.HTTPRoute {
    private static let fields: FieldNames = """
        name match route redirect directResponse delegate rewrite timeout retries fault mirror mirrors mirrorPercent
        mirrorPercentage corsPolicy headers
        """
    private static let refused: FieldNames = """
        redirect directResponse delegate rewrite fault mirror mirrors mirrorPercent mirrorPercentage corsPolicy headers
        """

    init?(reading field: FieldReader) {
        guard field.check(Self.fields) else { return nil }
        field.refuse(fields: Self.refused)
        let match = (field["match"]?.list ?? []).compactMap { VirtualService.HTTPMatch(reading: $0) }
        let routes = field["route"].map { VirtualService.Destination.list(reading: $0) } ?? []
        let replaced = ["redirect", "directResponse", "delegate"].contains { field[$0] != nil }
        if field["route"] == nil, !replaced { field.error("an HTTP route needs route") }
        var retries: VirtualService.Retries?
        if let policy = field["retries"] { retries = VirtualService.Retries(reading: policy) }
        self.init(
            name: field["name"]?.string, match: match, route: routes, timeoutMs: field["timeout"]?.milliseconds,
            retries: retries, location: field.location)
    }
}

extension VirtualService.Retries {
    init?(reading field: FieldReader) {
        guard
            field.check(
                """
                attempts perTryTimeout retryOn retryRemoteLocalities retryIgnorePreviousHosts backoff
                """)
        else { return nil }
        field["backoff"]?.warn("the back-off between retries is not carried out")
        let on = field["retryOn"]?.string.map { CaptureLists.elements($0) }
        let attempts = field["attempts"]?.integer()
        if attempts == 0, field["perTryTimeout"] != nil || field["retryOn"] != nil {
            field.error("attempts 0 turns retries off and can't be combined with perTryTimeout or retryOn")
        }
        self.init(attempts: attempts ?? 0, perTryTimeoutMs: field["perTryTimeout"]?.milliseconds, retryOn: on)
    }
}

extension VirtualService.Destination {
    static func list(reading field: FieldReader) -> [Self] {
        let list = field.list
        if field.isList, list.isEmpty { field.error("at least one destination is needed") }
        let routes = list.compactMap { Self(reading: $0) }
        if routes.count > 1, routes.allSatisfy({ ($0.weight ?? 0) == 0 }) {
            field.error("the weights of several destinations add up to 0", remedy: "give each a weight")
        }
        return routes
    }

    init?(reading field: FieldReader) {
        guard field.check("destination weight headers") else { return nil }
        field.refuse(fields: "headers")
        guard let destination = field.required("destination"), destination.check("host subset port"),
            let hostField = destination.required("host"), let host = hostField.string
        else { return nil }
        if !HostName.isValid(host) {
            hostField.error("\"\(host)\" is not a host name")
            return nil
        }
        var port: UInt16?
        if let selector = destination["port"] {
            selector.check("number")
            guard let number = selector.required("number")?.port else { return nil }
            port = number
        }
        self.init(
            host: host, subset: destination["subset"]?.string, port: port, weight: field["weight"]?.integer(),
            location: field.location)
    }
}

extension VirtualService.HTTPMatch {
    private static let fields: FieldNames = """
        name uri scheme method authority headers port sourceLabels gateways queryParams ignoreUriCase withoutHeaders
        sourceNamespace statPrefix
        """

    init?(reading field: FieldReader) {
        guard field.check(Self.fields) else { return nil }
        self.init()
        name = field["name"]?.string
        uri = field["uri"].flatMap { VirtualService.StringMatch(reading: $0) }
        method = field["method"].flatMap { VirtualService.StringMatch(reading: $0) }
        scheme = field["scheme"].flatMap { VirtualService.StringMatch(reading: $0) }
        authority = field["authority"].flatMap { VirtualService.StringMatch(reading: $0) }
        headers = Self.matches(field["headers"])
        withoutHeaders = Self.matches(field["withoutHeaders"])
        queryParams = Self.matches(field["queryParams"])
        port = field["port"]?.port
        sourceLabels = field["sourceLabels"]?.stringMap ?? [:]
        sourceNamespace = field["sourceNamespace"]?.string
        gateways = field["gateways"]?.matchGateways ?? []
        ignoreUriCase = field["ignoreUriCase"]?.boolean ?? false
    }

    private static func matches(_ field: FieldReader?) -> [String: VirtualService.StringMatch] {
        var result: [String: VirtualService.StringMatch] = [:]
        for entry in field?.entries ?? [] {
            result[entry.key] =
                entry.field.node.isNull ? .present : VirtualService.StringMatch(reading: entry.field, mayBeEmpty: true)
        }
        return result
    }
}

extension VirtualService.StringMatch {
    /// Reads `{exact: …}`, `{prefix: …}` or `{regex: …}`; an empty one means presence where that has a meaning.
    init?(reading field: FieldReader, mayBeEmpty: Bool = false) {
        guard field.check("exact prefix regex") else { return nil }
        let given = ["exact", "prefix", "regex"].compactMap { field[$0] }
        guard let first = given.first else {
            if mayBeEmpty {
                self = .present
                return
            }
            field.error("give exact, prefix or regex")
            return nil
        }
        guard given.count == 1 else {
            field.error("give only one of exact, prefix and regex")
            return nil
        }
        guard let text = first.string else { return nil }
        if field["exact"] != nil {
            self = .exact(text)
        } else if field["prefix"] != nil {
            self = .prefix(text)
        } else {
            do {
                _ = try RegularExpression(text)
            } catch {
                first.error("\"\(text)\" is not a regular expression of Envoy's (RE2): \(error)")
                return nil
            }
            self = .regex(text)
        }
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
            route: VirtualService.Destination.list(reading: routes), location: field.location)
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
        field.refuse(fields: "sourceSubnet")
        destinationSubnets = (field["destinationSubnets"]?.list ?? []).compactMap(\.ipPrefix)
        port = field["port"]?.port
        sourceLabels = field["sourceLabels"]?.stringMap ?? [:]
        sourceNamespace = field["sourceNamespace"]?.string
        gateways = field["gateways"]?.matchGateways ?? []
    }
}

extension FieldReader {
    /// The gateways of a match; others than the mesh are refused.
    fileprivate var matchGateways: [String] {
        list.compactMap { element in
            guard let name = element.string else { return nil }
            if name != "mesh" { element.refuse("gateways come with a later version; only mesh is carried out") }
            return name
        }
    }
}
