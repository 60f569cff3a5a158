package import ProxyModel

/// The files of dynamic configuration, version-numbered, for `EnvoyBootstrap.Resources.files`.
///
/// Each is put in force by renaming a finished file to its name. Write secrets, clusters, routes and then listeners;
/// take secrets and routes away after the listeners and clusters that no longer name them.
package struct EnvoyResourceFiles: Sendable {
    static let listenerFile = "lds.json"
    static let clusterFile = "cds.json"

    /// File names are relative to the directory; contents are `{version_info, resources}`.
    package let listeners: (name: String, content: String)
    package let clusters: (name: String, content: String)
    /// One for each route configuration, as Envoy wants them.
    package let routes: [(routeConfiguration: String, name: String, content: String)]
    /// One for each secret that contexts name, private keys included; one that the configuration lacks has an empty
    /// file, and connections that need it are refused.
    package let secrets: [(secret: String, name: String, content: String)]

    /// Raising a cluster's number in `policyGenerations` changes it: Envoy makes it anew, closes its kept connections,
    /// forgets its hosts and asks for their names.
    package init(
        _ configuration: ProxyConfiguration, version: String, directory: String, policyGenerations: [String: Int] = [:]
    ) throws(EnvoyRenderingError) {
        let all = try EnvoyResources(configuration, directory: directory, policyGenerations: policyGenerations)
        func content(_ type: String, _ resources: [JSON]) -> String {
            let body: JSON = [
                "version_info": .string(version), "resources": .array(resources.map { .typed(type, $0) }),
            ]
            return body.text + "\n"
        }
        listeners = (Self.listenerFile, content("envoy.config.listener.v3.Listener", all.listeners))
        clusters = (Self.clusterFile, content("envoy.config.cluster.v3.Cluster", all.clusters))
        routes = all.routes.map { name, table in
            (name, EnvoyResources.routeFile(name), content("envoy.config.route.v3.RouteConfiguration", [table]))
        }
        secrets = all.secrets.map { name, secret in
            let type = "envoy.extensions.transport_sockets.tls.v3.Secret"
            return (name, EnvoyResources.secretFile(name), content(type, secret.map { [$0] } ?? []))
        }
    }
}
