package import Manifests
package import NetworkAddresses
package import ProxyModel

/// Compiles Istio resources to the configuration of each sidecar and gateway, as the control plane would send it.
///
/// What depends only on namespace, Sidecar resource and the labels that rules ask about is compiled once and shared.
package struct ProxyCompiler {
    private let cluster: Cluster
    private let registry: ServiceRegistry
    /// As proxies with DNS capture see it.
    private let registryWithAllocatedAddresses: ServiceRegistry
    private let virtualServices: [VirtualService]
    private let destinationRules: DestinationRuleIndex
    private let sidecars: [Sidecar]
    private let gateways: [Gateway]
    private let resources: ResourceSet
    /// Where rules name files of certificates and keys.
    private let namedFiles: [String: SourceLocation]
    /// Where DestinationRules name Secrets.
    private let namedCredentials: [String: SourceLocation]
    private let peerAuthentication: PeerAuthenticationIndex
    private let authorization: AuthorizationIndex
    private let telemetry: TelemetryIndex
    private let servicesOfPod: [PodID: [ClusterService]]
    /// Label keys that any rule looks at; other labels can't change the outbound part.
    private let selectingKeys: Set<String>
    private let cache = OutboundCache()

    package init(cluster: Cluster, resources: ResourceSet) {
        self.cluster = cluster
        registry = ServiceRegistry(cluster: cluster, resources: resources)
        let capturesDNS = cluster.pods.contains { $0.capture?.capturesDNS == true }
        registryWithAllocatedAddresses = capturesDNS ? registry.withAllocatedAddresses : registry
        virtualServices = Delegation(resources).virtualServices
        sidecars = resources.resources(Sidecar.self)
        gateways = resources.resources(Gateway.self)
        self.resources = resources
        peerAuthentication = PeerAuthenticationIndex(
            resources.resources(PeerAuthentication.self), rootNamespace: cluster.rootNamespace)
        authorization = AuthorizationIndex(
            resources.resources(AuthorizationPolicy.self), rootNamespace: cluster.rootNamespace)
        telemetry = TelemetryIndex(resources.resources(Telemetry.self), rootNamespace: cluster.rootNamespace)
        let rules = resources.resources(DestinationRule.self)
        namedFiles = CertificateFiles.locations(rules, gateways)
        namedCredentials = CertificateFiles.credentials(rules)
        destinationRules = DestinationRuleIndex(rules, rootNamespace: cluster.rootNamespace)
        var selecting = Set(rules.flatMap { ($0.workloadSelector ?? [:]).keys })
        for rule in virtualServices {
            selecting.formUnion(rule.http.flatMap(\.match).flatMap(\.sourceLabels.keys))
            selecting.formUnion(rule.tls.flatMap(\.match).flatMap(\.sourceLabels.keys))
        }
        let audiences =
            virtualServices.map(\.audience) + resources.resources(ServiceEntry.self).map(\.audience)
        for member in audiences.flatMap({ $0?.members ?? [] }) { selecting.formUnion(member.labels.keys) }
        selectingKeys = selecting
        var byPod: [PodID: [ClusterService]] = [:]
        for service in cluster.services {
            for pod in service.pods { byPod[pod, default: []].append(service) }
        }
        servicesOfPod = byPod
    }

    /// The configuration of the pod's proxy, and what was found dubious on the way; pods that share a part repeat its
    /// diagnostics.
    package func configuration(for pod: ClusterPod, nameservers: [IPAddress]) -> (ProxyConfiguration, [Diagnostic]) {
        var (configuration, diagnostics) = pod.isRouter ? router(pod, nameservers) : sidecar(pod, nameservers)
        let secrets = SecretPass(resources, pod: pod).secrets(of: configuration)
        configuration.secrets = secrets.found.isEmpty ? nil : secrets.found
        if let mode = cluster.mesh.pathNormalization.flatMap(PathNormalizationMode.init) {
            for index in configuration.listeners.indices { configuration.listeners[index].setPathNormalization(mode) }
        }
        // Where the pod's own settings are known the mesh's are among them.
        let limit = pod.proxySettings.map(\.httpIdleTimeoutMs) ?? cluster.mesh.httpIdleTimeoutMs
        if let limit {
            for index in configuration.listeners.indices { configuration.listeners[index].setIdleTimeout(limit) }
        }
        diagnostics += secrets.missingFiles.map { missingFile($0, of: pod) }
        diagnostics += secrets.missingCredentials.compactMap { missingCredential($0.name, $0.problem, of: pod) }
        return (configuration, diagnostics)
    }

    /// Of those that a DestinationRule names; what servers of Gateways lack is told with the Gateways.
    private func missingCredential(
        _ name: String, _ problem: CredentialStore.Problem, of pod: ClusterPod
    ) -> Diagnostic? {
        guard let location = namedCredentials[name] else { return nil }
        return Diagnostic(
            .warning,
            "\(problem.text), so connections for which \(pod.origin.kind) \(pod.id.namespace)/\(pod.workload) "
                + "needs it fail",
            remedy: problem.remedy, at: location)
    }

    private func missingFile(_ path: String, of pod: ClusterPod) -> Diagnostic {
        Diagnostic(
            .warning,
            "the proxy of \(pod.origin.kind) \(pod.id.namespace)/\(pod.workload) has no file \(path), so connections "
                + "that need it fail",
            remedy: pod.isRouter
                ? "mount a Secret or ConfigMap with it in container istio-proxy"
                : "mount it with annotations sidecar.istio.io/userVolume and sidecar.istio.io/userVolumeMount",
            at: namedFiles[path])
    }

    // MARK: Gateways

    private func router(_ pod: ClusterPod, _ nameservers: [IPAddress]) -> (ProxyConfiguration, [Diagnostic]) {
        let diagnostics = DiagnosticCollector()
        let servers = GatewayServers(
            gateways: gateways, pod: pod, services: servicesOfPod[pod.id] ?? [], diagnostics: diagnostics)
        // A gateway has no outbound policy: it knows what its routes name and nothing else.
        let context = ProxyContext(
            namespace: pod.id.namespace, labels: pod.labels, gateways: servers.gatewayNames, isRouter: true,
            families: ProxyFamilies(pod), mesh: mesh(for: pod), capturePorts: [], outboundPort: 15001,
            isIstio10: cluster.compatibility == .istio10,
            policy: OutboundPolicy(mesh: cluster.mesh, sidecar: nil, isIstio10: false),
            scope: ProxyScope(
                namespace: pod.id.namespace, labels: pod.labels, gateways: servers.gatewayNames, sidecar: nil,
                registry: registry,
                virtualServices: virtualServices),
            destinationRules: destinationRules, diagnostics: diagnostics)
        let clusters = ClusterPass(context: context)
        let configuration = ProxyConfiguration(
            node: Self.node(of: pod),
            listeners: GatewayListenerPass(
                context: context, servers: servers, authorization: authorizationPass(for: pod, context)
            ).listeners(),
            routes: GatewayRoutePass(context: context, servers: servers).tables(),
            clusters: clusters.builtIn() + clusters.outbound()
                + (servers.hasAutoPassthrough ? clusters.byServerName() : []),
            accessLogs: accessLogPass(for: pod, context).configurations().outbound,
            nameservers: nameservers.map { IPEndpoint($0, 53) })
        return (configuration, registry.diagnostics + diagnostics.all)
    }

    // MARK: Sidecars

    private func sidecar(_ pod: ClusterPod, _ nameservers: [IPAddress]) -> (ProxyConfiguration, [Diagnostic]) {
        let outbound = outbound(for: pod)
        var context = outbound.context
        context.diagnostics = DiagnosticCollector()
        let inbound = InboundPass(
            pod: pod, services: servicesOfPod[pod.id] ?? [],
            selection: ProtocolSelection(isSniffing: !context.isIstio10), context: context,
            inboundPort: pod.capture?.inboundPort ?? 15006, peerAuthentication: peerAuthentication,
            trustDomain: cluster.trustDomain, authorization: authorizationPass(for: pod, context)
        ).configuration()
        let accessLogs = accessLogPass(for: pod, context).configurations()

        let node = Self.node(of: pod)
        var listeners = outbound.listeners
        if !context.isIstio10 {
            let metadata = PeerMetadata(
                node: node, addresses: pod.addresses.map(\.description), workloadKind: pod.workloadKind)
            let headers = metadata.headers
            for index in listeners.indices {
                listeners[index].setRequestHeaders(headers, unless: outbound.externalTables.contains)
            }
        }
        var configuration = ProxyConfiguration(
            node: node, listeners: listeners + [inbound.listener], routes: outbound.routes + inbound.routes,
            clusters: outbound.clusters + inbound.clusters, accessLogs: accessLogs.outbound,
            nameservers: nameservers.map { IPEndpoint($0, 53) })
        configuration.inboundAccessLogs = accessLogs.inbound
        return (configuration, registry.diagnostics + outbound.diagnostics + context.diagnostics.all)
    }

    private func accessLogPass(for pod: ClusterPod, _ context: ProxyContext) -> AccessLogPass {
        AccessLogPass(
            mesh: cluster.mesh,
            telemetry: telemetry.accessLogging(namespace: pod.id.namespace, labels: pod.labels),
            isIstio10: context.isIstio10, diagnostics: context.diagnostics)
    }

    private func authorizationPass(for pod: ClusterPod, _ context: ProxyContext) -> AuthorizationPass {
        AuthorizationPass(
            authorization, pod: pod, mesh: cluster.mesh,
            trustDomains: [cluster.trustDomain] + (cluster.mesh.trustDomainAliases ?? []), scope: context.scope,
            diagnostics: context.diagnostics)
    }

    /// What the pod's DNS agent answers itself; nil without DNS capture.
    package func names(for pod: ClusterPod) -> NameTable? {
        pod.hasSidecar ? outbound(for: pod).names : nil
    }

    private func outbound(for pod: ClusterPod) -> OutboundPart {
        let sidecar = sidecar(for: pod)
        let capturePorts: Set = [pod.capture?.outboundPort ?? 15001, pod.capture?.inboundPort ?? 15006]
        let key = OutboundCache.Key(
            namespace: pod.id.namespace, labels: pod.labels.filter { selectingKeys.contains($0.key) },
            families: ProxyFamilies(pod), sidecar: sidecar?.id, outboundPort: pod.capture?.outboundPort ?? 15001,
            capturePorts: capturePorts, capturesDNS: pod.capture?.capturesDNS ?? false,
            headers: pod.proxySettings?.headers ?? cluster.mesh.proxyHeaders)
        return cache.part(for: key) {
            let isIstio10 = cluster.compatibility == .istio10
            let context = ProxyContext(
                namespace: key.namespace, labels: key.labels, families: key.families, mesh: mesh(for: pod),
                capturePorts: capturePorts, outboundPort: key.outboundPort, isIstio10: isIstio10,
                policy: OutboundPolicy(mesh: cluster.mesh, sidecar: sidecar, isIstio10: isIstio10),
                scope: ProxyScope(
                    namespace: key.namespace, labels: key.labels, sidecar: sidecar,
                    registry: key.capturesDNS ? registryWithAllocatedAddresses : registry,
                    virtualServices: virtualServices),
                destinationRules: destinationRules, diagnostics: DiagnosticCollector())
            return OutboundPart(context, capturesDNS: key.capturesDNS)
        }
    }

    /// The mesh configuration as the pod's proxy was started with it.
    private func mesh(for pod: ClusterPod) -> MeshConfig {
        var mesh = cluster.mesh
        mesh.proxyHeaders = pod.proxySettings?.headers ?? mesh.proxyHeaders
        return mesh
    }

    /// The oldest in the pod's namespace that selects it, else that without selector, else the root namespace's.
    private func sidecar(for pod: ClusterPod) -> Sidecar? {
        let own = sidecars.filter { $0.metadata.namespace == pod.id.namespace }
        return own.first { $0.workloadSelector.map { !$0.isEmpty && pod.labels.hasAll($0) } ?? false }
            ?? own.first(where: \.selectsAll)
            ?? sidecars.first { $0.metadata.namespace == cluster.rootNamespace && $0.selectsAll }
    }

    private static func node(of pod: ClusterPod) -> ProxyNode {
        let (name, namespace) = (pod.id.name, pod.id.namespace)
        let address = pod.addresses.first?.description ?? ""
        return ProxyNode(
            id: "\(pod.isRouter ? "router" : "sidecar")~\(address)~\(name).\(namespace)~\(namespace)"
                + ".svc.cluster.local", role: pod.isRouter ? .gateway : .sidecar,
            namespace: namespace, pod: name, workload: pod.workload, labels: pod.labels,
            serviceAccount: pod.spec.serviceAccountName)
    }
}

