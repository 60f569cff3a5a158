import Evidence
import Foundation
import Lab
import Manifests
import Mesh
import NIOCore
import NIOPosix
import Netlink
import NetworkAddresses

/// From asking a flow that a NetworkPolicy drops to its verdict.
struct BlockedFlowBenchmark: Benchmark {
    var name: String { "one blocked TCP flow to its verdict" }
    var floor: String { "0.003 ms" }
    var rival: String { "1000 ms (nc -w 1)" }
    var reach: Limit? { .atMost(5) }
    var unit: Unit { .milliseconds }

    func measure() async throws -> Double {
        let (plan, scenario) = try BenchmarkLab.plan(pods: 4, plain: true)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: System.coreCount)
        let lab = try RunningLab(plan: plan, group: group)
        try await lab.update(to: plan)
        let runner = FlowRunner(lab: lab, enforcement: scenario.enforcement, dns: plan.dns)
        let flow = BenchmarkLab.flow(from: "plain-0", to: "203.0.113.80", port: 81, uid: 1000, expect: .denied)
        var times: [Double] = []
        for _ in 0..<100 {
            let started = ContinuousClock.now
            let result = await runner.run(flow)
            times.append((ContinuousClock.now - started) / .milliseconds(1))
            guard result.observed.outcome == .denied else { throw BenchmarkError("not denied: \(result.observed)") }
        }
        return times.sorted()[50]
    }
}

/// The same asked with netcat and a time limit, which also proves nothing.
struct RivalBlockedFlowBenchmark: Benchmark {
    var name: String { "rival: bash connect with a 1 s limit" }
    var repetitions: Int { 1 }
    var unit: Unit { .milliseconds }

    func measure() async throws -> Double {
        let script = """
            ip link set lo up; nft 'table inet t { chain o { type filter hook output priority 0; \
            ip daddr 127.0.0.9 drop; }; }'; timeout 1 bash -c '</dev/tcp/127.0.0.9/81'
            """
        let started = ContinuousClock.now
        _ = try ChildProcess.run(BenchmarkLab.shell(script), timeout: .seconds(10))
        return (ContinuousClock.now - started) / .milliseconds(1)
    }
}

/// TCP flows between pods with rules on both sides, each judged from its evidence.
struct FlowRateBenchmark: Benchmark {
    let pods: Int
    var name: String { "judged TCP flows over \(pods) pods" }
    var floor: String { "34000/s" }
    var reach: Limit? { .atLeast(3000) }
    var unit: Unit { .perSecond }

    func measure() async throws -> Double {
        let (plan, scenario) = try BenchmarkLab.plan(pods: pods, plain: true)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: System.coreCount)
        let lab = try RunningLab(plan: plan, group: group)
        try await lab.update(to: plan)
        let runner = FlowRunner(lab: lab, enforcement: scenario.enforcement, dns: plan.dns)
        let addresses = plan.pods.filter { $0.pod.workload.hasPrefix("plain") }.compactMap {
            $0.pod.addresses.first.map(String.init(describing:))
        }
        let total = 6000
        let started = ContinuousClock.now
        let unexpected = await withTaskGroup(of: Bool.self) { tasks in
            var next = 0
            var wrong = 0
            func add() {
                guard next < total else { return }
                let number = next
                next += 1
                let flow = BenchmarkLab.flow(
                    from: "plain-\(number % addresses.count)", to: addresses[(number + 1) % addresses.count],
                    port: 8080,
                    uid: 1000, expect: .allowed)
                tasks.addTask { await !runner.run(flow).passed }
            }
            for _ in 0..<64 { add() }
            for await failed in tasks {
                if failed { wrong += 1 }
                add()
            }
            return wrong
        }
        guard unexpected == 0 else { throw BenchmarkError("\(unexpected) of \(total) flows were not allowed") }
        return Double(total) / ((ContinuousClock.now - started) / .seconds(1))
    }
}
