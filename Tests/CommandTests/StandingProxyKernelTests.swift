import Foundation
import Glibc
import LoadGenerator
import Netlink
import NetworkAddresses
import ProxyModel
import TestSupport
import Testing

/// `egress-lab proxy` under clients that mean no good: it goes on serving, and its memory and descriptors come back.
@Suite(.requiresRoot, .serialized) struct StandingProxyKernelTests {
    @Test("out of descriptors, clients are refused by a reset, those inside are served, and others come in later")
    func descriptorLimit() throws {
        try StandingProxy.run(descriptors: 128) { proxy in
            let inside = try proxy.open(.http, 80)
            #expect(inside.count == 80)
            let more = try proxy.open(.http, 80)
            // One of each eight is kept for the proxy's own needs, and its start has opened some.
            #expect(more.count < 40)
            #expect(try proxy.exchange(.http) { load_try($0) } != 0)
            #expect(proxy.isAlive)
            for client in inside { #expect(try proxy.exchange(.http) { load_exchange_once($0, client) } == 0) }
            for client in more { close(client) }
            #expect(try proxy.becomesTrue { try proxy.exchange(.http) { load_try($0) } == 0 })
            for client in inside { close(client) }
        }
    }

    @Test("connections that come and go leave neither memory nor descriptors behind")
    func churn() throws {
        try StandingProxy.run { proxy in
            for service in [StandingProxy.Service.tcp, .http] {
                #expect(try proxy.exchange(service) { load_connections_counted($0, 32, 500).failed } == 0)
                try #require(try proxy.settles(at: proxy.startDescriptors))
                let memory = try proxy.memory()
                #expect(try proxy.exchange(service) { load_connections_counted($0, 32, 1500).failed } == 0)
                #expect(try proxy.settles(at: proxy.startDescriptors))
                #expect(try proxy.memory() - memory < 4)
            }
        }
    }

    @Test("heads that never end take bounded memory, and others are served meanwhile")
    func slowHeads() throws {
        try StandingProxy.run { proxy in
            let clients = try proxy.connect(.http, 200)
            let memory = try proxy.memory()
            for client in clients { try client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ") }
            for _ in 0..<20 {
                for client in clients { try client.send("a") }
                #expect(try proxy.exchange(.http) { load_try($0) } == 0)
            }
            #expect(try proxy.memory() - memory < 16)
            for client in clients { client.reset() }
            #expect(try proxy.settles(at: proxy.startDescriptors))
        }
    }

    @Test("connections on which nothing is said, and those of which one half is closed, end with their clients")
    func silentClients() throws {
        try StandingProxy.run { proxy in
            let silent = try proxy.connect(.http, 300)
            let half = try proxy.connect(.tcp, 300)
            for client in half { client.finishSending() }
            #expect(try proxy.exchange(.tcp) { load_try($0) } == 0)
            #expect(try proxy.exchange(.http) { load_try($0) } == 0)
            #expect(proxy.isAlive)
            for client in silent + half { client.reset() }
            #expect(try proxy.settles(at: proxy.startDescriptors))
        }
    }

    @Test("clients that do not read what a server floods them with, and servers that do not read, fill no memory")
    func unread() throws {
        try StandingProxy.run { proxy in
            let memory = try proxy.memory()
            // A flood that nobody reads: the server would send for ever.
            let deaf = try proxy.connect(.flood, 40)
            for client in deaf { try client.send("x") }
            // Its server reads nothing either: sending stops when the buffers on the way are full.
            let chunk = [UInt8](repeating: 5, count: 1 << 20)
            for client in deaf.prefix(10) {
                client.setSendTimeout(milliseconds: 50)
                var sent = 0
                while sent < 32, (try? client.send(chunk)) != nil { sent += 1 }
                #expect(sent < 32)
            }
            #expect(try proxy.exchange(.tcp) { load_try($0) } == 0)
            // Two buffers of 64 KiB in each direction, and what waits to be written.
            #expect(try proxy.memory() - memory < 40 * 0.5)
            for client in deaf { client.reset() }
            #expect(try proxy.settles(at: proxy.startDescriptors))
        }
    }
}

/// The built proxy in a namespace of its own, with an origin behind it.
private final class StandingProxy {
    enum Service: UInt16, CaseIterable {
        case tcp = 9001
        case http = 9003
        case flood = 9004

        var proxyPort: UInt16 { rawValue + 6000 }
    }

    private let namespace: NetworkNamespace
    private let process: ChildProcess
    private(set) var startDescriptors = 0

    var isAlive: Bool {
        do { return try process.exitStatus() == nil } catch { return false }
    }

    private init(_ namespace: NetworkNamespace, _ process: ChildProcess) {
        self.namespace = namespace
        self.process = process
    }

    /// Starts a proxy that may open so many descriptors, runs `body` and ends it.
    static func run(descriptors: Int? = nil, _ body: (StandingProxy) throws -> Void) throws {
        try withScratchNamespace { namespace in
            let ports = load_ports(
                answer: Service.tcp.rawValue, sni: 9002, http: Service.http.rawValue, flood: Service.flood.rawValue)
            let origin = try namespace.enter { load_origin_listen(ports) }
            try #require(origin >= 0)
            Thread.detachNewThread { load_origin_serve(origin) }
            let file = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).json")
            try JSONEncoder().encode(configuration).write(to: file)
            defer { try? FileManager.default.removeItem(at: file) }
            let limit = descriptors.map { "ulimit -n \($0); " } ?? ""
            var specification = ChildSpecification(
                "/bin/sh", ["-c", "\(limit)exec \"$0\" proxy --config \"$1\"", BuiltProgram.executable.path, file.path])
            specification.namespace = namespace
            let proxy = StandingProxy(namespace, try ChildProcess.spawn(specification))
            defer {
                proxy.process.kill()
                _ = try? proxy.process.wait()
            }
            for service in [Service.tcp, .http] {
                try #require(try proxy.becomesTrue { try proxy.exchange(service) { load_try($0) } == 0 })
            }
            // What the origin's kept HTTP connections take may stay, as many as there were at once.
            proxy.startDescriptors = proxy.openDescriptors + 40
            try body(proxy)
        }
    }

    private static var configuration: ProxyConfiguration {
        let chains = Service.allCases.map { service -> (Service, NetworkFilter, Cluster) in
            let cluster = Cluster(
                name: "\(service)", discovery: .staticEndpoints,
                endpoints: [Endpoint(host: "127.0.0.1", port: service.rawValue)])
            let filter: NetworkFilter =
                service == .http
                ? .httpConnectionManager(HTTPConnectionManager(statPrefix: "http", routeConfiguration: "http"))
                : .tcpProxy(TCPProxy(cluster: cluster.name))
            return (service, filter, cluster)
        }
        let listeners = chains.map { service, filter, _ in
            Listener(
                name: "\(service)", addresses: [IPEndpoint(.loopbackIPv4, service.proxyPort)],
                trafficDirection: .outbound, bindToPort: true,
                filterChains: [FilterChain(name: "\(service)", filter: filter)])
        }
        let forward = ForwardAction(clusters: [WeightedCluster(name: "http")])
        let host = VirtualHost(
            name: "all", domains: ["*"],
            routes: [Route(match: RouteMatch(path: .prefix("/")), action: .forward(forward))])
        return ProxyConfiguration(
            node: ProxyNode(id: "test", role: .sidecar, namespace: "default", pod: "test", workload: "test"),
            listeners: listeners, routes: [RouteConfiguration(name: "http", virtualHosts: [host])],
            clusters: chains.map(\.2))
    }

    // MARK: Clients

    func exchange<T>(_ service: Service, _ body: (UnsafePointer<load_exchange>) -> T) throws -> T {
        let request = Array((service == .http ? "GET / HTTP/1.1\r\nHost: a\r\n\r\n" : "hello").utf8)
        let ending = service == .http ? Array(LOAD_HTTP_BODY.utf8) : []
        return try namespace.enter {
            request.withUnsafeBytes { request in
                ending.withUnsafeBytes { ending in
                    var exchange = load_exchange()
                    exchange.target.sin_family = sa_family_t(AF_INET)
                    exchange.target.sin_port = service.proxyPort.bigEndian
                    exchange.target.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
                    exchange.request = request.baseAddress
                    exchange.request_length = request.count
                    exchange.ending = ending.baseAddress
                    exchange.ending_length = ending.count
                    return withUnsafePointer(to: exchange) { body($0) }
                }
            }
        }
    }

    /// Opens up to `count` connections, one exchange on each, until one is refused.
    func open(_ service: Service, _ count: Int) throws -> [Int32] {
        var descriptors = [Int32](repeating: -1, count: count)
        let opened = try exchange(service) { load_open($0, &descriptors, Int32(count)) }
        return Array(descriptors.prefix(Int(opened)))
    }

    /// Opens connections and says nothing.
    func connect(_ service: Service, _ count: Int) throws -> [BlockingSocket] {
        try namespace.enter {
            try (0..<count).map { _ in
                try BlockingSocket.connect(to: IPEndpoint(.loopbackIPv4, service.proxyPort))
            }
        }
    }

    // MARK: The process

    private var openDescriptors: Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/\(process.processID)/fd").count) ?? .max
    }

    /// In MiB.
    func memory() throws -> Double {
        let text = try String(contentsOfFile: "/proc/\(process.processID)/smaps_rollup", encoding: .utf8)
        // Code comes back into memory as it is used: what counts is what the proxy has made itself.
        let line = try #require(text.split(separator: "\n").first { $0.hasPrefix("Anonymous:") })
        return (Double(line.split(separator: " ")[1]) ?? 0) / 1024
    }

    /// Whether the proxy comes down to so many descriptors.
    func settles(at count: Int) throws -> Bool { try becomesTrue { openDescriptors <= count } }

    /// The kernel tells nobody of another process's descriptors: asks until the answer is yes, or much time is over.
    func becomesTrue(_ condition: () throws -> Bool) throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(20)
        while try !condition() {
            guard ContinuousClock.now < deadline, isAlive else { return false }
            sched_yield()
        }
        return true
    }
}
