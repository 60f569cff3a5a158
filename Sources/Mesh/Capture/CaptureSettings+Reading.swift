package import Manifests
package import NetworkAddresses

extension CaptureSettings {
    /// 127.0.0.1/32: what counts as loopback unless the proxy's metadata says otherwise.
    package static let defaultLoopbackRange = IPPrefix(.loopbackIPv4)
    /// Ports of the proxy's own that are never captured inbound; the agent's status port joins them.
    package static let alwaysExcludedInboundPorts: Set<UInt16> = [15090, 15021, 15020]

    /// The settings of a pod that starts now: annotations before mesh values before defaults (capture.md §2).
    ///
    /// The values were checked when the manifests were read; what is wrong in them is passed over here.
    package static func reading(
        annotations: [String: Located<String>], owner: Origin, addresses: [IPAddress], nameservers: [IPAddress],
        spec: PodSpec, mesh: MeshConfig, proxy: ProxySettings
    ) -> (CaptureSettings, [Diagnostic]) {
        var reader = CaptureSettingsReader(annotations: annotations, owner: owner, mesh: mesh, proxy: proxy)
        reader.readMode()
        reader.readOutbound()
        reader.readInbound()
        reader.readMetadata()
        reader.readFamilies(addresses)
        reader.readDNS(nameservers.filter { server in addresses.contains { $0.family == server.family } })
        reader.readStartOrder(spec)
        return (reader.settings, reader.diagnostics)
    }
}

/// Reads the settings of one pod.
private struct CaptureSettingsReader {
    typealias Given = ProxySettings.Given

    var settings = CaptureSettings(loopbackRange: CaptureSettings.defaultLoopbackRange)
    var diagnostics: [Diagnostic] = []
    private let annotations: [String: Located<String>]
    private let owner: Origin
    private let mesh: MeshConfig
    private let proxy: ProxySettings
    private var metadata: [String: Given] { proxy.metadata }

    init(annotations: [String: Located<String>], owner: Origin, mesh: MeshConfig, proxy: ProxySettings) {
        self.annotations = annotations
        self.owner = owner
        self.mesh = mesh
        self.proxy = proxy
    }

    private func annotation(_ key: String) -> Given? {
        annotations[key].map { value in
            var origin = owner
            origin.field = key
            origin.location = value.location
            return Given(text: value.value, origin: origin)
        }
    }

    /// The annotation if there is one, even an empty one, else the mesh value.
    private func traffic(_ name: String, mesh value: Located<String>?, as chartName: String) -> Given? {
        annotation("traffic.sidecar.istio.io/" + name)
            ?? value.map { Given(text: $0.value, origin: Origin.mesh("global.proxy.\(chartName)", at: $0.location)) }
    }

    mutating func readMode() {
        let key = "sidecar.istio.io/interceptionMode"
        let given = annotation(key) ?? proxy.interceptionMode
        if let given, let mode = CaptureSettings.InterceptionMode(rawValue: given.text) {
            settings.mode = mode
            settings.origins["interceptionMode"] = given.origin
        }
        if let port = mesh.proxyListenPort { settings.outboundPort = port }
        if let port = mesh.proxyInboundListenPort { settings.inboundPort = port }
    }

    mutating func readOutbound() {
        if let given = traffic("includeOutboundIPRanges", mesh: mesh.includeIPRanges, as: "includeIPRanges") {
            settings.includeOutboundRanges = given.text == "*" ? .all : .only(given.elements.compactMap(IPPrefix.init))
            settings.origins["includeOutboundRanges"] = given.origin
        }
        if let given = traffic("excludeOutboundIPRanges", mesh: mesh.excludeIPRanges, as: "excludeIPRanges") {
            settings.excludeOutboundRanges = given.elements.compactMap(IPPrefix.init)
            settings.origins["excludeOutboundRanges"] = given.origin
        }
        if let given = traffic("includeOutboundPorts", mesh: mesh.includeOutboundPorts, as: "includeOutboundPorts") {
            settings.includeOutboundPorts = given.elements.compactMap(UInt16.init)
            settings.origins["includeOutboundPorts"] = given.origin
        }
        if let given = traffic("excludeOutboundPorts", mesh: mesh.excludeOutboundPorts, as: "excludeOutboundPorts") {
            settings.excludeOutboundPorts = given.elements.compactMap(UInt16.init)
            settings.origins["excludeOutboundPorts"] = given.origin
        }
        if let given = annotation("traffic.sidecar.istio.io/excludeInterfaces") {
            settings.excludeInterfaces = given.elements
            settings.origins["excludeInterfaces"] = given.origin
        }
    }

