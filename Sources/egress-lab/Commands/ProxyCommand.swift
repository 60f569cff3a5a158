import ArgumentParser
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

/// `proxy --config FILE`: the bundled proxy alone, in the namespace it is started in.
struct ProxyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "proxy",
        abstract: "Runs the bundled proxy alone, from the JSON that `render --what proxy` prints.",
        discussion:
            "The access log goes to standard output. SIGTERM drains connections and ends it; a second one doesn't wait."
    )

    @Option(help: "The proxy's configuration.", completion: .file(extensions: ["json"]))
    var config: String

    /// How long connections may live on after the first SIGTERM; Istio's `terminationDrainDuration`.
    private static let drainTime = TimeAmount.seconds(5)

    func run() async throws {
        DescriptorLimit.raise()
        let configuration = try read()
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        let connections = OpenConnections()
        let formatter = configuration.accessLog.map {
            AccessLogFormatter($0, hostName: configuration.node.pod)
        }
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
                if let formatter, formatter.logs(record) { Console.report(formatter.line(for: record) + "\n") }
            case .connecting: break
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
            data =
                try config == "-"
                ? FileHandle.standardInput.readToEnd() ?? Data() : Data(contentsOf: URL(fileURLWithPath: config))
        } catch {
            throw Failure.input("\(config):1:1: error: can't be read: \(error.localizedDescription)")
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
    }

    private let state = Mutex(State())

    func add(_ connection: UInt64) { state.withLock { _ = $0.open.insert(connection) } }

    func remove(_ connection: UInt64) {
        state.withLock { state in
            state.open.remove(connection)
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
}
