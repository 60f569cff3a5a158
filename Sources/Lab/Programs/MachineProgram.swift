import Envoy
import Foundation
import Mesh
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import Netlink
import NetworkAddresses
import Proxy
import ProxyModel

/// A real program of this machine in a container's place: with the pod's network, the container's user, volumes and
/// environment, and with files that vanish with it.
final class MachineProgram: ContainerProgram {
    private struct State {
        var process: ProgramProcess?
        var fileSystem: ContainerFileSystem?
        var isStopping = false
        var hasEnded = false
        var lines = NewestOf<String>()
        var records = NewestOf<AccessLogRecord>()
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    /// Directories that programs write to, empty and in memory.
    private static let writable = ["/tmp", "/var/tmp", "/run", "/var/log", "/var/cache"]
    /// How long a program may take until it listens.
    private static let startTime = Duration.seconds(20)
    /// The kernel tells nobody when a socket begins to listen, so it is asked this often while a program starts.
    private static let askingInterval = TimeAmount.milliseconds(2)

    private let plan: MachineProgramPlan
    private let container: String
    private let site: ContainerSite
    private let loop: any EventLoop
    private let state = NIOLockedValueBox(State())

    init(_ plan: MachineProgramPlan, container: String, at site: ContainerSite) {
        self.plan = plan
        self.container = container
        self.site = site
        loop = site.group.next()
    }

    var fileSystem: ContainerFileSystem? { state.withLockedValue { $0.fileSystem } }
    func lines() -> [String] { state.withLockedValue { $0.lines.all } }
    func lines(after count: Int) -> (lines: [String], count: Int) {
        state.withLockedValue { ($0.lines.after(count), $0.lines.count) }
    }
    func records() -> [AccessLogRecord] { state.withLockedValue { $0.records.all } }
    /// It tells of nothing but by its log, whose lines are waited for where they are wanted.
    func settle() async {}

    private var user: (uid: UInt32, gid: UInt32) { site.pod.credentials(container: container) }
    private var name: String { "\(plan.command.first ?? "") (container \(container) of \(site.pod.id))" }

    // MARK: Life

    func start() async throws {
        let executable = try ProgramLocator().find(plan.command.first ?? "")
        let nginx = NginxImage(plan)
        let items = items(executable, nginx)
        let fileSystem = try await NIOThreadPool.singleton.runIfActive { try ContainerFileSystem(items) }
        state.withLockedValue { $0.fileSystem = fileSystem }
        var specification = ChildSpecification(executable, nginx?.arguments() ?? Array(plan.command.dropFirst()))
        specification.arguments[0] = plan.command.first ?? executable
        let hostName = site.pod.id.name
        specification.environment = PodFiles.environment(
            path: ProcessInfo.processInfo.environment["PATH"], hostName: hostName
        )
        .merging(plan.environment) { $1 }.map { "\($0.key)=\($0.value)" }.sorted()
        specification.namespace = site.pod.namespace
        specification.fileSystem = fileSystem
        specification.identity = ChildSpecification.Identity(uid: user.uid, gid: user.gid)
        specification.hostName = hostName
        // With its own process numbers, all that it starts ends with it.
        specification.isolation = [.processes, .hostName, .interProcess]
        specification.workingDirectory = plan.workingDirectory ?? "/"
        let process = try await ProgramProcess.start(
            specification, name: name, loop: loop, takesUnfinished: true,
            output: { [weak self] in self?.take($0) }, errors: { [weak self] in self?.take($0) })
        state.withLockedValue { $0.process = process }
        process.ended.whenComplete { [weak self] result in self?.ended(result) }
        do {
            try await awaitListening()
        } catch {
            await stop()
            throw error
        }
    }

    private func items(_ executable: String, _ nginx: NginxImage?) -> [ContainerFileSystem.Item] {
        // A program that lies in one of them must stay visible.
        var items = Self.writable.filter { !executable.hasPrefix("\($0)/") }.map {
            ContainerFileSystem.Item.directory($0)
        }
        items += nginx?.items ?? []
        items += [
            .file("/etc/resolv.conf", content: Array(site.files.resolver.utf8)),
            .file("/etc/hosts", content: Array(site.files.hosts.utf8)),
            .directory("/etc/ssl/certs", mode: 0o755),
            .file(PodFiles.bundle, content: Array(site.files.authorities.utf8)),
        ]
        for mount in plan.mounts {
            // Whoever mounts files over the machine's own means just these.
            if mount.isDirectory { items.append(.directory(mount.path)) }
            items += mount.files.map { .file($0.path, content: $0.content) }
        }
        return items
    }

    func stop() async { await end(ProgramProcess.stop) }

    /// It may take no notice of being asked.
    func abandon() async { await end(ProgramProcess.kill) }

