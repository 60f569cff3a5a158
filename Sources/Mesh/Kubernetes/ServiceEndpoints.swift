import Manifests
import NetworkAddresses

/// Finds what is behind Services: the pods that they select, or what EndpointSlices and Endpoints say by hand.
struct ServiceEndpoints {
    struct Found {
        var pods: [PodID] = []
        /// For each of the Service's ports, in their order.
        var ports: [[IPEndpoint]]
        var addresses: [IPAddress] = []
        var hosts: [String: [IPAddress]] = [:]
    }

    private struct ServiceKey: Hashable {
        var namespace: String
        var name: String
    }

    private let pods: [ClusterPod]
    private let classes: PodClasses
    private var slices: [ServiceKey: [EndpointSlice]] = [:]

    init(resources: ResourceSet, pods: [ClusterPod]) {
        self.pods = pods
        classes = PodClasses(pods, includingHostNetwork: true)
        for slice in resources.resources(EndpointSlice.self) {
            guard let service = slice.service else { continue }
            slices[ServiceKey(namespace: slice.metadata.namespace, name: service), default: []].append(slice)
        }
    }

    func endpoints(of service: Service) -> Found {
        // What a live cluster's control plane wrote down for a selector is what the pods tell by themselves.
        let hasSelector = service.selector.map { !$0.isEmpty } ?? false
        return hasSelector ? selected(by: service) : listed(for: service)
    }

    // MARK: By selector

    private func selected(by service: Service) -> Found {
        let selector = service.selector ?? [:]
        let positions = classes.select(namespace: service.metadata.namespace) { labels in
            selector.allSatisfy { labels[$0.key] == $0.value }
        }
        let backends = positions.flatMap { classes.all[$0].pods }.sorted().map { pods[$0] }
        let ready = backends.filter { $0.isReady || service.publishesNotReadyAddresses }
        func addresses(_ pod: ClusterPod) -> [IPAddress] {
            pod.addresses.filter { service.families.contains($0.family) }
        }
        var found = Found(
            pods: backends.map(\.id),
            ports: service.ports.map { port in
                ready.flatMap { pod -> [IPEndpoint] in
                    guard let number = pod.number(of: port.targetPort, transport: port.transport) else { return [] }
                    return addresses(pod).map { IPEndpoint($0, number) }
                }
            }, addresses: ready.flatMap(addresses))
        for pod in ready {
            // The pod's name is known below that of the Service that it names itself.
            guard let host = pod.spec.hostname, pod.spec.subdomain.map({ $0 == service.metadata.name }) ?? true else {
                continue
            }
            found.hosts[host.lowercased(), default: []] += addresses(pod)
        }
        return found
    }

    // MARK: By hand

    private func listed(for service: Service) -> Found {
        let key = ServiceKey(namespace: service.metadata.namespace, name: service.metadata.name)
        let subsets = (slices[key] ?? []).flatMap(\.subsets)
        var found = Found(ports: Array(repeating: [], count: service.ports.count))
        for subset in subsets {
            for endpoint in subset.endpoints where endpoint.isReady || service.publishesNotReadyAddresses {
                let addresses = endpoint.addresses.filter { service.families.contains($0.family) }
                // Endpoints and the slices that mirror them say the same twice.
                found.addresses += addresses.filter { !found.addresses.contains($0) }
                if let host = endpoint.hostname?.lowercased() {
                    let known = found.hosts[host] ?? []
                    found.hosts[host] = known + addresses.filter { !known.contains($0) }
                }
                for (position, port) in service.ports.enumerated() {
                    for own in subset.ports where own.name == port.name && own.transport == port.transport {
                        for end in addresses.map({ IPEndpoint($0, own.number) })
                        where !found.ports[position].contains(end) {
                            found.ports[position].append(end)
                        }
                    }
                }
            }
        }
        return found
    }
}