/// The outbound half of a configuration, but for what names the pod.
struct OutboundPart {
    let context: ProxyContext
    let listeners: [Listener]
    let routes: [RouteConfiguration]
    let clusters: [ProxyModel.Cluster]
    /// Tables whose requests must not tell who sent them, because some of them leave the mesh.
    let externalTables: Set<String>
    /// What a DNS agent answers; nil without DNS capture.
    let names: NameTable?
    let diagnostics: [Diagnostic]

    init(_ context: ProxyContext, capturesDNS: Bool) {
        self.context = context
        var listenerPass = ListenerPass(context: context)
        let found = listenerPass.listeners()
        let routePass = RoutePass(context: context)
        listeners = found.listeners
        routes =
            found.tablePorts.sorted().map { routePass.table(port: $0) }
            + found.sniffed.map { routePass.table(service: $0.service, port: $0.port, name: $0.name) }
        let clusterPass = ClusterPass(context: context)
        clusters = clusterPass.builtIn() + clusterPass.outbound()
        externalTables = Self.externalTables(context, routes)
        names =
            capturesDNS
            ? NameTable(services: context.scope.services, namespace: context.namespace, families: context.families)
            : nil
        Self.warnOfSharedHosts(context)
        diagnostics = context.diagnostics.all
    }

