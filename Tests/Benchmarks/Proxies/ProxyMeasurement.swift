import Foundation
import Glibc
import LoadGenerator
import Netlink

/// One proxy's figures, all of them, in namespaces of its own.
struct ProxyMeasurement {
    /// How many connections a phase of rates has in flight; kept ones for requests.
    private static let inFlight: Int32 = 64
    private static let kept: Int32 = 32
    private static let seconds = 1.0
    private static let samples: Int32 = 1500
    /// As many as fit into 20,000 descriptors when a client takes one, with room for rivals that reserve some.
    private static let crowd: Int32 = 9500

    let contender: ProxyContender
    private let wires: ProxyWires
    private let proxy: ChildProcess
    private let folder: URL
    private let startUp: Double

    /// Starts the proxy and waits for its first answer.
    init(_ contender: ProxyContender) throws {
        DescriptorLimit.raise()
        self.contender = contender
        wires = try ProxyWires()
        folder = FileManager.default.temporaryDirectory.appending(path: "egress-lab-bench-proxy")
        try? FileManager.default.removeItem(at: folder)
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let started = ContinuousClock.now
        proxy = try contender.start(in: wires.sidecar, folder: folder)
        while try wires.exchange(.tcp, { load_try($0) }) != 0 {
            guard try proxy.exitStatus() == nil, ContinuousClock.now - started < .seconds(20) else {
                let log = try? String(contentsOf: folder.appending(path: "log"), encoding: .utf8)
                throw BenchmarkError("\(contender.rawValue) did not start: \(log ?? "")")
            }
        }
        startUp = (ContinuousClock.now - started) / .milliseconds(1)
    }

    func measure() throws -> ProxyFigures {
        defer { end() }
        var figures: ProxyFigures = [.startUp: startUp, .idleMemory: try memory()]
        for service in [ProxyWires.Service.sni, .http] {
            guard try wires.exchange(service, { load_try($0) }) == 0 else {
                throw BenchmarkError("\(contender.rawValue) does not answer \(service)")
            }
        }
        try latencies(.tcp, kept: false, .tcpP50, .tcpP99, &figures)
        try latencies(.sni, kept: false, .sniP50, .sniP99, &figures)
        try latencies(.tcp, kept: true, .keptP50, .keptP99, &figures)
        try latencies(.http, kept: true, .httpP50, .httpP99, &figures)
        // Before the rates, whose memory would be used again.
        figures[.connectionMemory] = try growth(.tcp, connections: 1000)
        try rate(.tcp, .tcpRate, .tcpCPU, &figures) { load_connections($0, Self.inFlight, Self.seconds) }
        try rate(.sni, .sniRate, .sniCPU, &figures) { load_connections($0, Self.inFlight, Self.seconds) }
        try rate(.http, .requestRate, .requestCPU, &figures) { load_requests($0, Self.kept, Self.seconds) }
        let before = try processorTime()
        let flood = try wires.exchange(.flood) { exchange in
            withUnsafePointer(to: exchange.pointee.target) { load_throughput($0, Self.seconds) }
        }
        guard flood.failed == 0 else { throw BenchmarkError("\(contender.rawValue) cut the flood") }
        figures[.throughput] = Double(flood.completed) * 8 / flood.seconds / 1e9
        figures[.throughputCPU] = (try processorTime() - before) / 1e3 / (Double(flood.completed) / 1e9)
        figures[.crowdMemory] = try growth(.http, connections: Self.crowd)
        return figures
    }

    /// What `connections` open and used connections take, in MiB.
    private func growth(_ service: ProxyWires.Service, connections: Int32) throws -> Double {
        let before = try memory()
        var descriptors = [Int32](repeating: -1, count: Int(connections))
        let opened = try wires.exchange(service) { load_open($0, &descriptors, connections) }
        defer { for descriptor in descriptors.prefix(Int(opened)) { close(descriptor) } }
        guard opened == connections else {
            throw BenchmarkError(
                "\(contender.rawValue) took \(opened) of \(connections) connections: \(String(cString: strerror(errno)))"
            )
        }
        return try memory() - before
    }