    private func end(_ way: (ProgramProcess) -> () async -> Void) async {
        let process = state.withLockedValue { state in
            state.isStopping = true
            return state.process
        }
        if let process { await way(process)() }
    }

    private func ended(_ result: Result<ChildProcess.ExitStatus?, any Error>) {
        let (isStopping, waiting) = state.withLockedValue { state in
            defer { state.waiting = [] }
            state.hasEnded = true
            return (state.isStopping, state.waiting)
        }
        waiting.forEach { $0.resume() }
        if !isStopping { site.failed(failure(Self.words(result))) }
    }

    private static func words(_ result: Result<ChildProcess.ExitStatus?, any Error>) -> String {
        switch result {
        case .success(let status): status?.words ?? "closed its output"
        case .failure(let error): "was lost: \(error)"
        }
    }

    private func failure(_ what: String) -> LabError {
        let last = lines().suffix(ProgramProcess.shownLines)
        return LabError(
            "\(name) \(what), unasked" + (last.isEmpty ? "; it wrote nothing" : "; its last lines:\n")
                + last.joined(separator: "\n"))
    }

    /// Returns when each of its ports has a listener.
    private func awaitListening() async throws {
        var missing = Set(plan.ports)
        let kernel = try site.pod.namespace.enter { try SocketDiagnostics() }
        let deadline = ContinuousClock.now + Self.startTime
        while !missing.isEmpty {
            for port in missing where try isListening(at: port, kernel) { missing.remove(port) }
            guard !missing.isEmpty else { return }
            let ended = state.withLockedValue { $0.hasEnded }
            if ended || ContinuousClock.now > deadline {
                let ports = missing.sorted().map(String.init).joined(separator: ", ")
                throw failure(
                    ended
                        ? "ended before it listened on \(ports)"
                        : "does not listen on \(ports) after \(Self.startTime.components.seconds) s")
            }
            try await loop.scheduleTask(in: Self.askingInterval) {}.futureResult.get()
        }
    }

    private func isListening(at port: UInt16, _ kernel: SocketDiagnostics) throws -> Bool {
        let places =
            [IPAddress.anyIPv4, .anyIPv6, .loopbackIPv4, .loopbackIPv6] + site.pod.plan.pod.addresses
        return try places.contains { address in
            let any = IPEndpoint(address.family == .ipv4 ? .anyIPv4 : .anyIPv6, 0)
            return try kernel.tcp(from: IPEndpoint(address, port), to: any)?.isListening == true
        }
    }

    // MARK: Log

    private func take(_ line: String) {
        let record = plan.sniServer?.accessLog.flatMap { SNIProgramRecord(line, format: $0.format)?.record }
        let waiting = state.withLockedValue { state in
            state.lines.append(line)
            if let record { state.records.append(record) }
            defer { state.waiting = [] }
            return state.waiting
        }
        if let record { site.programs?.logged(record, by: site.pod, container: container) }
        waiting.forEach { $0.resume() }
    }

    func nextLine(after count: Int, within time: TimeAmount) async {
        let tick = loop.scheduleTask(in: time) { self.wakeWaiting() }
        await withCheckedContinuation { continuation in
            let isThere = state.withLockedValue { state in
                if state.lines.count > count || state.hasEnded { return true }
                state.waiting.append(continuation)
                return false
            }
            if isThere { continuation.resume() }
        }
        tick.cancel()
    }

    private func wakeWaiting() {
        let waiting = state.withLockedValue { state in
            defer { state.waiting = [] }
            return state.waiting
        }
        waiting.forEach { $0.resume() }
    }
}

/// A line of an SNI proxy's log as a record of the connection.
struct SNIProgramRecord {
    let record: AccessLogRecord

    init?(_ line: String, format: NginxLogFormat) {
        guard let values = format.values(in: line), let status = values["status"].flatMap({ Int($0) }),
            let name = values["ssl_preread_server_name"]
        else { return nil }
        let duration = values["session_time"].flatMap { Double($0) } ?? 0
        var record = AccessLogRecord(kind: .tcp, streamID: 0, startTime: Date().timeIntervalSince1970 - duration)
        record.protocol = values["protocol"] ?? "TCP"
        // What is no handshake has no name, a handshake without one has an empty one.
        record.requestedServerName = name == "-" ? nil : name
        record.responseCode = status
        if status == 500, let name = record.requestedServerName, !name.isEmpty { record.responseFlags = ["UH"] }
        if status == 502 { record.responseFlags = ["UF"] }
        record.bytesSent = values["bytes_sent"].flatMap { UInt64($0) } ?? 0
        record.bytesReceived = values["bytes_received"].flatMap { UInt64($0) } ?? 0
        record.durationMs = UInt64(max(0, duration) * 1000)
        record.upstreamHost = values["upstream_addr"].flatMap { IPEndpoint($0) }
        self.record = record
    }
}
