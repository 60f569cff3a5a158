import Foundation
import Netlink

/// How long after `apply` returns traffic still goes by the old rules, at a node and at a sidecar; the longest of many
/// changes. A connection that all of them allow is spoken on after each, and must not break.
struct StandingChangeBenchmark: Benchmark {
    let changes: Int

    var name: String { "apply under `up`, until traffic follows, of \(changes)" }
    var repetitions: Int { 1 }
    var reach: Limit? { .atMost(50) }
    var unit: Unit { .milliseconds }

    func measure() async throws -> Double {
        try StandingBenchmarkLab.with { lab in
            let node = try lab.talk(
                to: "plain",
                """
                exec 3<>/dev/tcp/203.0.113.40/9000
                while read -r line; do
                    echo "$line" >&3; read -r -t 5 -u 3 answer
                    [ "$answer" = "$line" ] && kept=kept || kept=broken
                    timeout 0.05 bash -c 'exec 4<>/dev/tcp/203.0.113.41/80' 2>/dev/null && now=open || now=shut
                    echo "$kept $now"
                done
                """)
            let sidecar = try lab.talk(
                to: "meshed",
                """
                exec 3<>/dev/tcp/203.0.113.40/9000
                while read -r line; do
                    echo "$line" >&3; read -r -t 5 -u 3 answer
                    [ "$answer" = "$line" ] && kept=kept || kept=broken
                    exec 4<>/dev/tcp/203.0.113.41/80
                    printf 'GET /status/200 HTTP/1.1\\r\\nHost: other.example\\r\\nConnection: close\\r\\n\\r\\n' >&4
                    read -r -t 5 -u 4 _ code _
                    exec 4>&-
                    [ "$code" = 200 ] && now=open || now=shut
                    echo "$kept $now"
                done
                """)
            var longest = 0.0
            for change in 0..<changes {
                let state = change.isMultiple(of: 2) ? "shut" : "open"
                try lab.command("apply", "-f", "\(state).yaml")
                let returned = ContinuousClock.now
                for conversation in [node, sidecar] {
                    var isLate = false
                    while true {
                        let begun = ContinuousClock.now
                        let answer = try conversation.ask("\(change)")
                        guard answer.hasPrefix("kept") else {
                            throw BenchmarkError("change \(change): a connection that may be is \(answer)")
                        }
                        if answer == "kept \(state)" {
                            if isLate { longest = max(longest, (begun - returned) / .milliseconds(1)) }
                            break
                        }
                        isLate = true
                        guard begun - returned < .seconds(2) else {
                            throw BenchmarkError("change \(change) has had no effect for 2 s: \(answer)")
                        }
                    }
                }
            }
            return longest
        }
    }
}

/// How much a lab that stays up grows over many commands; descriptors that it keeps are an error.
struct StandingGrowthBenchmark: Benchmark {
    /// Thirds of them: `apply`, `exec`, `delete`.
    let commands: Int

    var name: String { "growth of a lab over \(commands) commands" }
    var repetitions: Int { 1 }
    var reach: Limit? { .atMost(2) }
    var unit: Unit { .mebibytes }

    func measure() async throws -> Double {
        try StandingBenchmarkLab.with { lab in
            func rounds(_ count: Int) throws {
                for _ in 0..<count {
                    try lab.command("apply", "-f", "extra.yaml")
                    try lab.command("exec", "plain", "--", "true")
                    try lab.command("delete", "-f", "extra.yaml")
                }
            }
            // Until its caches are warm.
            let warmUp = min(commands / 30, 100)
            try rounds(warmUp)
            let (memory, descriptors) = (try lab.memory(), try lab.descriptors())
            tell(of: lab, after: warmUp * 3, memory, descriptors)
            let points = 10
            var (done, now) = (0, descriptors)
            for point in 1...points {
                let count = commands / 3 * point / points
                try rounds(count - done)
                done = count
                now = try lab.descriptors()
                tell(of: lab, after: (warmUp + done) * 3, try lab.memory(), now)
            }
            guard now <= descriptors else { throw BenchmarkError("\(descriptors) descriptors have become \(now)") }
            return Double(try lab.memory() - memory) / 1024
        }
    }

    private func tell(of lab: StandingBenchmarkLab, after commands: Int, _ memory: Int, _ descriptors: Int) {
        let size = String(format: "%.1f MiB", Double(memory) / 1024)
        print("  after \(commands) commands: \(size), \(descriptors) descriptors")
    }
}

/// A lab under `egress-lab up`, as a person has it.
private struct StandingBenchmarkLab {
    /// What is asked a line at a time, and answers with one.
    struct Conversation {
        let process: ChildProcess
        let input: FileHandle
        let output: FileHandle

        func ask(_ line: String) throws -> String {
            try input.write(contentsOf: Data("\(line)\n".utf8))
            var answer = Data()
            while answer.last != UInt8(ascii: "\n") {
                let more = output.availableData
                guard !more.isEmpty else { throw BenchmarkError("the pod's shell has ended") }
                answer += more
            }
            return String(decoding: answer.dropLast(), as: UTF8.self)
        }
    }

    let folder: URL
    let name = "bench-\(UUID().uuidString.prefix(8).lowercased())"

