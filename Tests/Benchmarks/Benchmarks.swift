import Foundation
import Manifests
import Netlink

/// Measures what the project promises, beside its rivals, in one run. Needs root and a release build.
///
/// Each measurement runs in a child of its own, in empty namespaces: nothing reaches the host's network, and nothing
/// remains.
@main
enum Benchmarks {
    static let all: [any Benchmark] = [
        SetUpBenchmark(pods: 100), SetUpBenchmark(pods: 1000), RivalSetUpBenchmark(pods: 100),
        RivalSetUpBenchmark(pods: 1000), BlockedFlowBenchmark(), RivalBlockedFlowBenchmark(),
        FlowRateBenchmark(pods: 100), WholeRunBenchmark(dataPlane: .bundled), WholeRunBenchmark(dataPlane: .envoy),
        EnvoyStartBenchmark(), SidecarMemoryBenchmark(sidecars: 100), ConnectionChurnBenchmark(connections: 100_000),
        DumpMatrixBenchmark(), MatrixRateBenchmark(isDenied: false), MatrixRateBenchmark(isDenied: true),
        PolicySetUpBenchmark(policies: 0), PolicySetUpBenchmark(policies: 200), CompileBenchmark(pods: 500),
        CompileBenchmark(pods: 1000), RequestRateBenchmark(pods: 10, isNewEachTime: false),
        RequestRateBenchmark(pods: 1000, isNewEachTime: false), RequestRateBenchmark(pods: 10, isNewEachTime: true),
        RequestRateBenchmark(pods: 1000, isNewEachTime: true), StandingChangeBenchmark(changes: 1000),
        StandingGrowthBenchmark(commands: 10_000),
    ]

    static func main() async {
        do {
            try await run()
        } catch {
            FileHandle.standardError.write(Data("\(error)\n".utf8))
            exit(1)
        }
    }

    private static func run() async throws {
        if CommandLine.arguments.count == 4, CommandLine.arguments[1] == "--child" {
            print(try ProxyComparison.measure(CommandLine.arguments[3]))
            exit(0)
        }
        if CommandLine.arguments.count == 3, CommandLine.arguments[1] == "--child" {
            guard let benchmark = all.first(where: { $0.name == CommandLine.arguments[2] }) else { exit(2) }
            let value = try await benchmark.measure()
            print(value)
            exit(0)
        }
        let numbers = CommandLine.arguments.dropFirst(2).compactMap(Int.init)
        if CommandLine.arguments.dropFirst().first == "--dump", numbers.count == 3, numbers.allSatisfy({ $0 > 0 }) {
            print(ClusterDump(pods: numbers[0], namespaces: numbers[1], policies: numbers[2]).yaml, terminator: "")
            return
        }
        guard geteuid() == 0 else {
            FileHandle.standardError.write(Data("the benchmarks make network namespaces: run them as root\n".utf8))
            exit(3)
        }
        let wanted = CommandLine.arguments.dropFirst()
        let chosen = all.filter { benchmark in
            wanted.isEmpty || wanted.contains { benchmark.name.contains($0) }
        }
        if !chosen.isEmpty { try measure(chosen) }
        if wanted.isEmpty || wanted.contains(where: { ProxyComparison.name.contains($0) }) {
            try ProxyComparison.run { try child(ProxyComparison.name, $0) }
        }
    }

    private static func measure(_ chosen: [any Benchmark]) throws {
        var medians: [String: Double] = [:]
        print(row("work", "measured", "floor in C", "rival", "reach", "verdict"))
        for benchmark in chosen {
            var values: [Double] = []
            for _ in 0..<benchmark.repetitions {
                let lines = try lines(ofChild: [benchmark.name])
                guard let value = lines.last.flatMap({ Double($0) }) else {
                    throw BenchmarkError("\(benchmark.name) gave \(lines.joined(separator: "\n"))")
                }
                lines.dropLast().forEach { print($0) }
                values.append(value)
            }
            values.sort()
            let median = values[values.count / 2]
            medians[benchmark.name] = median
            print(
                row(
                    benchmark.name,
                    benchmark.text(median)
                        + " (\(benchmark.text(values[0]))..\(benchmark.text(values[values.count - 1])))",
                    benchmark.floor, benchmark.rival, benchmark.reach.map { benchmark.limitText($0) } ?? "-",
                    benchmark.verdict(median)))
        }

        // The machine's speed drifts with its other guests: what counts is the ratio within one run.
        for (name, rival) in pairs {
            guard let own = medians[name], let other = medians[rival.name] else { continue }
            print(
                String(
                    format: "%@: %.2f of \"%@\" in this run (reach: %.2f)", name, own / other, rival.name, rival.reach))
        }
        // The same scenario on both data planes: the real one may cost its own start-up more, and no more than that.
        let runs = [WholeRunBenchmark(dataPlane: .bundled), .init(dataPlane: .envoy)].compactMap { medians[$0.name] }
        if runs.count == 2, let start = medians[EnvoyStartBenchmark().name] {
            print(
                String(
                    format: "whole run of scenarios/demo on Envoy: %.0f ms more than on the bundled proxy "
                        + "(reach: %.0f ms, Envoy's own start-up in this run)", (runs[1] - runs[0]) * 1000, start * 1000
                ))
        }
    }

