import NetworkAddresses

/// Checks the annotations that decide what a pod's sidecar captures (capture.md §2). Their meaning is read elsewhere;
/// here it is made sure that it can be.
enum PodAnnotations {
    private static let traffic = "traffic.sidecar.istio.io/"
    private static let trafficNames = [
        "includeOutboundIPRanges", "excludeOutboundIPRanges", "includeOutboundPorts", "excludeOutboundPorts",
        "includeInboundPorts", "excludeInboundPorts", "excludeInterfaces", "kubevirtInterfaces",
    ]

    static func check(in metadata: FieldReader) {
        for entry in metadata["annotations"]?.entries ?? [] where entry.key.contains("istio.io/") {
            check(entry.key, entry.field)
        }
        for entry in metadata["labels"]?.entries ?? [] where entry.key == "istio.io/dataplane-mode" {
            if entry.field.node.text == "ambient" { entry.field.refuse("ambient mode is not supported yet") }
        }
    }

    private static func check(_ key: String, _ field: FieldReader) {
        let value = field.node.text ?? ""
        switch key {
        case traffic + "includeOutboundIPRanges":
            CaptureLists.checkRanges(value, field, allowsAll: true)
        case traffic + "excludeOutboundIPRanges":
            CaptureLists.checkRanges(value, field, allowsAll: false)
        case traffic + "includeInboundPorts":
            CaptureLists.checkPorts(value, field, allowsAll: true)
        case traffic + "includeOutboundPorts", traffic + "excludeOutboundPorts", traffic + "excludeInboundPorts":
            CaptureLists.checkPorts(value, field, allowsAll: false)
        case traffic + "kubevirtInterfaces", "istio.io/reroute-virtual-interfaces":
            if !value.isEmpty { field.refuse("rerouted virtual interfaces are not supported yet") }
        case "sidecar.istio.io/interceptionMode":
            CaptureLists.checkInterceptionMode(field)
        case "status.sidecar.istio.io/port":
            if value != "0", UInt16(value) == nil { field.error("\"\(value)\" is not a port number") }
        case "sidecar.istio.io/inject":
            if !["true", "false", "y", "n", "yes", "no", "on", "off", ""].contains(value.lowercased()) {
                field.warn("\"\(value)\" is neither true nor false")
            }
        case AnnotatedVolumes.volumeAnnotation: _ = AnnotatedVolumes.volumes(field)
        case AnnotatedVolumes.mountAnnotation: _ = AnnotatedVolumes.mounts(field)
        case "proxy.istio.io/config":
            _ = MeshConfig(readingProxyConfigText: field)
        case _ where key.hasPrefix(traffic):
            let name = String(key.dropFirst(traffic.count))
            guard !trafficNames.contains(name) else { return }
            field.warn("unknown annotation", remedy: NearestName.remedy(for: name, among: trafficNames))
        default:
            break
        }
    }
}

/// The comma separated lists of capture settings, in annotations and chart values alike.
enum CaptureLists {
    static func checkRanges(_ value: String, _ field: FieldReader, allowsAll: Bool) {
        if value == "*" {
            if !allowsAll { field.error("* is not allowed here", remedy: "list the CIDR blocks") }
            return
        }
        for element in elements(value) where IPPrefix(element) == nil {
            field.error(
                element == "*" ? "* can't be one of several ranges" : "\"\(element)\" is not a CIDR block",
                remedy: element == "*" ? "write * alone" : nil)
        }
    }

    static func checkPorts(_ value: String, _ field: FieldReader, allowsAll: Bool) {
        if value == "*", allowsAll { return }
        for element in elements(value) where UInt16(element) == nil || element.hasPrefix("+") {
            field.error("\"\(element)\" is not a port number")
        }
    }

    static func checkInterceptionMode(_ field: FieldReader) {
        guard let mode = field.choice(of: ["REDIRECT", "TPROXY", "NONE"]) else { return }
        if mode == "TPROXY" { field.refuse("interception mode TPROXY is not supported yet") }
    }

    /// `ISTIO_OUTBOUND_…` and the other keys of `proxyMetadata` that change what a proxy does.
    static func checkProxyMetadata(_ key: String, _ field: FieldReader) {
        let value = field.node.text ?? ""
        switch key {
        case "ISTIO_META_HTTP10":
            if GoBoolean.isTrue(value) { field.refuse("HTTP/1.0 in the proxy is not supported yet") }
        case "ISTIO_META_IDLE_TIMEOUT":
            if !value.isEmpty, DurationText.milliseconds(value) == nil {
                field.warn("\"\(value)\" is not a duration, so it counts for nothing", remedy: "write 30s, or 1h")
            }
        case "ISTIO_OUTBOUND_OWNER_GROUPS", "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE":
            let groups = elements(value)
            if groups.count > 64 { field.error("\(groups.count) owner groups; at most 64 are possible") }
            if groups.count > 1, groups.contains("*") {
                field.error("* can't be one of several groups", remedy: "write * alone")
            }
        case "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR":
            let loopback = IPPrefix(IPAddress(127, 0, 0, 0), length: 8)
            guard let prefix = IPPrefix(value), prefix.family == .ipv4, loopback?.contains(prefix) == true else {
                field.error("\"\(value)\" is not a loopback block", remedy: "use one from 127.0.0.0/8 to 127.0.0.1/32")
                return
            }
        default:
            break
        }
    }

    static func elements(_ value: String) -> [String] {
        value.split(separator: ",").map { element in
            String(element.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
        }
        .filter { !$0.isEmpty }
    }
}
