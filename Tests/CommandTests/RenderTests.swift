import Foundation
import TestSupport
import Testing

@Suite struct RenderTests {
    private let files = ["scenario.yaml": Sample.scenario(), "pod.yaml": Sample.pod]

    @Test("Capture rules are printed for each pod, the node's as policy")
    func rules() throws {
        try withDirectory(files) { directory in
            let all = try BuiltProgram.run("render", directory)
            #expect(all.status == 0, "\(all.diagnostics)")
            #expect(all.output.contains("# pod default/sleep\ntable "))
            let policy = try BuiltProgram.run("render", directory, "--what", "policy").output
            #expect(all.output.hasSuffix(policy))
            let capture = try BuiltProgram.run("render", directory, "--what", "capture", "--pod", "default/sleep")
                .output
            #expect(capture.contains("15001"))
        }
    }

    @Test("Of several nodes each one's rules are printed, and those of the fabric with the boundary")
    func nodes() throws {
        let scenario = Sample.scenario().replacing("spec:\n", with: "spec:\n  nodes: [a, b]\n")
        try withDirectory(files.merging(["scenario.yaml": scenario]) { $1 }) { directory in
            let run = try BuiltProgram.run("render", directory, "--what", "policy")
            #expect(run.status == 0, "\(run.diagnostics)")
            let heads = run.output.split(separator: "\n").filter { $0.hasPrefix("# ") }
            #expect(heads == ["# node a", "# node b", "# fabric"])
            #expect(run.output.components(separatedBy: "egress-lab-boundary").count == 2)
        }
    }

    @Test("What `render --what proxy` prints for a pod is one JSON object")
    func proxy() throws {
        try withDirectory(files) { directory in
            let run = try BuiltProgram.run("render", directory, "--what", "proxy", "--pod", "default/sleep")
            #expect(run.status == 0, "\(run.diagnostics)")
            let object = try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any]
            #expect(object?["listeners"] != nil)
        }
    }

    @Test("What DNS agents answer is printed like a hosts file")
    func names() throws {
        let entry = """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: cnn}
            spec: {hosts: [edition.cnn.com], ports: [{number: 443, name: tls, protocol: TLS}], resolution: DNS}
            """
        let config = "{proxy.istio.io/config: \"{proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}}\"}"
        let pod = Sample.pod.replacing("  name: sleep\n", with: "  name: sleep\n  annotations: \(config)\n")
        try withDirectory(["pod.yaml": pod, "entry.yaml": entry]) { directory in
            let run = try BuiltProgram.run("render", directory, "--what", "names")
            #expect(run.status == 0, "\(run.diagnostics)")
            #expect(run.output.contains("# pod default/sleep, everything else from 10.96.0.10, fd00:10:96::a\n"))
            #expect(run.output.contains("240.240.0.1\tedition.cnn.com\n"))
            #expect(run.output.contains("# pod kube-system/kube-dns: no DNS capture\n"))
        }
    }

    @Test("Where no pod has a sidecar, there are no configurations")
    func noProxy() throws {
        let pod = Sample.pod.replacing("\"true\"", with: "\"false\"")
        try withDirectory(["pod.yaml": pod]) { directory in
            let all = try BuiltProgram.run("render", directory, "--what", "proxy")
            #expect(all.status == 0 && all.output == "{}\n")
            #expect(try BuiltProgram.run("render", directory, "--what", "proxy", "--pod", "default/sleep").status == 2)
        }
    }

    @Test("An unknown pod or step exits 2 and names those that exist")
    func unknown() throws {
        try withDirectory(files) { directory in
            let pod = try BuiltProgram.run("render", directory, "--pod", "default/nobody")
            #expect(pod.status == 2)
            #expect(pod.diagnostics.contains("default/sleep"))
            let step = try BuiltProgram.run("render", directory, "--step", "7")
            #expect(step.status == 2)
            #expect(step.diagnostics.contains("1 (only)"))
        }
    }
}