    /// Whom a figure is compared with, and which ratio the promised figures make.
    private static let pairs: KeyValuePairs<String, (name: String, reach: Double)> = [
        "set up a lab of 100 pods": ("rival: ip -batch + nft -f, 100 pods", 0.15 / 0.48),
        "plan and set up 1000 pods, 200 policies": ("plan and set up 1000 pods, 0 policies", 1.5),
        // Twice the pods and policies, and the noise of a shared machine.
        "compile 1000 pods, 200 policies": ("compile 500 pods, 100 policies", 2.3),
        "TCP requests beside 10 pods, 2 policies": ("TCP requests beside 1000 pods, 200 policies", 1.1),
        "TCP requests, each connected anew beside 10 pods, 2 policies": (
            "TCP requests, each connected anew beside 1000 pods, 200 policies", 1.1
        ),
        "set up a lab of 1000 pods": ("rival: ip -batch + nft -f, 1000 pods", 2 / 5.98),
    ]

    private static func child(_ arguments: String...) throws -> String { try lines(ofChild: arguments).last ?? "" }

    /// Runs one measurement in a process of its own, which prints its result on its last line, and before it what is
    /// worth knowing of its course: the first run's caches must not serve the second.
    private static func lines(ofChild arguments: [String]) throws -> [String] {
        var specification = ChildSpecification("/proc/self/exe", ["--child"] + arguments)
        specification.environment = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
        specification.isolation = [.processes, .network, .mounts]
        specification.mountsProc = true
        specification.workingDirectory = FileManager.default.currentDirectoryPath
        let output = try ChildProcess.run(specification, timeout: .seconds(900))
        let lines = output.standardOutput.split(separator: "\n").map(String.init)
        guard output.status.isSuccess, !lines.isEmpty else {
            throw BenchmarkError(
                "\(arguments.joined(separator: ", ")) failed: \(output.standardOutput)\(output.standardError)")
        }
        return lines
    }

    private static func row(_ columns: String...) -> String {
        let widths = [44, 34, 12, 20, 12, 10]
        return zip(columns, widths).map { $0.padding(toLength: max($1, $0.count), withPad: " ", startingAt: 0) }
            .joined(separator: "  ")
    }
}

/// One figure.
protocol Benchmark: Sendable {
    var name: String { get }
    var repetitions: Int { get }
    /// Published figures, measured on this kind of machine.
    var floor: String { get }
    var rival: String { get }
    /// What the project wants to reach; nil for rivals.
    var reach: Limit? { get }
    var unit: Unit { get }
    func measure() async throws -> Double
}

enum Unit { case seconds, milliseconds, perSecond, mebibytes }

enum Limit {
    case atMost(Double)
    case atLeast(Double)
}

extension Benchmark {
    var repetitions: Int { 5 }
    var floor: String { "-" }
    var rival: String { "-" }
    var reach: Limit? { nil }

    func text(_ value: Double) -> String {
        switch unit {
        case .seconds: String(format: "%.3f s", value)
        case .milliseconds: String(format: "%.2f ms", value)
        case .perSecond: String(format: "%.0f/s", value)
        case .mebibytes: String(format: "%.0f MiB", value)
        }
    }

    func limitText(_ limit: Limit) -> String {
        switch limit {
        case .atMost(let value): "<= \(text(value))"
        case .atLeast(let value): ">= \(text(value))"
        }
    }

    func verdict(_ median: Double) -> String {
        switch reach {
        case .atMost(let value): median <= value ? "reached" : String(format: "missed, %.1f x", median / value)
        case .atLeast(let value): median >= value ? "reached" : String(format: "missed, %.1f x", value / median)
        case nil: ""
        }
    }
}

struct BenchmarkError: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}
