import Foundation
import Lab
import Manifests
import Mesh
import NIOCore
import NIOPosix
import Netlink
import NetworkAddresses
import Nftables

/// A lab of pods with capture rules and a policy each, from the finished plan to the moment when all is in force.
struct SetUpBenchmark: Benchmark {
    let pods: Int
    var name: String { "set up a lab of \(pods) pods" }
    var repetitions: Int { pods > 500 ? 3 : 5 }
    var floor: String { pods == 100 ? "0.058 s" : "0.81 s" }
    var rival: String { pods == 100 ? "0.48 s" : "5.98 s" }
    var reach: Limit? { .atMost(pods == 100 ? 0.15 : 2) }
    var unit: Unit { .seconds }

    func measure() async throws -> Double {
        let (plan, _) = try BenchmarkLab.plan(pods: pods)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: System.coreCount)
        let started = ContinuousClock.now
        let lab = try RunningLab(plan: plan, group: group)
        try await lab.update(to: plan)
        return (ContinuousClock.now - started) / .seconds(1)
    }
}

/// The same with `ip -batch` and one `nft -f` a namespace, as a shell script would do it.
struct RivalSetUpBenchmark: Benchmark {
    let pods: Int
    var name: String { "rival: ip -batch + nft -f, \(pods) pods" }
    var repetitions: Int { pods > 500 ? 1 : 3 }
    var unit: Unit { .seconds }

    func measure() async throws -> Double {
        let (plan, _) = try BenchmarkLab.plan(pods: pods)
        // `ip netns` gives its namespaces names on disk: in this child's own /run and /mnt.
        let folder = "/mnt"
        _ = try ChildProcess.run(BenchmarkLab.shell("mount -t tmpfs none /mnt"), timeout: .seconds(5))
        var links = ""
        for pod in plan.pods {
            let name = "p\(pod.pod.index)"
            links += "netns add \(name)\nlink add \(pod.nodeInterface) type veth peer name eth0 netns \(name)\n"
            links += "link set \(pod.nodeInterface) up\n"
            try pod.ruleset.text.write(toFile: "\(folder)/\(name).nft", atomically: false, encoding: .utf8)
            var batch = "link set lo up\nlink set eth0 up\n"
            for address in pod.pod.addresses {
                let isIPv6 = address.family == .ipv6
                links += "route add \(address) dev \(pod.nodeInterface)\n"
                batch += "addr add \(address)/\(address.family.bitWidth) dev eth0 \(isIPv6 ? "nodad" : "")\n"
                batch += "route add \(isIPv6 ? "::/0" : "default") dev eth0\n"
            }
            try batch.write(toFile: "\(folder)/\(name).ip", atomically: false, encoding: .utf8)
        }
        try links.write(toFile: "\(folder)/node.ip", atomically: false, encoding: .utf8)
        try plan.nodes[0].ruleset.text.write(toFile: "\(folder)/node.nft", atomically: false, encoding: .utf8)
        let script = """
            mount -t tmpfs none /run && ip -batch \(folder)/node.ip && for i in \(folder)/p*.ip; do n=$(basename $i .ip); \
            ip -n $n -batch $i && ip netns exec $n nft -f \(folder)/$n.nft || exit 1; done && nft -f \(folder)/node.nft
            """
        let started = ContinuousClock.now
        let output = try ChildProcess.run(BenchmarkLab.shell(script), timeout: .seconds(120))
        guard output.status.isSuccess else { throw BenchmarkError(output.standardError) }
        return (ContinuousClock.now - started) / .seconds(1)
    }
}

/// How much memory a lab of sidecars takes.
struct SidecarMemoryBenchmark: Benchmark {
    let sidecars: Int
    var name: String { "memory of a lab of \(sidecars) sidecars" }
    var repetitions: Int { 1 }
    var rival: String { "Envoy 64 MiB each" }
    var reach: Limit? { .atMost(200) }
    var unit: Unit { .mebibytes }

    func measure() async throws -> Double {
        let (plan, _) = try BenchmarkLab.plan(pods: sidecars)
        let group = MultiThreadedEventLoopGroup(numberOfThreads: System.coreCount)
        let lab = try RunningLab(plan: plan, group: group)
        try await lab.update(to: plan)
        let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmRSS:") }),
            let kibibytes = Double(line.split(separator: " ").dropFirst().first.map(String.init) ?? "")
        else { throw BenchmarkError("no VmRSS in /proc/self/status") }
        return withExtendedLifetime(lab) { kibibytes / 1024 }
    }
}