    private static func warnOfSharedHosts(_ context: ProxyContext) {
        var owners: [String: ScopedVirtualService] = [:]
        for service in context.scope.virtualServices where !service.rule.http.isEmpty {
            for (host, written) in zip(service.hosts, service.rule.hosts) {
                guard let owner = owners[host] else {
                    owners[host] = service
                    continue
                }
                guard owner.rule.id != service.rule.id else { continue }
                context.diagnostics.warn(
                    "\(service.rule.id): host \(host) already has routes from the older \(owner.rule.id), so these "
                        + "are not used by sidecars",
                    remedy: "put the rules into one VirtualService", at: written.location)
            }
        }
    }

    /// With `metadataExchangeHeaders.mode: IN_MESH`. The headers are a property of the whole table here, so a table
    /// with one external destination goes without them altogether.
    private static func externalTables(_ context: ProxyContext, _ routes: [RouteConfiguration]) -> Set<String> {
        guard context.mesh.proxyHeaders.metadataExchangeInMeshOnly == true else { return [] }
        let internalHosts = Set(context.scope.clusterServices.filter { !$0.isExternal }.map(\.hostname))
        return Set(
            routes.filter { table in
                table.virtualHosts.flatMap(\.routes).contains { route in
                    guard case .forward(let action) = route.action else { return false }
                    return action.clusters.contains { cluster in
                        let host = cluster.name.split(separator: "|", omittingEmptySubsequences: false).last
                        return !internalHosts.contains(host.map(String.init) ?? "")
                    }
                }
            }.map(\.name))
    }
}

