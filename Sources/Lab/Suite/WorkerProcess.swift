import Dispatch
import Evidence
import Foundation
import Manifests
import Netlink

/// The parent's side of a worker: starts it, reads what it says, and turns a crash into a result.
struct WorkerProcess: Sendable {
    let job: SuiteJob

    /// Descriptors that a worker is given.
    enum Descriptor {
        /// The job; its other end stays open as long as the parent lives.
        static let job: Int32 = 3
        /// Messages to the parent, a line of JSON each.
        static let messages: Int32 = 4
    }

    func run(progress: @escaping @Sendable (SuiteProgress) -> Void) async -> WorkerOutcome {
        let started = ContinuousClock.now
        do {
            let toWorker = Pipe()
            let fromWorker = Pipe()
            var specification = ChildSpecification("/proc/self/exe", ["worker"])
            specification.environment = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
            specification.descriptors = [
                2: 2, Descriptor.job: toWorker.fileHandleForReading.fileDescriptor,
                Descriptor.messages: fromWorker.fileHandleForWriting.fileDescriptor,
            ]
            specification.isolation = [.processes, .network, .mounts]
            specification.mountsProc = true
            specification.workingDirectory = FileManager.default.currentDirectoryPath
            let child = try ChildProcess.spawn(specification)
            try toWorker.fileHandleForReading.close()
            try fromWorker.fileHandleForWriting.close()
            try toWorker.fileHandleForWriting.write(contentsOf: JSONEncoder().encode(job) + Data("\n".utf8))
            var outcome: WorkerOutcome?
            for await line in Self.lines(of: fromWorker.fileHandleForReading) {
                switch try JSONDecoder().decode(WorkerMessage.self, from: line) {
                case .step(let name): progress(.step(scenario: job.name, step: name))
                case .outcome(let value): outcome = value
                }
            }
            let status = try child.wait()
            try toWorker.fileHandleForWriting.close()
            return outcome
                ?? failure(
                    "the worker process ended without a result, \(Self.end(status))",
                    since: started)
        } catch {
            return failure("can't run the worker process: \(error)", since: started)
        }
    }

    private static func end(_ status: ChildProcess.ExitStatus?) -> String {
        switch status {
        case .signalled(SIGKILL): "killed by someone or for want of memory"
        case .signalled(let number): "by signal \(number): this is a bug"
        case .exited(let code): "with status \(code): this is a bug"
        case nil: "and still runs: this is a bug"
        }
    }

    /// The lines that come through a pipe, until its other end closes; read on a thread of the dispatch pool.
    private static func lines(of handle: FileHandle) -> AsyncStream<Data> {
        AsyncStream { continuation in
            DispatchQueue.global().async {
                var buffer = Data()
                while true {
                    let bytes = handle.availableData
                    guard !bytes.isEmpty else { break }
                    buffer.append(bytes)
                    while let end = buffer.firstIndex(of: UInt8(ascii: "\n")) {
                        continuation.yield(Data(buffer[..<end]))
                        buffer = Data(buffer[(end + 1)...])
                    }
                }
                continuation.finish()
            }
        }
    }

    private func failure(_ message: String, since start: ContinuousClock.Instant) -> WorkerOutcome {
        WorkerOutcome(
            result: ScenarioResult(
                name: job.name, title: "", path: job.scenarioFile, dataPlane: job.dataPlane.rawValue, result: .error,
                error: message, durationMs: (ContinuousClock.now - start) / .milliseconds(1)),
            artifacts: ScenarioArtifacts(scenario: job.name))
    }
}
