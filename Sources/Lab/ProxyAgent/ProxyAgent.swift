import Envoy
import Manifests
import Mesh
import NIOConcurrencyHelpers
import NIOCore
import NetworkAddresses
import Proxy
import ProxyModel

/// What stands beside a proxy in its container, as Istio's agent does: the proxy's administration interface, health and
/// metrics, on the ports that they have in a cluster. Pages are made when somebody asks for them.
///
/// Its sockets belong to the proxy's user, and live until the proxy is asked to quit.
final class ProxyAgent: Sendable {
    private let pod: RunningPod
    private let context: NamespaceContext
    private let loop: any EventLoop
    private let recorder: EvidenceRecorder
    private let channels = NIOLockedValueBox<[any Channel]>([])
    private let isDraining = NIOLockedValueBox(false)

    init(of pod: RunningPod, on loop: any EventLoop, recorder: EvidenceRecorder) {
        self.pod = pod
        self.loop = loop
        self.recorder = recorder
        context = pod.context(uid: pod.proxyOwner.uid, gid: pod.proxyOwner.gid)
    }

    /// Listens; what asks before the proxy works hears that it is not ready.
    func start() async throws {
        let everywhere: IPAddress =
            pod.plan.pod.addresses.contains { $0.family == .ipv6 } ? .anyIPv6 : .anyIPv4
        let ports: [(UInt16, IPAddress, @Sendable (AdminRequest) async -> AdminAnswer)] = [
            (LabConstants.adminPort, .loopbackIPv4, { [weak self] in await self?.administration($0) ?? Self.gone }),
            (LabConstants.statusPort, everywhere, { [weak self] in await self?.status($0) ?? Self.gone }),
            (LabConstants.healthPort, everywhere, { [weak self] in self?.health($0) ?? Self.gone }),
            (LabConstants.metricsPort, everywhere, { [weak self] in await self?.metrics($0) ?? Self.gone }),
        ]
        for (port, address, answer) in ports {
            let (recorder, site) = (recorder, Arrival.Site.pod("\(pod.id)"))
            do {
                let channel = try await PageServer.open(
                    at: IPEndpoint(address, port), in: context, on: loop,
                    taken: { stage, tuple, request in
                        // What a pod asks of itself is no traffic of the mesh.
                        guard tuple.source.address != tuple.destination.address else { return }
                        recorder.record(
                            Arrival(stage, at: site, tuple, method: request?.method, path: request?.target))
                    }, answer: answer)
                channels.withLockedValue { $0.append(channel) }
            } catch {
                // Two proxies on one node's own network can't both have them.
                guard pod.plan.pod.spec.hostNetwork else { throw error }
            }
        }
    }

    func close() {
        let open = channels.withLockedValue { channels in
            defer { channels = [] }
            return channels
        }
        for channel in open { channel.close(promise: nil) }
    }

    private static let gone = AdminAnswer(status: 503, "the proxy has ended\n")
    private static let notFound = AdminAnswer(status: 404, "404 page not found\n")

    // MARK: 15000

    private func administration(_ request: AdminRequest) async -> AdminAnswer {
        guard let proxy = pod.livingProxy else { return AdminAnswer(status: 503, "PRE_INITIALIZING\n") }
        if request.path == "/stats/prometheus" { return await metrics(request) }
        do {
            if let answer = try await proxy.admin(request) { return answer }
        } catch {
            return AdminAnswer(status: 503, "\(error)\n")
        }
        switch request.path {
        case "/config_dump": return configurationDump(request)
        case "/quitquitquit":
            if request.method != "POST" { return .postRequired(request.method) }
            quit()
            return AdminAnswer("OK\n")
        default: return Self.notFound
        }
    }

    private func configurationDump(_ request: AdminRequest) -> AdminAnswer {
        guard let configuration = pod.plan.proxy else { return Self.notFound }
        do {
            let dump = try EnvoyConfigDump(configuration)
            let pattern = try request.query["name_regex"].map { try Regex($0) }
            let resource = request.query["resource"]
            let text = dump.json(resource: resource) { name in
                pattern.map { (try? $0.wholeMatch(in: name)) != nil } ?? true
            }
            return text.map(AdminAnswer.json)
                ?? AdminAnswer(status: 404, "\(resource ?? "") not found in config dump")
        } catch {
            return AdminAnswer(status: 400, "\(error)\n")
        }
    }

    // MARK: 15020, 15021, 15090