/// Keeps outbound parts by what they depend on.
private final class OutboundCache {
    struct Key: Hashable {
        var namespace: String
        var labels: [String: String]
        var families: ProxyFamilies
        var sidecar: ResourceID?
        var outboundPort: UInt16
        var capturePorts: Set<UInt16>
        var capturesDNS: Bool
        var headers: MeshConfig.ProxyHeaders
    }

    private var parts: [Key: OutboundPart] = [:]

    func part(for key: Key, make: () -> OutboundPart) -> OutboundPart {
        if let part = parts[key] { return part }
        let part = make()
        parts[key] = part
        return part
    }
}

extension Sidecar {
    fileprivate var selectsAll: Bool { workloadSelector?.isEmpty ?? true }
}

extension Listener {
    fileprivate mutating func setPathNormalization(_ mode: PathNormalizationMode) {
        for index in filterChains.indices {
            guard case .httpConnectionManager(var manager) = filterChains[index].filter else { continue }
            manager.pathNormalization = mode
            filterChains[index].filter = .httpConnectionManager(manager)
        }
    }

    fileprivate mutating func setIdleTimeout(_ limitMs: Int) {
        for index in filterChains.indices {
            guard case .httpConnectionManager(var manager) = filterChains[index].filter else { continue }
            manager.idleTimeoutMs = limitMs
            filterChains[index].filter = .httpConnectionManager(manager)
        }
    }

    /// Gives the connection managers their request headers, except those whose table is excluded.
    fileprivate mutating func setRequestHeaders(_ headers: [HeaderValue], unless isExcluded: (String) -> Bool) {
        for index in filterChains.indices {
            guard case .httpConnectionManager(var manager) = filterChains[index].filter,
                !isExcluded(manager.routeConfiguration)
            else { continue }
            manager.requestHeadersToSet = headers
            filterChains[index].filter = .httpConnectionManager(manager)
        }
    }
}
