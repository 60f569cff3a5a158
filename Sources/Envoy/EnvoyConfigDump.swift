package import ProxyModel

/// A configuration as Envoy's `/config_dump` would show it: `admin.v3.ConfigDump`.
package struct EnvoyConfigDump: Sendable {
    /// A list of it that `?resource=` names.
    private struct Part {
        let resource: String
        let dump: String
        let elements: [JSON]
    }

    private let bootstrap: JSON
    private let parts: [Part]

    package init(_ configuration: ProxyConfiguration) throws(EnvoyRenderingError) {
        let all = try EnvoyResources(configuration, directory: "/etc/istio/proxy", policyGenerations: [:])
        bootstrap = ["node": EnvoyBootstrap.node(configuration.node)]
        parts = [
            Part(
                resource: "dynamic_active_clusters", dump: "Clusters",
                elements: all.clusters.map { ["cluster": .typed("envoy.config.cluster.v3.Cluster", $0)] }),
            Part(
                resource: "dynamic_listeners", dump: "Listeners",
                elements: all.listeners.map { listener in
                    [
                        "name": listener["name"],
                        "active_state": ["listener": .typed("envoy.config.listener.v3.Listener", listener)],
                    ]
                }),
            Part(resource: "dynamic_scoped_route_configs", dump: "ScopedRoutes", elements: []),
            Part(
                resource: "dynamic_route_configs", dump: "Routes",
                elements: all.routes.map { _, table in
                    ["route_config": .typed("envoy.config.route.v3.RouteConfiguration", table)]
                }),
            Part(
                resource: "dynamic_active_secrets", dump: "Secrets",
                elements: (configuration.secrets ?? []).map { secret in
                    [
                        "name": .string(secret.name),
                        "secret": .typed(
                            "envoy.extensions.transport_sockets.tls.v3.Secret",
                            SecretRendering.secret(secret.withoutKey)),
                    ]
                }),
        ]
    }

    /// The dump as JSON text: whole, or the elements of one list; nil where no list is called so.
    ///
    /// - Parameter isChosen: by the element's name.
    package func json(resource: String? = nil, where isChosen: (String) -> Bool = { _ in true }) -> String? {
        func chosen(_ part: Part) -> [JSON] { part.elements.filter { isChosen(Self.name(of: $0)) } }
        let configs: [JSON]
        if let resource {
            guard let part = parts.first(where: { $0.resource == resource }) else { return nil }
            let kind = "envoy.admin.v3.\(part.dump)ConfigDump.Dynamic\(part.dump.dropLast())"
            configs = chosen(part).map { .typed(kind, $0) }
        } else {
            configs =
                [.typed("envoy.admin.v3.BootstrapConfigDump", ["bootstrap": bootstrap])]
                + parts.map { part in
                    let elements = chosen(part)
                    return .typed(
                        "envoy.admin.v3.\(part.dump)ConfigDump",
                        elements.isEmpty ? [:] : .object([part.resource: .array(elements)]))
                }
        }
        let dump: JSON = ["configs": configs.isEmpty ? nil : .array(configs)]
        return dump.text
    }

    private static func name(of element: JSON) -> String {
        guard case .object(let members) = element else { return "" }
        if case .string(let name)? = members["name"] { return name }
        for value in members.values { if case .string(let name)? = value["name"] { return name } }
        return ""
    }
}

extension ProxySecret {
    /// As Envoy shows secrets.
    fileprivate var withoutKey: ProxySecret {
        guard case .tlsCertificate(let chain, _) = content else { return self }
        return ProxySecret(name: name, content: .tlsCertificate(chain: chain, key: "[redacted]"))
    }
}

extension JSON {
    /// The member of an object.
    fileprivate subscript(_ key: String) -> JSON? {
        if case .object(let members) = self { members[key] } else { nil }
    }
}