    static func with<T>(_ body: (Self) throws -> T) throws -> T {
        let folder = FileManager.default.temporaryDirectory.appending(path: "egress-lab-bench-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (file, text) in files { try Data(text.utf8).write(to: folder.appending(path: file)) }
        let lab = Self(folder: folder)
        try lab.command("up", ".")
        defer { _ = try? lab.command("down") }
        return try body(lab)
    }

    @discardableResult
    func command(_ verb: String, _ arguments: String...) throws -> String {
        let output = try ChildProcess.run(specification(verb, arguments), timeout: .seconds(30))
        guard output.status.isSuccess else {
            throw BenchmarkError(
                "egress-lab \(verb) \(arguments.joined(separator: " ")): \(output.standardOutput)\(output.standardError)"
            )
        }
        return output.standardOutput
    }

    func talk(to pod: String, _ script: String) throws -> Conversation {
        let (input, output) = (Pipe(), Pipe())
        var specification = specification("exec", ["-i", pod, "--", "bash", "-c", script])
        specification.descriptors = [
            0: input.fileHandleForReading.fileDescriptor, 1: output.fileHandleForWriting.fileDescriptor, 2: 2,
        ]
        let process = try ChildProcess.spawn(specification)
        try input.fileHandleForReading.close()
        try output.fileHandleForWriting.close()
        return Conversation(
            process: process, input: input.fileHandleForWriting, output: output.fileHandleForReading)
    }

    /// KiB in memory.
    func memory() throws -> Int {
        let status = try String(contentsOfFile: "/proc/\(try process())/status", encoding: .utf8)
        guard let size = status.firstMatch(of: /VmRSS:\s+(\d+)/).flatMap({ Int($0.1) }) else {
            throw BenchmarkError("no VmRSS in \(status)")
        }
        return size
    }

    func descriptors() throws -> Int {
        try FileManager.default.contentsOfDirectory(atPath: "/proc/\(try process())/fd").count
    }

    /// The lab's process: the benchmark has a process namespace to itself.
    private func process() throws -> Int {
        for entry in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
            guard let number = Int(entry), let data = FileManager.default.contents(atPath: "/proc/\(number)/cmdline")
            else { continue }
            if String(decoding: data, as: UTF8.self).split(separator: "\0").contains("standing-lab") { return number }
        }
        throw BenchmarkError("the lab has no process")
    }

    private func specification(_ verb: String, _ arguments: [String]) -> ChildSpecification {
        let binary = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath().deletingLastPathComponent()
            .appendingPathComponent("egress-lab").path
        // Before `--`, what follows it is a command of its own.
        let split = arguments.firstIndex(of: "--") ?? arguments.endIndex
        var specification = ChildSpecification(
            binary, [verb] + arguments[..<split] + ["--name", name] + arguments[split...])
        specification.environment = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
        specification.workingDirectory = folder.path
        return specification
    }

    private static var files: KeyValuePairs<String, String> {
        [
            "scenario.yaml": """
            apiVersion: egress-lab.dev/v1
            kind: Scenario
            metadata: {name: bench, title: Changes under way}
            spec:
              mesh: {outboundTrafficPolicy: {mode: REGISTRY_ONLY}}
              manifests: [cluster.yaml, open.yaml]
              internet:
                - {hosts: [kept.example], addresses: [203.0.113.40], ports: [{number: 9000, protocol: TCP, app: echo}]}
                - {hosts: [other.example], addresses: [203.0.113.41], ports: [{number: 80, protocol: HTTP, app: httpbin}]}
              steps: [{name: only}]
            """,
            "cluster.yaml": """
            apiVersion: v1
            kind: Pod
            metadata: {name: plain, namespace: default, labels: {app: plain}}
            spec: {containers: [{name: app, image: curlimages/curl}]}
            ---
            apiVersion: v1
            kind: Pod
            metadata: {name: meshed, namespace: default, labels: {app: meshed, sidecar.istio.io/inject: "true"}}
            spec: {containers: [{name: app, image: curlimages/curl}]}
            ---
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: kept, namespace: default}
            spec:
              hosts: [kept.example]
              addresses: [203.0.113.40]
              ports: [{number: 9000, name: tcp, protocol: TCP}]
              resolution: NONE
            """,
            "open.yaml": state(addresses: ["203.0.113.40/32", "203.0.113.41/32"], host: "other.example"),
            "shut.yaml": state(addresses: ["203.0.113.40/32"], host: "another.example"),
            "extra.yaml": """
            apiVersion: networking.istio.io/v1
            kind: ServiceEntry
            metadata: {name: extra, namespace: default}
            spec: {hosts: [extra.example], ports: [{number: 80, name: http, protocol: HTTP}], resolution: NONE}
            ---
            apiVersion: networking.k8s.io/v1
            kind: NetworkPolicy
            metadata: {name: extra, namespace: default}
            spec:
              podSelector: {matchLabels: {app: plain}}
              policyTypes: [Egress]
              egress: [{to: [{ipBlock: {cidr: 203.0.113.99/32}}]}]
            """,
        ]
    }

    private static func state(addresses: [String], host: String) -> String {
        """
        apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: plain, namespace: default}
        spec:
          podSelector: {matchLabels: {app: plain}}
          policyTypes: [Egress]
          egress: [{to: [\(addresses.map { "{ipBlock: {cidr: \($0)}}" }.joined(separator: ", "))]}]
        ---
        apiVersion: networking.istio.io/v1
        kind: ServiceEntry
        metadata: {name: other, namespace: default}
        spec: {hosts: [\(host)], ports: [{number: 80, name: http, protocol: HTTP}], resolution: NONE}
        """
    }
}
