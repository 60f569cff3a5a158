import ProxyModel

/// Where contexts find the secrets that they name.
enum SecretSource {
    /// In the bootstrap itself; what is not there comes from Istio's agent, as in a real sidecar, and is waited for.
    case inline(available: Set<String>)
    /// Each in the file of that name.
    case files(path: @Sendable (String) -> String)

    /// Envoy: `SdsSecretConfig`.
    func reference(to name: String) -> JSON {
        switch self {
        case .inline(let available) where available.contains(name): ["name": .string(name)]
        case .inline: ["name": .string(name), "sds_config": Self.agent]
        case .files(let path): ["name": .string(name), "sds_config": .file(path(name))]
        }
    }

    private static let agentCluster = "sds-grpc"

    private static let agent: JSON = [
        "api_config_source": [
            "api_type": "GRPC", "transport_api_version": "V3", "set_node_on_first_message_only": true,
            "grpc_services": [["envoy_grpc": ["cluster_name": .string(agentCluster)]]],
        ],
        // Where no agent runs, what needs its secrets is refused and the rest works; Istio would wait for ever.
        "initial_fetch_timeout": "1s", "resource_api_version": "V3",
    ]

    /// The cluster of Istio's agent, for bootstraps that refer to it.
    static let agentClusterResource: JSON = [
        "name": .string(agentCluster),
        "type": "STATIC",
        "connect_timeout": "1s",
        "typed_extension_protocol_options": [
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": .typed(
                "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                ["explicit_http_config": ["http2_protocol_options": [:]]])
        ],
        "load_assignment": [
            "cluster_name": .string(agentCluster),
            "endpoints": [
                [
                    "lb_endpoints": [
                        ["endpoint": ["address": .pipe("./var/run/secrets/workload-spiffe-uds/socket")]]
                    ]
                ]
            ],
        ],
    ]
}

/// Renders secrets: Envoy's `extensions.transport_sockets.tls.v3.Secret`.
enum SecretRendering {
    static func secret(_ secret: ProxySecret) -> JSON {
        switch secret.content {
        case .tlsCertificate(let chain, let key):
            [
                "name": .string(secret.name),
                "tls_certificate": [
                    "certificate_chain": ["inline_string": .string(chain)],
                    "private_key": ["inline_string": .string(key)],
                ],
            ]
        case .validation(let roots):
            [
                "name": .string(secret.name),
                "validation_context": ["trusted_ca": ["inline_string": .string(roots)]],
            ]
        }
    }
}
