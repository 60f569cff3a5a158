package import NetworkAddresses

/// `discovery.k8s.io/v1/EndpointSlice`, or the older `v1/Endpoints`: where a Service without selector leads.
package struct EndpointSlice: Resource, Equatable {
    /// One destination.
    package struct Endpoint: Sendable, Equatable {
        package var addresses: [IPAddress]
        package var isReady: Bool
        package var hostname: String?
        package var nodeName: String?

        package init(
            addresses: [IPAddress], isReady: Bool = true, hostname: String? = nil, nodeName: String? = nil
        ) {
            self.addresses = addresses
            self.isReady = isReady
            self.hostname = hostname
            self.nodeName = nodeName
        }
    }

    /// A port that all of the endpoints have; it belongs to the Service's port of the same name.
    package struct Port: Sendable, Equatable {
        package var name: String
        package var number: UInt16
        package var transport: IPProtocol

        package init(name: String = "", number: UInt16, transport: IPProtocol = .tcp) {
            self.name = name
            self.number = number
            self.transport = transport
        }
    }

    /// Endpoints that all have the same ports.
    package struct Subset: Sendable, Equatable {
        package var endpoints: [Endpoint]
        package var ports: [Port]

        package init(endpoints: [Endpoint], ports: [Port]) {
            self.endpoints = endpoints
            self.ports = ports
        }
    }

    package static let kind = "EndpointSlice"
    /// The older kind, whose objects have the names of their Services.
    package static let olderKind = "Endpoints"
    /// The label that names a slice's Service.
    static let serviceLabel = "kubernetes.io/service-name"

    package var metadata: ObjectMeta
    package var isOlderKind: Bool
    /// The name of the Service, in the namespace of the slice; nil: it belongs to none.
    package var service: String?
    /// One in a slice; any number in the older kind.
    package var subsets: [Subset]

    package init(metadata: ObjectMeta, isOlderKind: Bool = false, service: String?, subsets: [Subset] = []) {
        self.metadata = metadata
        self.isOlderKind = isOlderKind
        self.service = service
        self.subsets = subsets
    }

    package var id: ResourceID {
        let kind = isOlderKind ? Self.olderKind : Self.kind
        return ResourceID(kind: kind, namespace: metadata.namespace, name: metadata.name)
    }
}
