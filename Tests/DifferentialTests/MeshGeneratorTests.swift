import Manifests
import Testing

@testable import egress_lab_differential

@Suite struct MeshGeneratorTests {
    @Test("The same seed and index give the same text, others another one")
    func repeats() {
        for index in 0..<20 {
            #expect(MeshGenerator.mesh(seed: 7, index: index).text == MeshGenerator.mesh(seed: 7, index: index).text)
        }
        let texts = Set((0..<20).map { MeshGenerator.mesh(seed: 7, index: $0).text })
        #expect(texts.count == 20)
        #expect(MeshGenerator.mesh(seed: 7, index: 0).flows != MeshGenerator.mesh(seed: 8, index: 0).flows)
    }

    @Test("Random numbers are SplitMix64's")
    func numbers() {
        var numbers = SplitMix64(seed: 1_234_567)
        // The reference implementation's first numbers for this seed (Vigna, splitmix64.c).
        #expect(numbers.next() == 6_457_827_717_110_365_317)
        #expect(numbers.next() == 3_203_168_211_198_807_973)
    }

    @Test("Every mesh is a scenario that the reader takes and the planner plans, without an error")
    func isAccepted() throws {
        let comparer = MeshComparer(planes: MeshComparer.Planes(), folder: try ScratchFolder())
        for index in 0..<300 {
            let mesh = MeshGenerator.mesh(seed: 1, index: index)
            let problems = try comparer.problems(of: mesh)
            #expect(problems.isEmpty, "mesh \(index): \(problems.map(\.description).joined(separator: "\n"))")
            #expect((8...27).contains(mesh.flows.count))
        }
    }

    @Test("All that rules can say occurs somewhere")
    func covers() {
        let texts = (0..<300).map { MeshGenerator.mesh(seed: 1, index: $0).text }.joined()
        for word in [
            "resolution: NONE", "resolution: STATIC", "resolution: DNS", "resolution: DNS_ROUND_ROBIN",
            "protocol: HTTP", "protocol: HTTPS", "protocol: TLS", "protocol: TCP", "protocol: Mongo",
            "\"*.wild.example\"",
            "203.0.113.0/28", "targetPort:", "clusterIP: None", "exact:", "prefix:", "regex:", "method:", "headers:",
            "withoutHeaders:", "queryParams:", "authority:", "scheme:", "ignoreUriCase:", "sniHosts:", "weight: 0",
            "timeout:", "retries:", "subset: v9", "nowhere.example", "kind: DestinationRule", "kind: Sidecar",
            "exportTo:", "ALLOW_ANY", "REGISTRY_ONLY", "ISTIO_DUAL_STACK", "ISTIO_META_DNS_CAPTURE",
            "CAPTURE_ALL_DNS", "podIPs", "httpVersion: \"1.0\"", "sni:",
            "rewrite:", "uriRegexRewrite:", "redirect:", "directResponse:", "abort:", "delay:", "corsPolicy:",
            "mirror:",
            "insecureSkipVerify:", "kind: Gateway", "PASSTHROUGH", "ISTIO_MUTUAL", "kind: AuthorizationPolicy",
            "host:", "address:", "tcp://", "tls://", "app: banner", "/dev/tcp/", "[2001:db8", "https://default/web",
        ] {
            #expect(texts.contains(word), "\(word)")
        }
    }
}
