import Envoy
import Foundation
import Manifests
import Mesh
import NetworkAddresses
import ProxyModel
import TestSupport
import Testing

@Suite("Envoy takes what is rendered for it", .requiresEnvoy)
struct EnvoyValidationTests {
    @Test("with everything that a configuration can say")
    func everything() throws {
        #expect(try EnvoyValidation.complaint(about: EnvoyBootstrap(EnvoyFixture.sidecar).json) == nil)
    }

    @Test("with the oddest things that a configuration can say")
    func oddities() throws {
        let texts: [StringMatch] = [.exact(""), .prefix(""), .suffix(""), .regex(""), .present]
        let fields = texts.flatMap { text in
            [false, true].map { RouteMatch.Field(name: "x", match: text, inverted: $0) }
        }
        let routes = texts.map { text in
            Route(
                match: RouteMatch(
                    path: text, headers: fields, queryParameters: texts.map { .init(name: "q", match: $0) }),
                action: .forward(
                    ForwardAction(
                        clusters: [WeightedCluster(name: "none", weight: 0), WeightedCluster(name: "no", weight: 0)],
                        retries: RetryPolicy(retryOn: ["5xx"], numRetries: 0, baseIntervalMs: 0))))
        }
        let table = RouteConfiguration(
            name: "80", virtualHosts: [VirtualHost(name: "h", domains: ["*"], routes: routes)],
            ignoresPortInHost: false)
        let closed = Listener(
            name: "closed", addresses: [IPEndpoint(.anyIPv4, 81)], trafficDirection: .outbound)
        let log = AccessLogConfiguration(
            format: .json(["a": "%START_TIME(%Y%)% 5% 10%%", "b": "%REQ(X-A?:PATH):9%", "c": ""]))
        let configuration = EnvoyFixture.proxy(
            listeners: [EnvoyFixture.http, closed], routes: [table],
            clusters: [Cluster(name: "l", discovery: .logicalDNS), Cluster(name: "s", discovery: .strictDNS)],
            accessLogs: [log])
        #expect(try EnvoyValidation.complaint(about: EnvoyBootstrap(configuration).json) == nil)
    }

    @Test("for every sidecar of every scenario at every step")
    func scenarios() async throws {
        var bootstraps: [String: String] = [:]
        let files = try Self.scenarioFiles()
        #expect(!files.isEmpty)
        for file in files {
            let scenario = try #require(ScenarioReader.read(path: file).value, "\(file)")
            var planner = LabPlanner(scenario: scenario)
            for moment in ScenarioTimeline(scenario) {
                let (plan, _) = planner.plan(
                    resources: moment.resources, mesh: moment.mesh, restarted: moment.restarted.map(\.value))
                for pod in plan.pods {
                    guard var configuration = pod.proxy else { continue }
                    // Who a proxy is makes no difference to Envoy; most sidecars differ in nothing else.
                    configuration.node = EnvoyFixture.sidecar.node
                    let place = "\(file), \(moment.step?.name ?? "manifests"), pod \(pod.pod.id)"
                    let bootstrap = try EnvoyBootstrap(Self.withoutNode(configuration)).json
                    if bootstraps[bootstrap] == nil { bootstraps[bootstrap] = place }
                }
            }
        }
        let all = bootstraps.map(\.self)
        let halves = [all.prefix(all.count / 2), all.dropFirst(all.count / 2)]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for half in halves {
                group.addTask {
                    for (bootstrap, place) in half {
                        let complaint = try EnvoyValidation.complaint(about: bootstrap)
                        #expect(complaint == nil, "\(place)")
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Headers that name the pod would make each sidecar a different one.
    private static func withoutNode(_ configuration: ProxyConfiguration) -> ProxyConfiguration {
        var configuration = configuration
        for listener in configuration.listeners.indices {
            for chain in configuration.listeners[listener].filterChains.indices {
                guard
                    case .httpConnectionManager(var manager) = configuration.listeners[listener].filterChains[chain]
                        .filter
                else { continue }
                manager.requestHeadersToSet = manager.requestHeadersToSet.map { HeaderValue(name: $0.name, value: "v") }
                configuration.listeners[listener].filterChains[chain].filter = .httpConnectionManager(manager)
            }
        }
        return configuration
    }

    private static func scenarioFiles() throws -> [String] {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "scenarios")
        return try FileManager.default.subpathsOfDirectory(atPath: root.path).sorted()
            .map { root.appending(path: $0).path }
            .filter { path in
                path.hasSuffix(".yaml")
                    && (try? String(contentsOfFile: path, encoding: .utf8))?.contains("kind: Scenario\n") == true
            }
    }
}
