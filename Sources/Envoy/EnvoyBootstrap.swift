package import ProxyModel

/// What an Envoy process starts with: `config.bootstrap.v3.Bootstrap`.
package struct EnvoyBootstrap: Sendable {
    /// Where listeners, clusters and routes are found.
    package enum Resources: Sendable, Equatable {
        /// In the bootstrap itself.
        case inline
        /// In the files that `EnvoyResourceFiles` makes, which Envoy reads again when they are replaced by renaming.
        case files(directory: String)
    }

    /// The bootstrap as JSON text, keys sorted, pretty printed.
    package let json: String

    /// `adminSocket` and `fenceSocket` are unix sockets that Envoy makes. A connection to the fence is closed at once
    /// and logged as `{"fence": true, …}` on the same stream as all records.
    package init(
        _ configuration: ProxyConfiguration, resources: Resources = .inline, adminSocket: String? = nil,
        fenceSocket: String? = nil
    ) throws(EnvoyRenderingError) {
        var listeners: [JSON] = []
        var clusters: [JSON] = []
        var secrets: [JSON] = []
        var dynamic: JSON?
        switch resources {
        case .inline:
            let all = try EnvoyResources(configuration, directory: nil, policyGenerations: [:])
            (listeners, clusters) = (all.listeners, all.clusters)
            secrets = all.secrets.compactMap(\.secret)
            if secrets.count < all.secrets.count { clusters.append(SecretSource.agentClusterResource) }
        case .files(let directory):
            dynamic = [
                "lds_config": .file("\(directory)/\(EnvoyResourceFiles.listenerFile)"),
                "cds_config": .file("\(directory)/\(EnvoyResourceFiles.clusterFile)"),
            ]
        }
        if let fenceSocket { listeners.append(ListenerRendering.fence(socket: fenceSocket)) }
        let bootstrap: JSON = [
            "node": Self.node(configuration.node),
            "admin": adminSocket.map { ["address": .pipe($0)] },
            "static_resources": [
                "listeners": listeners.isEmpty ? nil : .array(listeners),
                "clusters": clusters.isEmpty ? nil : .array(clusters),
                "secrets": secrets.isEmpty ? nil : .array(secrets),
            ],
            "dynamic_resources": dynamic,
            "typed_dns_resolver_config": ClusterRendering.resolver(configuration.nameservers),
            "stats_config": Self.statistics,
            "overload_manager": Self.overloadManager,
        ]
        json = bootstrap.text + "\n"
    }

    static func node(_ node: ProxyNode) -> JSON {
        [
            "id": .string(node.id),
            "cluster": .string("\(node.workload).\(node.namespace)"),
            "metadata": [
                "NAME": .string(node.pod), "NAMESPACE": .string(node.namespace),
                "WORKLOAD_NAME": .string(node.workload), "SERVICE_ACCOUNT": .string(node.serviceAccount),
                "LABELS": .object(node.labels.mapValues(JSON.string)),
            ],
        ]
    }

    /// Envoy's own tag for clusters cuts their names at the first dot.
    private static let statistics: JSON = [
        "use_all_default_tags": false,
        "stats_tags": [["tag_name": "cluster_name", "regex": #"^cluster\.((.+?);\.)"#]],
    ]

    /// Without a limit to all connections, Envoy warns at every start.
    private static let overloadManager: JSON = [
        "resource_monitors": [
            [
                "name": "envoy.resource_monitors.global_downstream_max_connections",
                "typed_config": .typed(
                    "envoy.extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
                    ["max_active_downstream_connections": 1_000_000]),
            ]
        ]
    ]
}
