import Foundation
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NetworkAddresses
import Proxy
import ProxyModel
import TestSupport

/// A server for one test: every connection gets a thread that runs the body.
final class Origin: Sendable {
    let endpoint: IPEndpoint
    private let listener: BlockingSocket

    init(
        at address: IPAddress = .loopbackIPv4, _ body: @escaping @Sendable (BlockingSocket) throws -> Void
    ) throws {
        let listener = try BlockingSocket.listen(at: IPEndpoint(address, 0))
        self.listener = listener
        endpoint = listener.local
        Thread.detachNewThread {
            while let socket = try? listener.accept() {
                Thread.detachNewThread {
                    // A broken connection ends that connection only; what the test needs it sees at its own end.
                    try? body(socket)
                    socket.close()
                }
            }
        }
    }

    /// Answers every request with `body`, keeping the connection.
    static func http(
        _ body: String = "hello", at address: IPAddress = .loopbackIPv4,
        seen: Collector<String> = Collector()
    ) throws -> Origin {
        try Origin(at: address) { socket in
            while true {
                let message = try socket.receiveMessage()
                if message.head.isEmpty { return }
                seen.add(message.head + message.body)
                try socket.send(
                    "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
            }
        }
    }

    /// Sends back what it gets; ends when the client does.
    static func echo(at address: IPAddress = .loopbackIPv4) throws -> Origin {
        try Origin(at: address) { socket in
            while true {
                let bytes = try socket.receive()
                if bytes.isEmpty { return }
                try socket.send(bytes)
            }
        }
    }

    /// A port on which nobody listens.
    static func refusing() -> IPEndpoint { IPEndpoint(.loopbackIPv4, TestPorts.next()) }
}

/// Answers from a table that tests may change.
final class TableResolver: HostResolver {
    private let table: NIOLockedValueBox<[String: HostResolution]>
    let asked = Collector<String>()

    struct NoSuchName: Error {}

    init(_ table: [String: HostResolution] = [:]) { self.table = NIOLockedValueBox(table) }

    func set(_ host: String, _ resolution: HostResolution?) { table.withLockedValue { $0[host] = resolution } }

    func resolve(_ host: String, families: [IPFamily], on loop: any EventLoop) -> EventLoopFuture<HostResolution> {
        asked.add(host)
        guard let answer = table.withLockedValue({ $0[host] }) else { return loop.makeFailedFuture(NoSuchName()) }
        return loop.makeSucceededFuture(answer)
    }
}

/// Ports below the range from which the kernel takes free ones: no other test's connection can get them.
enum TestPorts {
    private static let last = NIOLockedValueBox<UInt16>(20_000 + UInt16(getpid() % 1000) * 10)

    static func next() -> UInt16 {
        last.withLockedValue { port in
            repeat { port += 1 } while (try? BlockingSocket.listen(at: IPEndpoint(.loopbackIPv4, port))) == nil
            return port
        }
    }
}

/// A running proxy with one listener on loopback.
final class TestBench: Sendable {
    let proxy: BundledProxy
    let events: Collector<ProxyEvent>
    let address: IPEndpoint
    let resolver: TableResolver

    private init(
        _ proxy: BundledProxy, _ events: Collector<ProxyEvent>, _ address: IPEndpoint, _ resolver: TableResolver
    ) {
        self.proxy = proxy
        self.events = events
        self.address = address
        self.resolver = resolver
    }

    /// Starts a proxy, runs `body` and stops it.
    static func run(
        resolver: TableResolver = TableResolver(), host: IPAddress = .loopbackIPv4,
        _ make: (IPEndpoint) -> ProxyConfiguration, _ body: (TestBench) async throws -> Void
    ) async throws {
        let address = IPEndpoint(host, TestPorts.next())
        let events = Collector<ProxyEvent>()
        let proxy = BundledProxy(
            configuration: make(address), context: CurrentNetworkContext(), resolver: resolver,
            group: MultiThreadedEventLoopGroup.singleton, drainTime: .milliseconds(50)
        ) { events.add($0) }
        try await proxy.start()
        let bench = TestBench(proxy, events, address, resolver)
        do {
            try await body(bench)
        } catch {
            await proxy.stop()
            throw error
        }
        await proxy.stop()
    }

    func connect(receiveBuffer: CInt? = nil) throws -> BlockingSocket {
        try BlockingSocket.connect(to: address, receiveBuffer: receiveBuffer)
    }

    /// The `index`th record, when it is written.
    func record(_ index: Int = 0) -> AccessLogRecord? {
        events.wait { events in
            let records = events.compactMap { if case .record(_, let record) = $0 { record } else { nil } }
            return records.count > index ? records[index] : nil
        }
    }

    func connecting(_ index: Int = 0) -> (local: IPEndpoint?, to: IPEndpoint)? {
        events.wait { events in
            let found = events.compactMap { event -> (IPEndpoint?, IPEndpoint)? in
                if case .connecting(_, let local, let to, _, _, _) = event { (local, to) } else { nil }
            }
            return found.count > index ? found[index] : nil
        }
    }

