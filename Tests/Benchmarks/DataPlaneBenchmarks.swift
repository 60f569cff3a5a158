import Envoy
import Foundation
import Manifests
import Netlink

/// A whole `run` of a scenario of 4 pods, 2 of them with sidecars, and 10 flows, from the start of the process to its end.
struct WholeRunBenchmark: Benchmark {
    let dataPlane: Scenario.DataPlaneKind

    var name: String { "whole run of scenarios/demo" + (dataPlane == .envoy ? " on Envoy" : "") }
    var reach: Limit? { dataPlane == .bundled ? .atMost(0.3) : nil }
    var unit: Unit { .seconds }

    func measure() async throws -> Double {
        let binary = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appendingPathComponent("egress-lab").path
        var arguments = ["run", "scenarios/demo", "--data-plane", dataPlane.rawValue]
        if dataPlane == .envoy { arguments += ["--envoy", try EnvoyLocator().find()] }
        var specification = ChildSpecification(binary, arguments)
        specification.environment = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
        specification.workingDirectory = FileManager.default.currentDirectoryPath
        let started = ContinuousClock.now
        let output = try ChildProcess.run(specification, timeout: .seconds(30))
        let elapsed = (ContinuousClock.now - started) / .seconds(1)
        guard output.status.isSuccess else {
            throw BenchmarkError("the demo did not pass: \(output.standardOutput)\(output.standardError)")
        }
        return elapsed
    }
}

/// Envoy alone, with nothing to do: from the start of the process until it accepts connections.
struct EnvoyStartBenchmark: Benchmark {
    var name: String { "rival: Envoy's own start-up" }
    var unit: Unit { .seconds }

    func measure() async throws -> Double {
        let folder = FileManager.default.temporaryDirectory.appending(path: "egress-lab-bench-envoy-\(getpid())")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let bootstrap = folder.appending(path: "bootstrap.json")
        try Data(#"{"node": {"id": "bench", "cluster": "bench"}}"#.utf8).write(to: bootstrap)
        let log = Pipe()
        var specification = ChildSpecification(
            try EnvoyLocator().find(),
            ["-c", bootstrap.path, "--disable-hot-restart", "--concurrency", "1", "--log-level", "info"])
        specification.environment = ["PATH=/usr/bin:/bin"]
        specification.descriptors = [2: log.fileHandleForWriting.fileDescriptor]
        let started = ContinuousClock.now
        let envoy = try ChildProcess.spawn(specification)
        defer {
            envoy.kill()
            _ = try? envoy.wait()
        }
        try log.fileHandleForWriting.close()
        var text = ""
        while true {
            let data = log.fileHandleForReading.availableData
            if data.isEmpty { break }
            text += String(decoding: data, as: UTF8.self)
            if text.contains("starting workers") { return (ContinuousClock.now - started) / .seconds(1) }
        }
        throw BenchmarkError("Envoy ended before it had started:\n\(text)")
    }
}
