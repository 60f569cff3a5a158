import Foundation
import TestSupport
import Testing

@Suite(.serialized) struct EnvoyKernelTests {
    @Test("Where Envoy is asked for and there is none, nothing is made and the exit status is 3", .requiresRoot)
    func missing() throws {
        let asking = Sample.scenario().replacing("spec:", with: "spec:\n  dataPlane: envoy", maxReplacements: 1)
        try withDirectory(["scenario.yaml": asking, "pod.yaml": Sample.pod]) { directory in
            let run = try BuiltProgram.run("run", directory, "--envoy", "/none", "--output", directory + "/out")
            #expect(run.status == 3 && run.output == "")
            #expect(run.diagnostics.contains("--envoy /none"))
            #expect(!FileManager.default.fileExists(atPath: directory + "/out"))
            // The command line's choice needs none.
            #expect(try BuiltProgram.run("run", directory, "--data-plane", "bundled").status == 0)
        }
    }

    @Test("--output has each Envoy's bootstrap", .requiresRoot, .requiresEnvoy)
    func bootstrap() throws {
        try withDirectory(["scenario.yaml": Sample.scenario(), "pod.yaml": Sample.pod]) { directory in
            let out = directory + "/out"
            let run = try BuiltProgram.run("run", directory, "--data-plane", "envoy", "--output", out)
            #expect(run.status == 0, "\(run.output)\(run.diagnostics)")
            let text = try String(contentsOfFile: out + "/sample/default/sleep/envoy.json", encoding: .utf8)
            #expect(text.contains("\"static_resources\""))
        }
    }

    @Test(
        "An Envoy that ends ends its scenario at once: exit status 4, with its pod and its last words",
        .requiresRoot, .requiresEnvoy, arguments: [("KILL", "signal 9"), ("SEGV", "Caught Segmentation fault")])
    func crash(signal: String, words: String) throws {
        // The pod's own Envoy: the one in this network.
        let script = """
            for p in /proc/[0-9]*; do if [ "$(readlink $p/ns/net)" = "$(readlink /proc/self/ns/net)" ] && \
            tr '\\0' ' ' <$p/cmdline | grep -q '^envoy '; then kill -\(signal) ${p#/proc/}; fi; done; sleep 60
            """
        let scenario =
            Sample.scenario() + "\n      commands:\n        - {in: default/sleep, uid: 0, run: '"
            + script.replacing("'", with: "''") + "', expect: {exitCode: 0}}\n"
        try withDirectory(["scenario.yaml": scenario, "pod.yaml": Sample.pod]) { directory in
            let started = ContinuousClock.now
            let run = try BuiltProgram.run("run", directory, "--data-plane", "envoy")
            #expect(run.status == 4, "\(run.output)\(run.diagnostics)")
            #expect(run.output.contains("default/sleep") && run.output.contains(words), "\(run.output)")
            // What was judged before stays, though the step was not over.
            #expect(run.output.contains("1 flow"), "\(run.output)")
            #expect(ContinuousClock.now - started < .seconds(20))
        }
    }
}
