import Envoy
import Foundation
import NIOPosix
import Netlink
import NetworkAddresses
import ProxyModel
import TestSupport

/// A real Envoy on the loopback of a namespace of its own, with what it serves and what it says.
final class EnvoyBench: Sendable {
    let namespace: NetworkNamespace
    let proxy: EnvoyDataPlane
    let events = Collector<ProxyEvent>()

    private init(_ namespace: NetworkNamespace, _ configuration: ProxyConfiguration, _ directory: URL) throws {
        self.namespace = namespace
        proxy = EnvoyDataPlane(
            configuration: configuration, executable: try EnvoyLocator().find(), directory: directory.path,
            namespace: namespace, uid: 1337, gid: 1337, group: MultiThreadedEventLoopGroup.singleton
        ) { [events] in events.add($0) }
    }

    /// Makes the namespace and the proxy, runs `body` and stops the proxy; it is not started.
    static func prepare(
        _ configuration: ProxyConfiguration, _ body: (EnvoyBench) async throws -> Void
    ) async throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "envoy-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: directory) }
        let namespace = try withScratchNamespace { $0 }
        let bench = try EnvoyBench(namespace, configuration, directory)
        do {
            try await body(bench)
        } catch {
            await bench.proxy.stop()
            throw error
        }
        await bench.proxy.stop()
    }

    /// The same with the proxy started.
    static func run(
        _ configuration: ProxyConfiguration, _ body: (EnvoyBench) async throws -> Void
    ) async throws {
        try await prepare(configuration) { bench in
            try await bench.proxy.start()
            try await body(bench)
        }
    }

    /// Serves every connection to `port` with a thread that runs `body`, as long as the process lives.
    func serve(_ port: UInt16, _ body: @escaping @Sendable (BlockingSocket) throws -> Void) throws {
        let listener = try namespace.enter { try BlockingSocket.listen(at: IPEndpoint(.loopbackIPv4, port)) }
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

    /// Sends back what it gets; ends when the client does.
    func serveEcho(_ port: UInt16) throws {
        try serve(port) { socket in
            while true {
                let bytes = try socket.receive()
                if bytes.isEmpty { return }
                try socket.send(bytes)
            }
        }
    }

    /// Answers every request with `body`, keeping the connection.
    func serveHTTP(_ port: UInt16, _ body: String = "hello") throws {
        try serve(port) { socket in
            while true {
                if try socket.receiveMessage().head.isEmpty { return }
                try socket.send("HTTP/1.1 200 OK\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)")
            }
        }
    }

    func connect(_ port: UInt16) throws -> BlockingSocket {
        try namespace.enter { try BlockingSocket.connect(to: IPEndpoint(.loopbackIPv4, port)) }
    }

    /// Sends `text` and returns all that comes until the end.
    func exchange(_ port: UInt16, _ text: String = "") throws -> String {
        let socket = try connect(port)
        if !text.isEmpty { try socket.send(text) }
        return String(decoding: try socket.receiveAll(), as: UTF8.self)
    }

    /// The first line of the answer to a request on a connection of its own.
    func get(_ port: UInt16, _ path: String, host: String = "a.test") throws -> String {
        let answer = try exchange(
            port, "GET \(path) HTTP/1.1\r\nHost: \(host)\r\nUser-Agent: t\r\nConnection: close\r\n\r\n")
        return String(answer.prefix { !$0.isNewline })
    }

    /// The records so far, as the sink got them.
    var records: [AccessLogRecord] {
        events.all.compactMap { if case .record(_, let record) = $0 { record } else { nil } }
    }
}

/// Small configurations for one proxy on loopback.
enum EnvoySamples {
    static func configuration(
        _ listeners: [Listener], clusters: [Cluster], routes: [Route] = [],
        accessLogs: [AccessLogConfiguration] = [AccessLogConfiguration(format: .istioText)]
    ) -> ProxyConfiguration {
        let node = ProxyNode(
            id: "sidecar~127.0.0.1~sleep-1.default~default.svc.cluster.local", role: .sidecar, namespace: "default",
            pod: "sleep-1", workload: "sleep")
        let host = VirtualHost(name: "all", domains: ["*"], routes: routes)
        return ProxyConfiguration(
            node: node, listeners: listeners, routes: [RouteConfiguration(name: "80", virtualHosts: [host])],
            clusters: clusters, accessLogs: accessLogs)
    }

    static func tcp(_ port: UInt16, to cluster: String, origin: String? = nil) -> Listener {
        listener(
            port, FilterChain(name: "tcp-\(cluster)", filter: .tcpProxy(TCPProxy(cluster: cluster)), origin: origin))
    }

    static func http(_ port: UInt16) -> Listener {
        let manager = HTTPConnectionManager(statPrefix: "outbound_127.0.0.1_\(port)", routeConfiguration: "80")
        return listener(port, FilterChain(name: "http", filter: .httpConnectionManager(manager)))
    }

    static func listener(_ port: UInt16, _ chain: FilterChain) -> Listener {
        Listener(
            name: "127.0.0.1_\(port)", addresses: [IPEndpoint(.loopbackIPv4, port)], trafficDirection: .outbound,
            bindToPort: true, filterChains: [chain])
    }

    static func cluster(_ name: String, _ port: UInt16? = nil, origin: String? = nil) -> Cluster {
        Cluster(
            name: name, discovery: .staticEndpoints,
            endpoints: port.map { [Endpoint(host: "127.0.0.1", port: $0)] } ?? [], origin: origin)
    }

    static func route(_ prefix: String, to cluster: String, name: String? = nil, origin: String? = nil) -> Route {
        Route(
            name: name, match: RouteMatch(path: .prefix(prefix)),
            action: .forward(ForwardAction(clusters: [WeightedCluster(name: cluster)])), origin: origin)
    }
}
