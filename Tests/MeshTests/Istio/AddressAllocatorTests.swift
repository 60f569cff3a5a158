import Manifests
import Mesh
import NetworkAddresses
import Testing

@Suite("Allocated addresses")
struct AddressAllocatorTests {
    private static let client = KubernetesFixture.pod(
        "sleep", labels: "{sidecar.istio.io/inject: \"true\"}",
        annotations: "{proxy.istio.io/config: \"{proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}}\"}")

    private func allocated(_ plan: LabPlan) -> [String: String] {
        let entries = plan.pod("sleep")?.agent?.names.entries ?? []
        return Dictionary(
            uniqueKeysWithValues: entries.filter { $0.name.hasSuffix(".example") }.map {
                ($0.name, $0.addresses.map(\.description).joined(separator: " "))
            })
    }

    @Test("hosts of entries without addresses get them in order; NONE, wildcards and who opts out get none")
    func who() {
        let plan = KubernetesFixture.plan(
            Self.client + Manifest.entry("a", "a.example", 443, "TLS")
                + Manifest.entry("none", "none.example", 443, "TLS", resolution: "NONE")
                + Manifest.entry("own", "own.example", 443, "TLS", extra: "addresses: [192.0.2.9]")
                + Manifest.entry(
                    "wildcard", "*.wild.example", 443, "TLS", resolution: "STATIC",
                    extra: "endpoints: [{address: 203.0.113.1}]")
                    + """
                    apiVersion: networking.istio.io/v1
                    kind: ServiceEntry
                    metadata: {name: out, labels: {networking.istio.io/enable-autoallocate-ip: "False"}}
                    spec: {hosts: [out.example], ports: [{number: 443, name: tls, protocol: TLS}], resolution: DNS}
                    ---

                    """ + Manifest.entry("b", "B.example", 443, "TLS", resolution: "DNS_ROUND_ROBIN"))
        #expect(
            allocated(plan)
                == ["a.example": "240.240.0.1", "own.example": "192.0.2.9", "b.example": "240.240.0.2"])
    }

    @Test("an address stays with its host over steps, and is not given to another after it")
    func steps() {
        var fixture = KubernetesFixture(
            Self.client + Manifest.entry("a", "a.example", 443, "TLS") + Manifest.entry("b", "b.example", 443, "TLS"))
        #expect(allocated(fixture.plan()) == ["a.example": "240.240.0.1", "b.example": "240.240.0.2"])
        fixture.delete("ServiceEntry", "default", "a")
        fixture.apply(Manifest.entry("c", "c.example", 443, "TLS"))
        #expect(allocated(fixture.plan()) == ["b.example": "240.240.0.2", "c.example": "240.240.0.3"])
        fixture.apply(Manifest.entry("a", "a.example", 443, "TLS"))
        #expect(allocated(fixture.plan())["a.example"] == "240.240.0.4")
    }

    @Test("an address that somebody declares is given up")
    func conflict() {
        var fixture = KubernetesFixture(Self.client + Manifest.entry("a", "a.example", 443, "TLS"))
        #expect(allocated(fixture.plan()) == ["a.example": "240.240.0.1"])
        fixture.apply(Manifest.entry("b", "b.example", 443, "TLS", extra: "addresses: [240.240.0.1, 240.240.0.2]"))
        #expect(
            allocated(fixture.plan())
                == ["a.example": "240.240.0.3", "b.example": "240.240.0.1 240.240.0.2"])
    }
}
