import Envoy
import Foundation
import NIOCore
import NIOPosix
import Netlink
import NetworkAddresses
import Proxy
import ProxyModel
import TestSupport
import Testing

/// Conversations byte for byte, with what Envoy makes of them: requests and answers in every form, the forms that
/// smuggle and split among them.
///
/// `EGRESS_LAB_RECORD=1` has Envoy write what the cases expect.
@Suite(.serialized)
struct RawHTTPTests {
    static let groups = [
        "client-hello", "connection", "expect", "fields", "forwarding", "framing", "host", "inspection", "limits",
        "methods",
        "pipelining", "replies", "request-line", "responses", "retries", "smuggling-requests", "smuggling-responses",
        "targets", "upgrades", "upstreams", "versions",
    ]

    private static var records: Bool {
        let environment = ProcessInfo.processInfo.environment
        return environment["EGRESS_LAB_RECORD"] == "1" && environment["CI"] == nil
    }

    private struct Inside: NetworkContext {
        let namespace: NetworkNamespace
        func enter<T>(_ body: () throws -> T) throws -> T { try namespace.enter(body) }
    }

    private struct NoNames: HostResolver {
        struct NoSuchName: Error {}
        func resolve(
            _ host: String, families: [IPFamily], on loop: any EventLoop
        ) -> EventLoopFuture<HostResolution> { loop.makeFailedFuture(NoSuchName()) }
    }

    @Test("the bundled proxy answers, forwards, refuses and logs as Envoy does", .requiresRoot)
    func bundled() async throws {
        let configuration = RawConfiguration(basePort: 9000)
        let namespace = try withScratchNamespace { $0 }
        let events = Collector<ProxyEvent>()
        let proxy = BundledProxy(
            configuration: configuration.configuration, context: Inside(namespace: namespace), resolver: NoNames(),
            group: MultiThreadedEventLoopGroup.singleton
        ) { events.add($0) }
        try await proxy.start()
        try await Self.compare(configuration, namespace, events, isEnvoy: false)
        await proxy.stop()
    }

    @Test("what the cases expect is what Envoy does", .requiresRoot, .requiresEnvoy)
    func envoy() async throws {
        let configuration = RawConfiguration(basePort: 9000)
        let namespace = try withScratchNamespace { $0 }
        let events = Collector<ProxyEvent>()
        let directory = FileManager.default.temporaryDirectory.appending(path: "raw-\(UUID().uuidString.prefix(8))")
        defer { try? FileManager.default.removeItem(at: directory) }
        let proxy = EnvoyDataPlane(
            configuration: configuration.configuration, executable: try EnvoyLocator().find(),
            directory: directory.path, namespace: namespace, uid: 1337, gid: 1337,
            group: MultiThreadedEventLoopGroup.singleton
        ) { events.add($0) }
        do {
            try await proxy.start()
            try await Self.compare(configuration, namespace, events, isEnvoy: true)
        } catch {
            await proxy.stop()
            throw error
        }
        await proxy.stop()
    }

    private static func compare(
        _ configuration: RawConfiguration, _ namespace: NetworkNamespace, _ events: Collector<ProxyEvent>,
        isEnvoy: Bool
    ) async throws {
        let proxy = try RawProxy(
            configuration, events: events, connect: { to in try namespace.enter { try BlockingSocket.connect(to: to) } }
        ) { at in try namespace.enter { try BlockingSocket.listen(at: at) } }
        let silent = try namespace.enter { try BlockingSocket.listen(at: configuration.silent, backlog: 0) }
        let fillers = try namespace.enter {
            try (0..<4).map { _ in try BlockingSocket.beginConnecting(to: configuration.silent) }
        }
        for group in groups {
            let cases = try RawCase.read(group)
            #expect(!cases.isEmpty, "no cases in \(group)")
            let outcomes = await proxy.outcomes(of: cases, records: isEnvoy && records)
            if isEnvoy, records {
                try RawCase.write(Array(zip(cases, outcomes)), as: group)
                continue
            }
            for (one, outcome) in zip(cases, outcomes) where one.expected != outcome {
                let difference = Golden.difference(
                    from: one.expected.joined(separator: "\n"), to: outcome.joined(separator: "\n"))
                Issue.record("\(group)/\(one.name) (- Envoy, + now)\n\(difference)")
            }
        }
        withExtendedLifetime((silent, fillers)) {}
    }
}
