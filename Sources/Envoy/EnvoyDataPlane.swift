import Glibc
import NIOConcurrencyHelpers
package import NIOCore
import NIOHTTP1
package import Netlink
package import Proxy
package import ProxyModel

/// A real Envoy process as a proxy.
///
/// Whoever runs one should also wait for `waitForFailure()`: an Envoy that ends unasked can't be seen otherwise until the
/// next call, and what it did not do then looks like a decision.
package final class EnvoyDataPlane: DataPlane {
    private enum Phase {
        case new
        case running(ProgramProcess)
        case stopping(ProgramProcess)
        case stopped
        case failed(EnvoyError)
    }

    private let configuration: ProxyConfiguration
    private let executable: String
    private let directory: EnvoyDirectory
    private let namespace: NetworkNamespace
    private let drainTime: Duration
    private let sink: @Sendable (ProxyEvent) -> Void
    private let loop: any EventLoop
    private let admin: EnvoyAdmin
    private let fence: EnvoyFence
    private let updater: EnvoyUpdater
    private let reader: NIOLockedValueBox<EnvoyLogReader>
    private let log = EnvoyRecordLog()
    private let phase = NIOLockedValueBox(Phase.new)
    /// Completed with nil when it was stopped as asked.
    private let failed: EventLoopPromise<EnvoyError?>

    /// - Parameters:
    ///   - executable: the program; the proxy's user need not be able to reach it.
    ///   - directory: belongs to this proxy alone, and is made if it does not exist; `uid` must be able to reach it. It
    ///     stays after `stop()`. At most 95 bytes, because unix sockets are in it.
    ///   - namespace: the pod's.
    ///   - drainTime: how long connections of changed or removed filter chains live on after an update. The default is
    ///     Istio's (`proxyConfig.drainDuration`).
    ///   - sink: gets the events, on one event loop of `group`; must return soon.
    package init(
        configuration: ProxyConfiguration, executable: String, directory: String, namespace: NetworkNamespace,
        uid: UInt32, gid: UInt32, group: any EventLoopGroup, drainTime: Duration = .seconds(45),
        sink: @escaping @Sendable (ProxyEvent) -> Void
    ) {
        self.configuration = configuration
        self.executable = executable
        self.directory = EnvoyDirectory(path: directory, owner: ChildSpecification.Identity(uid: uid, gid: gid))
        self.namespace = namespace
        self.drainTime = drainTime
        self.sink = sink
        loop = group.next()
        admin = EnvoyAdmin(socket: self.directory.adminSocket, loop: loop)
        fence = EnvoyFence(socket: self.directory.fenceSocket, loop: loop)
        updater = EnvoyUpdater(configuration, directory: self.directory, admin: admin)
        reader = NIOLockedValueBox(EnvoyLogReader(configuration))
        failed = loop.makePromise(of: EnvoyError?.self)
    }

    deinit { failed.succeed(nil) }

    // MARK: Life

    package func start() async throws {
        try directory.make()
        try await updater.prepare()
        let program = try Netlink.FileDescriptor.open(executable, O_RDONLY)
        let process = try await ProgramProcess.start(
            specification(program), name: executable, loop: loop, output: { [weak self] line in self?.read(line) },
            errors: { [log] line in log.append(nil, lines: [ProxyLogLine(path: nil, text: line)]) },
            keeps: { !Self.isFrame($0) })
        withExtendedLifetime(program) {}
        phase.withLockedValue { $0 = .running(process) }
        process.ended.whenComplete { [weak self] result in self?.ended(process, result) }
        do {
            try await updater.awaitStart(isAlive: { try self.check() })
            try await settle()
        } catch {
            let reason = await explain(error, process, during: .start)
            await stop()
            throw reason
        }
    }

    /// Of the program that `program` is open on.
    private func specification(_ program: Netlink.FileDescriptor) -> ChildSpecification {
        // Through the descriptor, because the proxy's user need not be allowed into the program's folder.
        let inherited: Int32 = 3
        var specification = ChildSpecification("/proc/self/fd/\(inherited)", arguments)
        specification.arguments[0] = "envoy"
        specification.descriptors = [inherited: program.number]
        specification.namespace = namespace
        specification.identity = directory.owner
        specification.hostName = configuration.node.pod
        specification.isolation = .hostName
        specification.forbidsNewPrivileges = true
        specification.keepsDescriptorLimit = true
        specification.workingDirectory = "/"
        return specification
    }

    /// A line of a backtrace: an address without a name, of which a crash writes more than an error shows.
    private static func isFrame(_ line: String) -> Bool {
        line.hasPrefix("error envoy_bug: #") || line.hasPrefix("critical backtrace: #")
    }

    private var arguments: [String] {
        [
            "--config-path", directory.bootstrap, "--concurrency", "1", "--disable-hot-restart",
            "--skip-deprecated-logs", "--log-level", "warning", "--log-format", EnvoyOwnLine.format,
            "--drain-time-s", String(drainTime.components.seconds),
            // Every line is written as it is made: one wake-up each, instead of one every few milliseconds for nothing.
            "--file-flush-min-size-kb", "0", "--file-flush-interval-msec", "1000",
        ]
    }

    package func update(_ configuration: ProxyConfiguration) async throws {
        reader.withLockedValue { $0.expect(configuration) }
        try await change { try await self.updater.update(to: configuration, isAlive: { try self.check() }) }
    }

    package func meetNewPolicies() async throws {
        try await change { try await self.updater.update(hasNewPolicies: true, isAlive: { try self.check() }) }
    }

    private func change(_ body: () async throws -> Void) async throws {
        let process = try running()
        let logged = process.lineCount
        do {
            try await body()
        } catch {
            let explained = await explain(error, process, during: .timedOut, since: logged)
            // The configuration of before is in force again when this throws.
            try? await settle()
            throw explained
        }
        try await settle()
    }

    package func settle() async throws {
        let process = try running()
        do {
            try await fence.pass()
        } catch {
            throw await explain(error, process, during: .timedOut)
        }
    }

    package func stop() async { await end(ProgramProcess.stop) }

    /// Envoy takes some 50 ms to end when it is asked to.
    package func abandon() async { await end(ProgramProcess.kill) }

    private func end(_ way: (ProgramProcess) -> () async -> Void) async {
        let process: ProgramProcess? = phase.withLockedValue { phase in
            switch phase {
            case .running(let process), .stopping(let process):
                phase = .stopping(process)
                return process
            case .new:
                phase = .stopped
                return nil
            case .stopped, .failed: return nil
            }
        }
        if let process { await way(process)() }
        failed.succeed(nil)
    }

    // MARK: Failure

    /// How it ended, if it ended unasked or said something that could not be understood; nil otherwise.
    package var failure: EnvoyError? {
        phase.withLockedValue { phase in
            if case .failed(let error) = phase { error } else { nil }
        }
    }

    /// Returns as soon as it ends unasked, with how and its last log lines; nil when it was stopped as asked.
    package func waitForFailure() async -> EnvoyError? { (try? await failed.futureResult.get()) ?? nil }

    /// The number of its process while it runs.
    package var processID: Int32? {
        phase.withLockedValue { phase in
            if case .running(let process) = phase { process.processID } else { nil }
        }
    }

    private func check() throws { _ = try running() }

    private func running() throws -> ProgramProcess {
        try phase.withLockedValue { phase in
            switch phase {
            case .running(let process): return process
            case .failed(let error): throw error
            case .new: throw error(.start, "it was not started")
            case .stopping, .stopped: throw error(.ended, "it was stopped")
            }
        }
    }

    private func error(_ code: EnvoyError.Code, _ reason: String, log: [String] = []) -> EnvoyError {
        let node = configuration.node
        return EnvoyError(
            code: code, proxy: "\(node.role.rawValue) \(node.namespace)/\(node.pod)", reason: reason, log: log)
    }

    /// All that Envoy wrote has been read; on the loop.
    private func ended(_ process: ProgramProcess, _ result: Result<ChildProcess.ExitStatus?, any Error>) {
        let how: String =
            switch result {
            case .success(let status): status?.words ?? "closed its streams, but still runs"
            case .failure(let error): "ended (\(error))"
            }
        let crash: EnvoyError? = phase.withLockedValue { phase in
            if case .running = phase {
                let error = error(.ended, "it \(how), unasked", log: process.lastLines.map(EnvoyOwnLine.shortened))
                phase = .failed(error)
                return error
            }
            if case .stopping = phase { phase = .stopped }
            return nil
        }
        for event in reader.withLockedValue({ $0.finish() }) { sink(event) }
        fence.fail(crash ?? error(.ended, "it was stopped"))
        if let crash { failed.succeed(crash) }
    }

    private func fail(_ error: EnvoyError) {
        let process: ProgramProcess? = phase.withLockedValue { phase in
            guard case .running(let process) = phase else { return nil }
            phase = .failed(error)
            return process
        }
        guard let process else { return }
        fence.fail(error)
        failed.succeed(error)
        Task { await process.stop() }
    }

    /// What happened, in words for the user, with what Envoy said about it.
    ///
    /// - Parameter code: of what is no refusal and no end.
    private func explain(
        _ problem: any Error, _ process: ProgramProcess, during code: EnvoyError.Code, since logged: Int = 0
    ) async -> EnvoyError {
        // Its log comes through a pipe of its own; another round trip gives that time to be read.
        if failure == nil { _ = try? await admin.get("/ready", timeout: .seconds(1)) }
        if let failure { return code == .start ? error(code, failure.reason, log: failure.log) : failure }
        let lines = process.lines(after: logged).suffix(ProgramProcess.shownLines).map(EnvoyOwnLine.shortened)
        switch problem {
        case let known as EnvoyError: return known
        case let refusal as EnvoyUpdater.Refusal:
            return error(
                code == .start ? code : .rejected, "it refused its configuration (\(refusal.statistic))", log: lines)
        case let late as EnvoyUpdater.Late:
            return error(code, "its configuration was not in force in time: \(late.missing)", log: lines)
        case is EnvoyFence.Late: return error(code, "it did not settle in time", log: lines)
        default: return error(code, "\(problem)", log: lines)
        }
    }

    // MARK: Output

    /// On the loop.
    private func read(_ text: String) {
        do {
            let reading = try reader.withLockedValue { try $0.read(text) }
            if reading.isFence { fence.noteLine() }
            if let entry = reading.entry { log.append(entry.record, lines: entry.lines) }
            for event in reading.events { sink(event) }
        } catch {
            fail(self.error(.unreadable, "\(error)"))
        }
    }

    package func statistics() async throws -> [String: UInt64] {
        let process = try running()
        let page: EnvoyStatisticsPage
        do {
            page = EnvoyStatisticsPage(try await admin.get("/stats"))
        } catch {
            throw await explain(error, process, during: .timedOut)
        }
        let fence = "listener.\(ListenerRendering.fenceName)."
        return page.numbers.filter { !$0.key.hasPrefix(fence) }
    }

    package func statistic(_ name: String) async throws -> UInt64? {
        let all = try await statistics()
        let plain = StatisticName.plain(name)
        return all[plain] ?? all[EnvoyStatisticsPage.sanitized(plain)]
    }

    package func admin(_ request: AdminRequest) async throws -> AdminAnswer? {
        // It would end as if it had crashed; whoever wants its end stops it.
        if request.path == "/quitquitquit" { return nil }
        let process = try running()
        do {
            return try await admin.ask(HTTPMethod(rawValue: request.method), request.encodedTarget)
        } catch {
            throw await explain(error, process, during: .timedOut)
        }
    }

    package func logLines(after count: Int) -> (lines: [ProxyLogLine], count: Int) { log.lines(after: count) }
    package func accessLogRecords() -> [AccessLogRecord] { log.records() }
}
