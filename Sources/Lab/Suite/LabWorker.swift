import Dispatch
import Evidence
import Foundation
import Glibc
import Manifests
import Netlink

/// The worker's side: runs one scenario in the empty namespaces that it was started in, and reports to its parent.
package enum LabWorker {
    /// Reads the job, runs it, writes the outcome; ends the process.
    package static func main() async -> Never {
        // All proxies, servers and clients of the lab share this process.
        DescriptorLimit.raise()
        let jobs = FileHandle(fileDescriptor: WorkerProcess.Descriptor.job)
        let writer = MessageWriter()
        guard let line = jobs.readLine(), let job = try? JSONDecoder().decode(SuiteJob.self, from: line) else {
            FileHandle.standardError.write(Data("egress-lab: worker is started by run, not by hand\n".utf8))
            exit(2)
        }
        // The parent holds the other end: its end is ours, even if the kernel's signal should not reach us.
        let lifeline = DispatchSource.makeReadSource(fileDescriptor: WorkerProcess.Descriptor.job)
        lifeline.setEventHandler {
            var byte: UInt8 = 0
            if read(WorkerProcess.Descriptor.job, &byte, 1) == 0 { _exit(4) }
        }
        lifeline.activate()
        let outcome = await run(job) { writer.write(.step($0)) }
        writer.write(.outcome(outcome))
        // Namespaces go with the process: there is nothing to take apart by hand.
        _exit(0)
    }

    private static func run(_ job: SuiteJob, onStep: @escaping @Sendable (String) -> Void) async -> WorkerOutcome {
        let read =
            job.matrix?.scenario(dataPlane: job.dataPlane)
            ?? ScenarioReader.read(path: job.scenarioFile, dataPlane: job.dataPlane)
        guard read.isUsable, let scenario = read.value else {
            // The parent had read it without a complaint: the file has changed meanwhile.
            let problems = read.diagnostics.map(\.description).joined(separator: "\n")
            return WorkerOutcome(
                result: ScenarioResult(
                    name: job.name, title: "", path: job.scenarioFile, dataPlane: job.dataPlane.rawValue,
                    result: .error, error: "the scenario changed while it was being run: \(problems)"),
                artifacts: ScenarioArtifacts(scenario: job.name))
        }
        return await ScenarioRunner(scenario: scenario, envoy: job.envoy, onStep: onStep).run()
    }
}

/// Writes messages whole.
private final class MessageWriter: Sendable {
    private let queue = DispatchQueue(label: "messages")

    func write(_ message: WorkerMessage) {
        queue.sync {
            guard let data = try? JSONEncoder().encode(message) else { return }
            let handle = FileHandle(fileDescriptor: WorkerProcess.Descriptor.messages)
            try? handle.write(contentsOf: data + Data("\n".utf8))
        }
    }
}

extension FileHandle {
    /// The bytes up to the first newline; nil at the end of the file.
    fileprivate func readLine() -> Data? {
        var line = Data()
        while let byte = try? read(upToCount: 1), let first = byte.first {
            if first == UInt8(ascii: "\n") { return line }
            line.append(first)
        }
        return line.isEmpty ? nil : line
    }
}