    mutating func readInbound() {
        if let given = traffic("includeInboundPorts", mesh: mesh.includeInboundPorts, as: "includeInboundPorts") {
            settings.includeInboundPorts = given.text == "*" ? .all : .only(given.elements.compactMap(UInt16.init))
            settings.origins["includeInboundPorts"] = given.origin
        }
        // Istio's injection template lists its own two, then the given ones, then the status port if it isn't there.
        var ports: [UInt16] = [15090, 15021]
        if let given = traffic("excludeInboundPorts", mesh: mesh.excludeInboundPorts, as: "excludeInboundPorts") {
            ports += given.elements.compactMap(UInt16.init)
            settings.origins["excludeInboundPorts"] = given.origin
        }
        let statusPort = annotations["status.sidecar.istio.io/port"].map { UInt16($0.value) ?? 15020 } ?? 15020
        if statusPort != 0, !ports.dropFirst(2).contains(statusPort) { ports.append(statusPort) }
        settings.excludeInboundPorts = ports
    }

    mutating func readMetadata() {
        if let given = metadata["ISTIO_OUTBOUND_OWNER_GROUPS"] {
            settings.includeOwnerGroups = given.text == "*" ? .all : .only(groups(given))
            settings.origins["includeOwnerGroups"] = given.origin
        }
        if let given = metadata["ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE"], settings.includeOwnerGroups == .all {
            settings.excludeOwnerGroups = groups(given)
            settings.origins["excludeOwnerGroups"] = given.origin
        }
        if let given = metadata["ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR"], let range = IPPrefix(given.text),
            range.family == .ipv4
        {
            settings.loopbackRange = range
            settings.origins["loopbackRange"] = given.origin
        }
        if let given = metadata["INVALID_DROP"], given.text.isTrue {
            settings.dropsInvalid = true
            settings.origins["dropsInvalid"] = given.origin
        }
    }

    /// Groups by number; a name would have to be looked up in an image that the lab does not have.
    private mutating func groups(_ given: Given) -> [String] {
        given.elements.filter { element in
            if UInt32(element) != nil { return true }
            diagnostics.append(
                Diagnostic(
                    .unsupported, "\(given.origin.field): the owner group '\(element)' is a name",
                    remedy: "write the group's number", at: given.origin.location))
            return false
        }
    }

    mutating func readFamilies(_ addresses: [IPAddress]) {
        let usable = addresses.filter { !$0.isLoopback && !$0.isLinkLocal }
        let isDualStack = metadata["ISTIO_DUAL_STACK"]?.text.isTrue ?? false
        settings.isIPv6On = (isDualStack ? usable : Array(usable.prefix(1))).contains { $0.family == .ipv6 }
    }

    /// - Parameter servers: those of the pod's `resolv.conf`.
    mutating func readDNS(_ servers: [IPAddress]) {
        guard let given = metadata["ISTIO_META_DNS_CAPTURE"], given.text.isTrue else { return }
        settings.capturesDNS = true
        settings.origins["capturesDNS"] = given.origin
        if let all = metadata["CAPTURE_ALL_DNS"], all.text.isTrue {
            settings.dnsServers = .all
            settings.origins["dnsServers"] = all.origin
            return
        }
        settings.dnsServers = .only(
            servers.filter { $0.family == .ipv4 } + servers.filter { $0.family == .ipv6 && settings.isIPv6On })
        if !settings.redirectsDNS {
            diagnostics.append(
                Diagnostic(
                    .warning, "DNS capture redirects nothing: the pod's resolv.conf names no server that it could",
                    remedy: "add CAPTURE_ALL_DNS: \"true\" to proxyMetadata", at: given.origin.location))
        }
    }

    mutating func readStartOrder(_ spec: PodSpec) {
        let isNative =
            annotations["sidecar.istio.io/nativeSidecar"]?.value.isTrue ?? mesh.nativeSidecars
            ?? spec.initContainers.contains { $0.name == Injection.proxyContainer }
        settings.startOrder = isNative ? .nativeSidecar : .classic
    }
}

extension ProxySettings.Given {
    /// Of a list with commas.
    fileprivate var elements: [String] {
        text.split(separator: ",").map { $0.trimmingSpaces }.filter { !$0.isEmpty }
    }
}

extension StringProtocol {
    fileprivate var isTrue: Bool { ["true", "1", "t"].contains(lowercased()) }

    fileprivate var trimmingSpaces: String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
