import Manifests
import NetworkAddresses
import ProxyModel

/// Makes a sidecar's outbound listeners and says which host tables they need (outbound.md §2).
struct ListenerPass {
    /// Where a service port listens.
    private enum Binding: Hashable {
        case wildcard
        case address(IPAddress)
    }

    private struct Key: Hashable {
        var binding: Binding
        var port: UInt16
    }

    /// What `listeners()` gives.
    struct Result {
        var listeners: [Listener] = []
        /// Ports whose wildcard listener speaks HTTP.
        var tablePorts: Set<UInt16> = []
        /// Sniffed ports bound to an address, with the name of their table.
        var sniffed: [(name: String, service: RegistryService, port: RegistryService.Port)] = []
    }

    let context: ProxyContext
    private var drafts: [Key: ListenerDraft] = [:]
    private var result = Result()
    private let chains: TCPChainPass

    init(context: ProxyContext) {
        self.context = context
        chains = TCPChainPass(context: context)
    }

    mutating func listeners() -> Result {
        for service in context.scope.services {
            for port in service.ports { add(service, port) }
        }
        if context.isIstio10 { addIstio10Wildcards() }
        let ordered = drafts.sorted { a, b in
            (a.key.port, a.value.address) < (b.key.port, b.value.address)
        }
        result.listeners = [virtualOutbound()] + ordered.map { finished($0.value, key: $0.key) }
        return result
    }

    // MARK: Adding services

    private mutating func add(_ service: RegistryService, _ port: RegistryService.Port) {
        switch port.protocol {
        case .udp: return
        case .http, .http2, .grpc, .grpcWeb: addHTTP(service, port, binding: .wildcard, table: "\(port.number)")
        default: addTCP(service, port)
        }
    }

    private mutating func addTCP(_ service: RegistryService, _ port: RegistryService.Port) {
        if service.resolution == .headless {
            // The client dials a pod: one listener for each, so that unknown addresses stay unknown.
            let pods = port.endpoints.compactMap { IPAddress($0.host) }.filter { context.families.contains($0.family) }
            for pod in Set(pods).sorted() { addBound(service, port, to: pod) }
            return
        }
        let usable = service.addresses.filter { context.families.contains($0.family) }
        if service.addresses.isEmpty {
            addChains(chains.chains(for: service, port, at: .anywhere), service, port, binding: .wildcard)
            if port.protocol == .unspecified {
                addHTTP(service, port, binding: .wildcard, table: "\(port.number)")
            }
            return
        }
        for address in usable where address.isHost { addBound(service, port, to: address.address) }
        let blocks = usable.filter { !$0.isHost }
        if !blocks.isEmpty {
            addChains(chains.chains(for: service, port, at: .blocks(blocks)), service, port, binding: .wildcard)
            if port.protocol == .unspecified {
                addHTTP(service, port, binding: .wildcard, table: "\(port.number)")
            }
        }
    }

    private mutating func addBound(_ service: RegistryService, _ port: RegistryService.Port, to address: IPAddress) {
        let binding = Binding.address(address)
        guard addChains(chains.chains(for: service, port, at: .address), service, port, binding: binding),
            port.protocol == .unspecified
        else { return }
        let table = "\(service.hostname):\(port.number)"
        addHTTP(service, port, binding: binding, table: table)
        if !result.sniffed.contains(where: { $0.name == table }) { result.sniffed.append((table, service, port)) }
    }

    private mutating func addHTTP(
        _ service: RegistryService, _ port: RegistryService.Port, binding: Binding, table: String
    ) {
        guard var draft = draft(binding, port, of: service) else { return }
        // Istio 1.0 could not tell protocols apart, so HTTP shared a listener with nothing else.
        if draft.exclusiveProtocol != nil || (context.isIstio10 && !draft.chains.isEmpty) {
            return dropped(service, port, from: draft)
        }
        if draft.http == nil {
            draft.http = ListenerDraft.HTTPSide(routeConfiguration: table, origin: port.origin)
        }
        if service.resolution == .dynamicDNS { draft.http?.resolvesHosts = true }
        if binding == .wildcard { result.tablePorts.insert(port.number) }
        drafts[Key(binding: binding, port: port.number)] = draft
    }

    /// False when an older service keeps all that these chains would match.
    @discardableResult
    private mutating func addChains(
        _ added: [FilterChain], _ service: RegistryService, _ port: RegistryService.Port, binding: Binding
    ) -> Bool {
        guard var draft = draft(binding, port, of: service) else { return false }
        let isExclusive = [.mongo, .mysql].contains(port.protocol)
        let isEmpty = draft.http == nil && draft.chains.isEmpty
        let mixes = !isEmpty && (draft.exclusiveProtocol ?? port.protocol) != port.protocol
        if mixes || (isExclusive && !isEmpty && draft.exclusiveProtocol == nil)
            || (context.isIstio10 && draft.http != nil)
        {
            dropped(service, port, from: draft)
            return false
        }
        if isExclusive { draft.exclusiveProtocol = port.protocol }
        var isKept = false
        for chain in added {
            if let rest = draft.remainder(of: chain) {
                draft.chains.append(rest)
                isKept = true
            } else if !draft.chains.contains(where: { $0.filter == chain.filter }) {
                dropped(service, port, from: draft)
            }
        }
        drafts[Key(binding: binding, port: port.number)] = draft
        return isKept
    }

