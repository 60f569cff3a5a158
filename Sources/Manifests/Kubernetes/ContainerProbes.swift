/// What the kubelet asks of a container, as far as the proxy's agent answers in its place.
package struct ContainerProbe: Sendable, Equatable {
    package var port: UInt16
    /// nil: a connection is enough.
    package var path: String?

    package init(port: UInt16, path: String? = nil) { (self.port, self.path) = (port, path) }
}

/// A container's probes.
package struct ContainerProbes: Sendable, Equatable {
    package var readiness: ContainerProbe?
    package var liveness: ContainerProbe?
    package var startup: ContainerProbe?

    package init() {}

    /// Reads the probes of a container with these ports; those that run a program or speak gRPC are not answered for.
    init(reading field: FieldReader, ports: [Container.Port]) {
        func probe(_ name: String) -> ContainerProbe? {
            let handler = field[name]?["httpGet"] ?? field[name]?["tcpSocket"]
            guard let handler, let text = handler["port"]?.node.text else { return nil }
            guard let port = UInt16(text) ?? ports.first(where: { $0.name == text })?.number else { return nil }
            let isHTTP = field[name]?["httpGet"] != nil
            return ContainerProbe(port: port, path: isHTTP ? handler["path"]?.node.text ?? "/" : nil)
        }
        readiness = probe("readinessProbe")
        liveness = probe("livenessProbe")
        startup = probe("startupProbe")
    }
}
