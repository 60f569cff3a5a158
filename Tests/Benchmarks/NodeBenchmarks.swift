import Foundation
import Glibc
import Lab
import Manifests
import Mesh
import Netlink
import NetworkAddresses

/// TCP requests and responses of a byte each, from one pod to another through their node, with few or very many pods
/// and policies beside them.
struct RequestRateBenchmark: Benchmark {
    let pods: Int
    /// Whether each request has a connection of its own, which policies must judge.
    let isNewEachTime: Bool

    var name: String {
        "TCP requests\(isNewEachTime ? ", each connected anew" : "") beside \(pods) pods, \(pods / 5) policies"
    }
    var unit: Unit { .perSecond }

    private static let port: UInt16 = 9999
    private static let duration = Duration.seconds(2)

    func measure() async throws -> Double {
        let dump = ClusterDump(pods: pods, namespaces: pods >= 100 ? 20 : 1, policies: pods / 5)
        let lab = try await DumpLab(DumpLab.plan(dump))
        // Replicas of one workload reach each other: their namespace is closed to others only.
        let ends = await lab.lab.allPods.filter { $0.plan.pod.workload == "app-0" }.prefix(2)
        guard ends.count == 2, let client = ends.first, let server = ends.last,
            let address = server.plan.pod.addresses.first
        else { throw BenchmarkError("no two pods") }
        let listener = try server.namespace.enter { try PlainSocket.listener(at: IPEndpoint(address, Self.port)) }
        Thread.detachNewThread { PlainSocket.echo(listener) }
        // Ends the echo's wait for one more client.
        defer { shutdown(listener, Int32(SHUT_RDWR)) }
        let target = IPEndpoint(address, Self.port)
        // It blocks: not a thread of the concurrency runtime's.
        let rate = try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Double, any Error>) in
            Thread.detachNewThread {
                continuation.resume(with: Result { try client.namespace.enter { try ask(target) } })
            }
        }
        return withExtendedLifetime(lab) { rate }
    }

    /// How many requests a second are answered.
    private func ask(_ server: IPEndpoint) throws -> Double {
        let start = ContinuousClock.now
        var count = 0
        var connection: CInt = -1
        defer { if connection >= 0 { PlainSocket.abort(connection) } }
        while ContinuousClock.now - start < Self.duration {
            if connection < 0 { connection = try PlainSocket.connection(to: server) }
            guard PlainSocket.exchange(connection) else { throw BenchmarkError("a request was not answered") }
            if isNewEachTime {
                PlainSocket.abort(connection)
                connection = -1
            }
            count += 1
        }
        return Double(count) / ((ContinuousClock.now - start) / .seconds(1))
    }
}

/// Blocking IPv4 sockets of the calling thread's namespace.
private enum PlainSocket {
    static func listener(at endpoint: IPEndpoint) throws -> CInt {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        guard descriptor >= 0, withAddress(endpoint, { bind(descriptor, $0, $1) }) == 0, listen(descriptor, 64) == 0
        else { throw BenchmarkError("no listener at \(endpoint): \(errno)") }
        return descriptor
    }

    static func connection(to endpoint: IPEndpoint) throws -> CInt {
        let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var on: CInt = 1
        setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &on, 4)
        guard descriptor >= 0, withAddress(endpoint, { connect(descriptor, $0, $1) }) == 0 else {
            throw BenchmarkError("no connection to \(endpoint): \(errno)")
        }
        return descriptor
    }

    static func exchange(_ descriptor: CInt) -> Bool {
        var byte: UInt8 = 1
        return send(descriptor, &byte, 1, Int32(MSG_NOSIGNAL)) == 1 && recv(descriptor, &byte, 1, 0) == 1
    }

    /// Sends each client's bytes back, until the listener is shut down.
    static func echo(_ listener: CInt) {
        while true {
            let client = accept(listener, nil, nil)
            guard client >= 0 else { break }
            var byte: UInt8 = 0
            while recv(client, &byte, 1, 0) == 1, send(client, &byte, 1, Int32(MSG_NOSIGNAL)) == 1 {}
            abort(client)
        }
        close(listener)
    }

    /// Closes with a reset: the port is free at once.
    static func abort(_ descriptor: CInt) {
        var linger = linger(l_onoff: 1, l_linger: 0)
        setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &linger, socklen_t(MemoryLayout<Glibc.linger>.size))
        close(descriptor)
    }

    private static func withAddress(
        _ endpoint: IPEndpoint, _ body: (UnsafePointer<sockaddr>, socklen_t) -> CInt
    ) -> CInt {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = endpoint.port.bigEndian
        withUnsafeMutableBytes(of: &address.sin_addr) { $0.copyBytes(from: endpoint.address.bytes) }
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
        }
    }
}

/// The plan of a cluster, of objects that are read already.
struct CompileBenchmark: Benchmark {
    let pods: Int
    var name: String { "compile \(pods) pods, \(pods / 5) policies" }
    var unit: Unit { .seconds }

    func measure() async throws -> Double {
        let dump = ClusterDump(pods: pods, namespaces: pods / 50, policies: pods / 5)
        var (planner, resources, mesh) = try DumpLab.planner(dump.yaml)
        let started = ContinuousClock.now
        let plan = planner.plan(resources: resources, mesh: mesh).0
        return withExtendedLifetime(plan) { (ContinuousClock.now - started) / .seconds(1) }
    }
}