    private func draft(_ binding: Binding, _ port: RegistryService.Port, of service: RegistryService) -> ListenerDraft?
    {
        if let draft = drafts[Key(binding: binding, port: port.number)] { return draft }
        switch binding {
        case .wildcard:
            guard !context.reservedPorts.contains(port.number) else {
                context.diagnostics.warn(
                    "\(service.hostname): port \(port.number) belongs to the proxy, so the service gets no listener",
                    at: port.origin.location)
                return nil
            }
            return ListenerDraft(
                name: "\(context.families.wildcardName)_\(port.number)",
                addresses: context.families.wildcards(port.number), origin: port.origin)
        case .address(let address):
            let text = address.family == .ipv4 ? address.description : "[\(address)]"
            return ListenerDraft(
                name: "\(text)_\(port.number)", addresses: [IPEndpoint(address, port.number)], origin: port.origin)
        }
    }

    private func dropped(_ service: RegistryService, _ port: RegistryService.Port, from draft: ListenerDraft) {
        context.diagnostics.warn(
            "\(service.hostname):\(port.number) (\(port.origin)) conflicts on listener \(draft.name) with the older "
                + "\(draft.origin), which keeps it",
            remedy: "give one of them another port, or addresses of its own", at: port.origin.location)
    }

    // MARK: Istio 1.0

    /// Port 80 always had HTTP services (the control plane's, the gateway's), and a ServiceEntry on a port closed it
    /// for everyone else even under ALLOW_ANY.
    private mutating func addIstio10Wildcards() {
        let key80 = Key(binding: .wildcard, port: 80)
        if drafts[key80] == nil {
            let origin = Origin(
                kind: "Service", namespace: context.mesh.rootNamespace ?? "istio-system", name: "istio-ingressgateway",
                location: SourceLocation(file: "built-in"))
            drafts[key80] = ListenerDraft(
                name: "\(context.families.wildcardName)_80", addresses: context.families.wildcards(80),
                http: ListenerDraft.HTTPSide(routeConfiguration: "80", origin: origin), origin: origin)
            result.tablePorts.insert(80)
        }
        guard context.policy.mode == .allowAny else { return }
        for service in context.scope.services where !service.isKubernetes {
            for port in service.ports where port.protocol != .udp {
                let key = Key(binding: .wildcard, port: port.number)
                if drafts[key] == nil { drafts[key] = draft(.wildcard, port, of: service) }
            }
        }
    }

    // MARK: Finishing

    private func finished(_ draft: ListenerDraft, key: Key) -> Listener {
        var listener = Listener(
            name: draft.name, addresses: draft.addresses, trafficDirection: .outbound,
            origin: draft.origin.description)
        var all: [FilterChain] = []
        if let http = draft.http {
            // Istio 1.0 took every byte for HTTP and answered the rest with 400; it is closed here, so that what is
            // blocked shows as blocked. HTTP/1.0 still gets its 426.
            let match = FilterChainMatch(
                transportProtocol: .rawBuffer,
                applicationProtocols: (context.isIstio10 ? ["http/1.0"] : []) + ["http/1.1", "h2c"])
            var manager = HTTPConnectionManager(
                statPrefix: "outbound_\(draft.name)", routeConfiguration: http.routeConfiguration,
                serverHeader: context.mesh.proxyHeaders.serverDisabled == true ? .passThrough : .overwrite,
                generatesRequestID: context.mesh.proxyHeaders.requestIDDisabled != true,
                propagatesDecorator: context.isIstio10)
            if http.resolvesHosts { manager.hasDynamicForwardProxy = true }
            all.append(
                FilterChain(
                    name: "\(draft.name)_http", match: match, filter: .httpConnectionManager(manager),
                    origin: http.origin.description))
            listener.listenerFilters.append(.httpInspector)
        }
        all += draft.chains
        if draft.chains.contains(where: { !$0.match.serverNames.isEmpty }) {
            // First, so that the HTTP inspector does not wait on what is TLS.
            listener.listenerFilters.insert(.tlsInspector, at: 0)
        }
        // Envoy does not go back when a later criterion fails, so a chain for everything works only as the default.
        let everything = all.firstIndex { $0.match == FilterChainMatch() }
        if let everything, all.count > 1 {
            listener.defaultFilterChain = all.remove(at: everything)
        } else if everything == nil, !context.isIstio10 {
            listener.defaultFilterChain = policyChain(name: "PassthroughFilterChain")
        }
        listener.filterChains = all
        return listener
    }

    private func virtualOutbound() -> Listener {
        Listener(
            name: "virtualOutbound", addresses: context.families.wildcards(context.outboundPort),
            trafficDirection: .outbound, bindToPort: true, useOriginalDestination: true,
            filterChains: [
                FilterChain(
                    name: "virtualOutbound-trafficloop",
                    match: FilterChainMatch(destinationPort: context.outboundPort),
                    filter: .tcpProxy(TCPProxy(cluster: ClusterName.blackHole)), isLogged: false)
            ],
            defaultFilterChain: policyChain(name: "virtualOutbound-catchall-tcp"))
    }

    private func policyChain(name: String) -> FilterChain {
        FilterChain(
            name: name, filter: .tcpProxy(TCPProxy(cluster: context.policy.clusterName)),
            origin: context.policy.origin)
    }
}
