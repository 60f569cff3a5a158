import Manifests
import Mesh
import Nftables
import Testing

/// One annotation or mesh value, and the golden of the rules that it makes.
struct CaptureCase: CustomTestStringConvertible, Sendable {
    let name: String
    var annotations = "{}"
    var values = "{}"
    var spec = ""

    var testDescription: String { name }
    var golden: String { name + ".nft" }

    private static let traffic = "traffic.sidecar.istio.io/"

    private init(_ name: String, annotations: String = "{}", values: String = "{}", spec: String = "") {
        (self.name, self.annotations, self.values, self.spec) = (name, annotations, values, spec)
    }

    private static func traffic(_ name: String, _ annotation: String, _ value: String) -> CaptureCase {
        CaptureCase(name, annotations: "{\(traffic)\(annotation): \"\(value)\"}")
    }

    private static func metadata(_ name: String, _ entries: String) -> CaptureCase {
        CaptureCase(name, annotations: "{proxy.istio.io/config: \"{proxyMetadata: {\(entries)}}\"}")
    }

    private static func values(_ name: String, _ text: String) -> CaptureCase {
        CaptureCase(name, values: "{values: {global: {proxy: {\(text)}}}}")
    }

    static let all: [CaptureCase] = [
        CaptureCase("default"),
        metadata("ipv6", "ISTIO_DUAL_STACK: 'true'"),
        traffic("include-outbound-ranges", "includeOutboundIPRanges", "10.0.0.1/24,2001:db8::/32,192.0.2.0/24"),
        CaptureCase(
            "include-outbound-ranges-ipv6",
            annotations: """
                {\(traffic)includeOutboundIPRanges: "2001:db8::/32,10.0.0.0/24", proxy.istio.io/config: \
                "{proxyMetadata: {ISTIO_DUAL_STACK: 'true'}}"}
                """),
        traffic("include-outbound-nothing", "includeOutboundIPRanges", ""),
        traffic("include-outbound-loopback", "includeOutboundIPRanges", "127.0.0.0/8"),
        traffic("exclude-outbound-ranges", "excludeOutboundIPRanges", "198.51.100.7/32,2001:db8::/32,203.0.113.0/24"),
        traffic("include-outbound-ports", "includeOutboundPorts", "80, 443"),
        traffic("exclude-outbound-ports", "excludeOutboundPorts", "25,465"),
        traffic("include-inbound-ports", "includeInboundPorts", "8080,9090"),
        traffic("include-inbound-nothing", "includeInboundPorts", ""),
        traffic("exclude-inbound-ports", "excludeInboundPorts", "8081"),
        traffic("exclude-interfaces", "excludeInterfaces", "net1,net2"),
        CaptureCase("status-port", annotations: "{status.sidecar.istio.io/port: \"15099\"}"),
        CaptureCase("interception-none", annotations: "{sidecar.istio.io/interceptionMode: NONE}"),
        metadata("owner-groups", "ISTIO_OUTBOUND_OWNER_GROUPS: '2000,3000'"),
        metadata("owner-groups-exclude", "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE: '2000,3000'"),
        metadata("loopback-range", "ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR: 127.0.0.0/8"),
        metadata("invalid-drop", "INVALID_DROP: 'true'"),
        metadata("dns-capture", "ISTIO_META_DNS_CAPTURE: 'true'"),
        metadata("dns-capture-ipv6", "ISTIO_META_DNS_CAPTURE: 'true', ISTIO_DUAL_STACK: 'true'"),
        metadata("dns-capture-all", "ISTIO_META_DNS_CAPTURE: 'true', CAPTURE_ALL_DNS: 'true'"),
        metadata(
            "dns-capture-all-ipv6",
            "ISTIO_META_DNS_CAPTURE: 'true', CAPTURE_ALL_DNS: 'true', ISTIO_DUAL_STACK: 'true'"),
        metadata("dns-capture-all-alone", "CAPTURE_ALL_DNS: 'true'"),
        CaptureCase(
            "dns-capture-excluded",
            annotations: """
                {\(traffic)excludeOutboundPorts: "53", \(traffic)excludeOutboundIPRanges: "10.96.0.0/16", \
                proxy.istio.io/config: "{proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true', \
                ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE: '2000'}}"}
                """),
        CaptureCase(
            "dns-capture-mesh",
            values: "{meshConfig: {defaultConfig: {proxyMetadata: {ISTIO_META_DNS_CAPTURE: \"true\"}}}}"),
        CaptureCase("mesh-ports", values: "{meshConfig: {proxyListenPort: 16001, proxyInboundListenPort: 16006}}"),
        CaptureCase("mesh-none", values: "{meshConfig: {defaultConfig: {interceptionMode: NONE}}}"),
        CaptureCase(
            "mesh-metadata",
            values: "{meshConfig: {defaultConfig: {proxyMetadata: {ISTIO_OUTBOUND_OWNER_GROUPS: \"2000\"}}}}"),
        values("mesh-include-ranges", "includeIPRanges: \"10.0.0.1/24\""),
        values("mesh-exclude-ranges", "excludeIPRanges: \"10.0.0.0/8\""),
        values("mesh-include-outbound-ports", "includeOutboundPorts: \"443\""),
        values("mesh-exclude-outbound-ports", "excludeOutboundPorts: \"25\""),
        values("mesh-include-inbound-ports", "includeInboundPorts: \"8080\""),
        values("mesh-exclude-inbound-ports", "excludeInboundPorts: \"8081\""),
        CaptureCase(
            "annotation-replaces-mesh-value",
            annotations: "{\(traffic)excludeOutboundPorts: \"465\", \(traffic)includeOutboundIPRanges: \"*\"}",
            values: """
                {values: {global: {proxy: {excludeOutboundPorts: "25", includeIPRanges: "10.0.0.0/8"}}}}
                """),
    ]

    /// The rules of a pod with a sidecar under these settings.
    var ruleset: Ruleset? {
        let plan = KubernetesFixture.plan(
            KubernetesFixture.namespace("default", "{istio-injection: enabled}")
                + KubernetesFixture.pod("sleep", annotations: annotations, spec: spec)
                + "{apiVersion: install.istio.io/v1alpha1, kind: IstioOperator, metadata: {name: i, namespace: "
                + "istio-system}, spec: \(values)}\n")
        return plan.pod("sleep")?.ruleset
    }
}