    private func rate(
        _ service: ProxyWires.Service, _ rate: ProxyFigure, _ cpu: ProxyFigure, _ figures: inout ProxyFigures,
        _ phase: (UnsafePointer<load_exchange>) -> load_result
    ) throws {
        let before = try processorTime()
        let result = try wires.exchange(service, phase)
        let used = try processorTime() - before
        guard result.failed == 0, result.completed > 0 else {
            throw BenchmarkError("\(contender.rawValue) failed \(result.failed) of \(result.completed) on \(service)")
        }
        figures[rate] = Double(result.completed) / result.seconds
        figures[cpu] = used / Double(result.completed)
    }

    /// What the proxy adds to the same exchange without it.
    private func latencies(
        _ service: ProxyWires.Service, kept: Bool, _ median: ProxyFigure, _ tail: ProxyFigure,
        _ figures: inout ProxyFigures
    ) throws {
        let through = try times(service, kept: kept, direct: false)
        let direct = try times(service, kept: kept, direct: true)
        figures[median] = through[through.count / 2] - direct[direct.count / 2]
        figures[tail] = through[through.count * 99 / 100] - direct[direct.count * 99 / 100]
    }

    private func times(_ service: ProxyWires.Service, kept: Bool, direct: Bool) throws -> [Double] {
        var times = [Double](repeating: 0, count: Int(Self.samples))
        let result = try wires.exchange(service, direct: direct) {
            load_latencies($0, kept ? 1 : 0, &times, Self.samples)
        }
        guard result == 0 else { throw BenchmarkError("\(contender.rawValue) broke an exchange with \(service)") }
        return times.sorted()
    }

    /// By how much the proxy's memory grows, in MiB, over so many connections that come and go.
    func growthByChurn(of connections: UInt64) throws -> Double {
        defer { end() }
        // As many as are there at once, and then some, for what is made once.
        try churn(connections / 10)
        let memory = try self.memory()
        let descriptors = try self.descriptors()
        try churn(connections)
        let deadline = ContinuousClock.now + .seconds(10)
        while try self.descriptors() > descriptors {
            guard ContinuousClock.now < deadline else {
                throw BenchmarkError("\(try self.descriptors()) descriptors are open, before it were \(descriptors)")
            }
        }
        return try self.memory() - memory
    }

    private func churn(_ connections: UInt64) throws {
        let result = try wires.exchange(.tcp) { load_connections_counted($0, Self.inFlight, connections) }
        guard result.failed == 0 else { throw BenchmarkError("\(result.failed) connections failed") }
    }

    private func end() {
        proxy.kill()
        _ = try? proxy.wait()
        try? FileManager.default.removeItem(at: folder)
    }

    // MARK: The proxy's processes

    private func descriptors() throws -> Int {
        try processes().reduce(0) {
            try $0 + FileManager.default.contentsOfDirectory(atPath: "/proc/\($1)/fd").count
        }
    }

    /// All others of this process namespace are the proxy's.
    private func processes() throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: "/proc").filter {
            Int32($0).map { $0 != getpid() } ?? false
        }
    }

    private func memory() throws -> Double {
        var kibibytes = 0.0
        for process in try processes() {
            let text = try String(contentsOfFile: "/proc/\(process)/smaps_rollup", encoding: .utf8)
            let line = text.split(separator: "\n").first { $0.hasPrefix("Rss:") }
            kibibytes += line.flatMap { Double($0.split(separator: " ")[1]) } ?? 0
        }
        return kibibytes / 1024
    }

    /// In microseconds; from the scheduler, which counts nanoseconds where `stat` counts ticks.
    private func processorTime() throws -> Double {
        var nanoseconds = 0.0
        for process in try processes() {
            for thread in try FileManager.default.contentsOfDirectory(atPath: "/proc/\(process)/task") {
                let text = try String(contentsOfFile: "/proc/\(process)/task/\(thread)/schedstat", encoding: .utf8)
                nanoseconds += text.split(separator: " ").first.flatMap { Double($0) } ?? 0
            }
        }
        return nanoseconds / 1000
    }
}

/// The memory of the proxy alone while connections come and go.
struct ConnectionChurnBenchmark: Benchmark {
    let connections: UInt64
    var name: String { "memory grown over \(connections) connections" }
    var repetitions: Int { 1 }
    var reach: Limit? { .atMost(1) }
    var unit: Unit { .mebibytes }

    func measure() async throws -> Double { try ProxyMeasurement(.own).growthByChurn(of: connections) }
}
