package import Control
import Dispatch
import Foundation
import Glibc
import Lab
package import Manifests
import Mesh
import Netlink

/// What the process of a lab that stays up is to run.
package struct StandingLabJob: Codable, Sendable {
    package enum Input: Codable, Sendable {
        case scenario(file: String)
        case manifests(path: String)
    }

    package var name: String
    package var input: Input
    package var dataPlane: Scenario.DataPlaneKind?
    package var envoy: String?

    package init(name: String, input: Input, dataPlane: Scenario.DataPlaneKind?, envoy: String?) {
        self.name = name
        self.input = input
        self.dataPlane = dataPlane
        self.envoy = envoy
    }
}

/// What became of a lab that was to come up.
package enum StandingLabStart: Codable, Sendable {
    /// With a line on what it holds.
    case up(String)
    case failed(message: String, status: Int32)
}

/// The process of a lab that stays up: starts it in namespaces of its own, and lets go of it.
package enum StandingLabProcess {
    private enum Descriptor {
        static let job: Int32 = 3
        static let start: Int32 = 4
        static let socket: Int32 = 5
        static let lock: Int32 = 6
    }

    // MARK: The starter's side

    /// Starts the process and returns when its lab is up or has failed to come up.
    package static func start(_ job: StandingLabJob, at reservation: LabRegistry.Reservation) throws -> StandingLabStart
    {
        let (toLab, fromLab) = (Pipe(), Pipe())
        var specification = ChildSpecification("/proc/self/exe", ["standing-lab"])
        specification.environment = ProcessInfo.processInfo.environment.map { "\($0.key)=\($0.value)" }
        specification.descriptors = [
            Descriptor.job: toLab.fileHandleForReading.fileDescriptor,
            Descriptor.start: fromLab.fileHandleForWriting.fileDescriptor,
            Descriptor.socket: reservation.socket.number, Descriptor.lock: reservation.lock.number,
        ]
        specification.isolation = [.processes, .network, .mounts]
        specification.mountsProc = true
        specification.workingDirectory = FileManager.default.currentDirectoryPath
        specification.outlivesParent = true
        let child = try ChildProcess.spawn(specification)
        try toLab.fileHandleForReading.close()
        try fromLab.fileHandleForWriting.close()
        try toLab.fileHandleForWriting.write(contentsOf: JSONEncoder().encode(job))
        try toLab.fileHandleForWriting.close()
        let answer = try fromLab.fileHandleForReading.readToEnd() ?? Data()
        guard let start = try? JSONDecoder().decode(StandingLabStart.self, from: answer) else {
            return .failed(message: "the lab's process ended before its lab was up", status: 4)
        }
        if case .up = start { child.release() }
        return start
    }

    // MARK: The lab's side

    /// Reads the job, brings the lab up, and serves it until it is taken down.
    package static func main() async -> Never {
        DescriptorLimit.raise()
        let reader = FileHandle(fileDescriptor: Descriptor.job)
        guard let data = try? reader.readToEnd(), let job = try? JSONDecoder().decode(StandingLabJob.self, from: data)
        else {
            FileHandle.standardError.write(Data("egress-lab: standing-lab is started by up, not by hand\n".utf8))
            exit(2)
        }
        do {
            let lab = try await StandingLab.start(try scenario(of: job), envoy: job.envoy)
            let handler = RequestHandler(lab: lab, name: job.name) {
                // After the answer; what is under way ends with the process, and with it the namespaces.
                LabRegistry().remove(job.name)
                DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(50)) { _exit(0) }
            }
            let server = ControlServer(socket: FileDescriptor(owning: Descriptor.socket), handler: handler)
            server.start()
            tell(.up(await lab.summary))
            while true { try await Task.sleep(for: .seconds(86_400)) }
        } catch let refusal as Refusal {
            tell(.failed(message: refusal.message, status: refusal.status))
        } catch {
            tell(.failed(message: "egress-lab: \(error)", status: 4))
        }
        LabRegistry().remove(job.name)
        _exit(4)
    }

    private static func tell(_ start: StandingLabStart) {
        let writer = FileHandle(fileDescriptor: Descriptor.start, closeOnDealloc: false)
        if let data = try? JSONEncoder().encode(start) { try? writer.write(contentsOf: data) }
        try? writer.close()
    }

    private static func scenario(of job: StandingLabJob) throws -> Scenario {
        switch job.input {
        case .scenario(let file):
            let read = ScenarioReader.read(path: file, dataPlane: job.dataPlane)
            if let problem = Refusal(of: read.diagnostics) { throw problem }
            guard let scenario = read.value else { throw Refusal("\(file) holds no scenario", status: 2) }
            return scenario
        case .manifests(let path):
            let read = ManifestReader.read(paths: [path])
            if let problem = Refusal(of: read.diagnostics) { throw problem }
            return Scenario(
                name: path, file: path, location: SourceLocation(file: path), dataPlane: job.dataPlane ?? .bundled,
                manifests: read.value)
        }
    }
}

extension StandingLab {
    /// `3 pods, 2 with proxies`.
    var summary: String {
        let proxies = plan.pods.count { $0.proxy != nil }
        return "\(plan.pods.count) pods, \(proxies) with proxies, \(scenario.dataPlane.rawValue) data plane"
    }
}