    private func status(_ request: AdminRequest) async -> AdminAnswer {
        switch request.path {
        case "/healthz/ready": return health(request)
        case "/stats/prometheus", "/metrics":
            let application = await applicationMetrics()
            return AdminAnswer(type: Self.exposition, await ownMetrics(request) + agentMetrics + application)
        case "/debug/ndsz": return names
        case "/quitquitquit":
            if request.method != "POST" { return Self.methodNotAllowed }
            quit()
            return AdminAnswer("OK")
        case "/drain":
            if request.method != "POST" { return Self.methodNotAllowed }
            isDraining.withLockedValue { $0 = true }
            _ = try? await pod.livingProxy?.admin(
                AdminRequest(method: "POST", target: "/drain_listeners?graceful&inboundonly"))
            return AdminAnswer("OK")
        case _ where request.path.hasPrefix("/app-health/"): return await applicationHealth(request.path)
        default: return Self.notFound
        }
    }

    private static let methodNotAllowed = AdminAnswer(status: 405, "method not allowed\n")
    private static let exposition = "text/plain; version=0.0.4; charset=utf-8"

    private func health(_ request: AdminRequest) -> AdminAnswer {
        guard request.path == "/healthz/ready" else { return Self.notFound }
        let isReady = pod.livingProxy != nil && !isDraining.withLockedValue { $0 }
        return isReady ? AdminAnswer("") : AdminAnswer(status: 503, "the proxy is not ready\n")
    }

    private func metrics(_ request: AdminRequest) async -> AdminAnswer {
        guard request.path == "/stats/prometheus" else { return Self.notFound }
        return AdminAnswer(type: Self.exposition, await ownMetrics(request))
    }

    /// The proxy's statistics, and Istio's metrics with them, as where Envoy's `istio_stats` counts.
    private func ownMetrics(_ request: AdminRequest) async -> String {
        var target = "/stats/prometheus"
        if let query = request.target.firstIndex(of: "?") { target += request.target[query...] }
        let page = try? await pod.livingProxy?.admin(AdminRequest(target: target))
        return (page.flatMap(\.self)?.body ?? "") + (pod.metrics?.text ?? "")
    }

    private var agentMetrics: String {
        var text = PrometheusText()
        text.add("istio_build", .gauge, [("component", "proxy"), ("tag", "egress-lab")], "1")
        return text.text
    }

    /// Istio: `nds.NameTable`.
    private var names: AdminAnswer {
        guard let table = pod.plan.agent?.names else { return AdminAnswer(status: 404, "no DNS proxying\n") }
        let entries = table.entries.map { name, addresses in
            "\(JSONText.quoted(name)):{\"ips\":[\(addresses.map { "\"\($0)\"" }.joined(separator: ","))]}"
        }
        return .json("{\"table\":{\(entries.joined(separator: ","))}}")
    }

    // MARK: The application

    /// What `prometheus.io/…` annotations lead to, as Istio merges it.
    private func applicationMetrics() async -> String {
        let annotations = pod.plan.pod.annotations
        guard annotations["prometheus.io/scrape"]?.value == "true",
            let port = UInt16(annotations["prometheus.io/port"]?.value ?? "80")
        else { return "" }
        let answer = await ask(port, annotations["prometheus.io/path"]?.value ?? "/metrics")
        return answer.flatMap { $0.status == 200 ? $0.body : nil } ?? ""
    }

    /// `/app-health/CONTAINER/readyz`: what the kubelet's probe of the application would see.
    private func applicationHealth(_ path: String) async -> AdminAnswer {
        let parts = path.split(separator: "/").map(String.init)
        let container = parts.count == 3 ? pod.plan.pod.spec.containers.first { $0.name == parts[1] } : nil
        let probe: ContainerProbe? =
            switch parts.last {
            case "readyz": container?.probes.readiness
            case "livez": container?.probes.liveness
            case "startupz": container?.probes.startup
            default: nil
            }
        guard let probe else {
            return AdminAnswer(status: 404, "http: server does not have probe \(path)\n")
        }
        guard let answer = await ask(probe.port, probe.path ?? "/", isConnectOnly: probe.path == nil) else {
            return AdminAnswer(status: 500, "the application does not answer\n")
        }
        return AdminAnswer(status: answer.status, answer.body)
    }

    /// Asks the application over the pod's loopback.
    private func ask(_ port: UInt16, _ path: String, isConnectOnly: Bool = false) async -> AdminAnswer? {
        try? await LocalRequest.get(
            path, at: IPEndpoint(.loopbackIPv4, port), in: context, on: loop, isConnectOnly: isConnectOnly)
    }

    /// The proxy ends, as its container would, and with it all that stands beside it.
    private func quit() {
        guard let proxy = pod.quit() else { return }
        // After the answer.
        loop.execute {
            Task {
                await proxy.stop()
                self.close()
            }
        }
    }
}
