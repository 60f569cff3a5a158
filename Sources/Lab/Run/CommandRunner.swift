import Dispatch
import Evidence
import Foundation
import Manifests
import Mesh
import Netlink
import NetworkAddresses

/// Runs a real program inside a pod: with the pod's network, resolver and user, and with trust in the lab's CA.
struct CommandRunner: Sendable {
    let lab: RunningLab
    let dns: DNSPlan
    /// Commands run in the scenario's own directory.
    let directory: String

    func run(_ command: Manifests.Command) async -> CommandResult {
        let started = ContinuousClock.now
        let place = "\(command.location.file):\(command.location.line)"
        func result(_ code: Int, _ out: String, _ err: String, _ mismatches: [String]) -> CommandResult {
            CommandResult(
                in: command.in.description, run: command.run, exitCode: code, stdout: out, stderr: err,
                durationMs: (ContinuousClock.now - started) / .milliseconds(1), passed: mismatches.isEmpty,
                mismatches: mismatches, location: place)
        }
        guard let pod = await lab.pod(of: command.in) else {
            return result(-1, "", "", ["no pod of \(command.in) is running"])
        }
        do {
            let specification = try specification(command, pod)
            let output = try await withCheckedThrowingContinuation { continuation in
                DispatchQueue.global().async {
                    continuation.resume(
                        with: Result {
                            try ChildProcess.run(specification, timeout: .milliseconds(command.timeoutMs))
                        })
                }
            }
            let code: Int =
                switch output.status {
                case .exited(let code): Int(code)
                // As a shell reports it.
                case .signalled(let signal): 128 + Int(signal)
                }
            return result(
                code, output.standardOutput, output.standardError,
                Self.mismatches(command.expect, code, output.standardOutput, output.standardError))
        } catch {
            return result(-1, "", "", ["\(error)"])
        }
    }

    private func specification(_ command: Manifests.Command, _ pod: RunningPod) throws -> ChildSpecification {
        let container = command.in.container
        var specification = try PodProcess(lab: lab, dns: dns).specification(
            "/bin/sh", ["-c", command.run], in: pod, container: container, uid: command.uid, gid: command.gid,
            directory: directory)
        // The scenario's directory is the machine's, which the container of a program does not see.
        let isProgram = container.flatMap { pod.programs[$0]?.fileSystem } != nil
        specification.workingDirectory = isProgram ? "/" : directory
        return specification
    }

    static func mismatches(
        _ expected: Manifests.Command.Expectation, _ code: Int, _ stdout: String, _ stderr: String
    ) -> [String] {
        var result: [String] = []
        if code != expected.exitCode { result.append("expected exit code \(expected.exitCode), observed \(code)") }
        if let wanted = expected.stdout, stdout != wanted {
            result.append("expected standard output '\(wanted)', observed '\(stdout.prefix(200))'")
        }
        if let wanted = expected.stderr, stderr != wanted {
            result.append("expected standard error '\(wanted)', observed '\(stderr.prefix(200))'")
        }
        for text in expected.stdoutContains where !stdout.contains(text) {
            result.append("expected '\(text)' in standard output, observed '\(stdout.prefix(200))'")
        }
        for text in expected.stdoutLacks where stdout.contains(text) {
            result.append("expected no '\(text)' in standard output, observed '\(stdout.prefix(200))'")
        }
        for text in expected.stderrContains where !stderr.contains(text) {
            result.append("expected '\(text)' in standard error, observed '\(stderr.prefix(200))'")
        }
        return result
    }
}
