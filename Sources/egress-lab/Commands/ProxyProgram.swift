import DNS
import Dispatch
import Foundation
import Glibc
import NIOCore
import NIOPosix
import Netlink
import Proxy
import ProxyModel
import Synchronization

/// The bundled proxy as a program of its own.
struct ProxyProgram {
    /// The path of its configuration; `-` for standard input.
    let config: String

    /// What `arguments` ask for when they are `proxy --config FILE` and no more; nil for all else.
    ///
    /// The parser of all commands looks into each of them before it runs one, which takes longer than the proxy's start.
    init?(plain arguments: [String]) {
        guard arguments.count == 3, arguments[0] == "proxy", arguments[1] == "--config",
            arguments[2] == "-" || !arguments[2].hasPrefix("-")
        else { return nil }
        config = arguments[2]
    }

    init(config: String) { self.config = config }

    /// How long connections may live on after the first SIGTERM; Istio's `terminationDrainDuration`.
    private static let drainTime = TimeAmount.seconds(5)

    func run() async throws {
        DescriptorLimit.raise()
        let configuration = try read()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let connections = OpenConnections()
        let formatters = configuration.accessLogs.map { AccessLogFormatter($0, hostName: configuration.node.pod) }
        let context = CurrentNetworkContext()
        let proxy = BundledProxy(
            configuration: configuration, context: context,
            resolver: DNSHostResolver(in: context, nameservers: configuration.nameservers), group: group,
            drainTime: Self.drainTime, recordLimit: 0
        ) { event in
            switch event {
            case .accepted(let connection, _, _): connections.add(connection)
            case .closed(let connection): connections.remove(connection)
            case .record(_, let record):
                for formatter in formatters where formatter.logs(record) {
                    Console.report(formatter.line(for: record) + "\n")
                }
            case .connecting, .progress: break
            }
        }
        // From here on, so that a signal during the start is not lost.
        let (signals, signalled) = AsyncStream.makeStream(of: Int32.self)
        let watch = SignalWatch([SIGTERM, SIGINT]) { signalled.yield($0) }
        defer { withExtendedLifetime(watch) {} }
        do {
            try await proxy.start()
        } catch let error as ProxyStartError {
            throw Failure(
                status: error.errno == EACCES || error.errno == EPERM ? .cannotRun : .labFailed, message: "\(error)")
        }
        ProgramMemory.giveBackStart()
        // The first connection needs much that no other does.
        let firstConnection = Task {
            await connections.waitUntilFirstEnded()
            ProgramMemory.giveBackStart()
        }
        defer { firstConnection.cancel() }
        var waiting = signals.makeAsyncIterator()
        _ = await waiting.next()
        try await drain(proxy, configuration, connections, signals)
        await proxy.stop()
        try await group.shutdownGracefully()
    }

    /// Closes the listeners and gives open connections their time, unless a second signal comes.
    private func drain(
        _ proxy: BundledProxy, _ configuration: ProxyConfiguration, _ connections: OpenConnections,
        _ signals: AsyncStream<Int32>
    ) async throws {
        var closing = configuration
        closing.listeners = []
        try await proxy.update(closing)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await connections.waitUntilNone() }
            group.addTask { for await _ in signals { break } }
            await group.next()
            group.cancelAll()
        }
    }

    private func read() throws -> ProxyConfiguration {
        let data: Data
        do {
            data = Data(try ProgramFile.bytes(of: config))
        } catch {
            throw Failure.input("\(config):1:1: error: can't be read: \(KernelError.text(of: error.errno))")
        }
        do {
            return try JSONDecoder().decode(ProxyConfiguration.self, from: data)
        } catch {
            throw Failure.input("\(config):1:1: error: not a proxy configuration: \(Self.explain(error))")
        }
    }

    /// Where in the JSON what is wrong.
    private static func explain(_ error: any Error) -> String {
        guard let error = error as? DecodingError else { return error.localizedDescription }
        switch error {
        case .keyNotFound(let key, let context): return "\(path(context)) lacks '\(key.stringValue)'"
        case .typeMismatch(_, let context), .valueNotFound(_, let context), .dataCorrupted(let context):
            return "\(path(context)): \(context.debugDescription)"
        @unknown default: return "\(error)"
        }
    }

    private static func path(_ context: DecodingError.Context) -> String {
        let text = context.codingPath.map { $0.intValue.map { "[\($0)]" } ?? ".\($0.stringValue)" }.joined()
        return text.isEmpty ? "the document" : text.hasPrefix(".") ? String(text.dropFirst()) : text
    }
}

/// The proxy's open connections, and who waits for their end.
private final class OpenConnections: Sendable {
    private struct State {
        var open: Set<UInt64> = []
        var waiters: [AsyncStream<Void>.Continuation] = []
        var hasEnded = false
        var firstEndWaiter: AsyncStream<Void>.Continuation?
    }

    private let state = Mutex(State())

    func add(_ connection: UInt64) { state.withLock { _ = $0.open.insert(connection) } }

    func remove(_ connection: UInt64) {
        state.withLock { state in
            state.open.remove(connection)
            if !state.hasEnded {
                state.hasEnded = true
                state.firstEndWaiter?.finish()
                state.firstEndWaiter = nil
            }
            guard state.open.isEmpty else { return }
            for waiter in state.waiters { waiter.finish() }
            state.waiters = []
        }
    }

    /// Returns when there is none, or when the task is cancelled.
    func waitUntilNone() async {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        state.withLock { state in
            if state.open.isEmpty { continuation.finish() } else { state.waiters.append(continuation) }
        }
        for await _ in stream {}
    }
    /// Returns when one has ended, or when the task is cancelled.
    func waitUntilFirstEnded() async {
        let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
        state.withLock { state in
            if state.hasEnded { continuation.finish() } else { state.firstEndWaiter = continuation }
        }
        for await _ in stream {}
    }
}