    /// Whether a counter reaches `value`; gauges have no event to wait for.
    func becomes(_ name: String, _ value: UInt64) -> Bool {
        let end = Date().addingTimeInterval(8)
        while proxy.statistic(name) != value {
            if Date() > end { return false }
            sched_yield()
        }
        return true
    }

    /// Whether `count` connections are closed and recorded.
    func closed(_ count: Int = 1) -> Bool {
        events.wait { events in
            events.filter { if case .closed = $0 { true } else { false } }.count >= count ? true : nil
        } ?? false
    }
}

extension ProxyConfiguration {
    static let testNode = ProxyNode(
        id: "sidecar~127.0.0.1~test~test", role: .sidecar, namespace: "default", pod: "test", workload: "test")

    /// One listener at `address`, one TCP chain to `cluster`.
    static func tcp(
        at address: IPEndpoint, to cluster: Cluster?, filters: [Listener.ListenerFilter] = [],
        clusterName: String = "target"
    ) -> ProxyConfiguration {
        let chain = FilterChain(name: "tcp", filter: .tcpProxy(TCPProxy(cluster: clusterName)))
        let listener = Listener(
            name: "test", addresses: [address], trafficDirection: .outbound, bindToPort: true,
            useOriginalDestination: true, listenerFilters: filters, filterChains: [chain])
        return ProxyConfiguration(
            node: testNode, listeners: [listener], clusters: cluster.map { [$0] } ?? [],
            accessLogs: [AccessLogConfiguration(format: .istioText)])
    }

    /// One listener at `address` with an HTTP chain and a TCP default chain to BlackHoleCluster.
    static func http(
        at address: IPEndpoint, hosts: [VirtualHost], clusters: [Cluster],
        filters: [Listener.ListenerFilter] = [.httpInspector], manager: HTTPConnectionManager? = nil
    ) -> ProxyConfiguration {
        let manager = manager ?? HTTPConnectionManager(statPrefix: "outbound_0.0.0.0_80", routeConfiguration: "80")
        let protocols = filters.contains(.httpInspector) ? ["http/1.1", "h2c"] : []
        let chain = FilterChain(
            name: "http", match: FilterChainMatch(applicationProtocols: protocols),
            filter: .httpConnectionManager(manager))
        let rest = FilterChain(name: "rest", filter: .tcpProxy(TCPProxy(cluster: "BlackHoleCluster")))
        let listener = Listener(
            name: "test", addresses: [address], trafficDirection: .outbound, bindToPort: true,
            useOriginalDestination: true, listenerFilters: filters, filterChains: [chain], defaultFilterChain: rest)
        return ProxyConfiguration(
            node: testNode, listeners: [listener],
            routes: [RouteConfiguration(name: manager.routeConfiguration, virtualHosts: hosts)],
            clusters: clusters + [Cluster(name: "BlackHoleCluster", discovery: .staticEndpoints)],
            accessLogs: [AccessLogConfiguration(format: .istioText)])
    }
}

extension Cluster {
    /// A STATIC cluster of the given endpoints.
    static func fixed(_ endpoints: [IPEndpoint], name: String = "target", connectTimeoutMs: Int = 5000) -> Cluster {
        Cluster(
            name: name, discovery: .staticEndpoints, connectTimeoutMs: connectTimeoutMs,
            endpoints: endpoints.map { Endpoint(host: $0.address.description, port: $0.port) })
    }
}

extension VirtualHost {
    /// A host whose every path goes to `cluster`.
    static func all(
        _ domain: String = "*", to cluster: String = "target", timeoutMs: Int = 0, retries: RetryPolicy? = nil
    ) -> VirtualHost {
        let action = ForwardAction(
            clusters: [WeightedCluster(name: cluster)], timeoutMs: timeoutMs, retries: retries)
        return VirtualHost(
            name: domain, domains: [domain],
            routes: [Route(name: "default", match: RouteMatch(path: .prefix("/")), action: .forward(action))])
    }

    static let blockAll = VirtualHost(
        name: "block_all", domains: ["*"],
        routes: [Route(name: "block_all", action: .directResponse(status: 502, body: ""))])
}

extension RetryPolicy {
    /// Istio's default.
    static let istio = RetryPolicy(
        retryOn: ["connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"],
        numRetries: 2, baseIntervalMs: 1)
}

/// A listener whose queue is full: SYNs to it stay unanswered.
final class SilentListener: Sendable {
    let endpoint: IPEndpoint
    private let listener: BlockingSocket
    private let fillers: [BlockingSocket]

    init() throws {
        listener = try BlockingSocket.listen(at: IPEndpoint(.loopbackIPv4, 0), backlog: 0)
        endpoint = listener.local
        var fillers: [BlockingSocket] = []
        for _ in 0..<4 { fillers.append(try BlockingSocket.beginConnecting(to: listener.local)) }
        self.fillers = fillers
    }
}
