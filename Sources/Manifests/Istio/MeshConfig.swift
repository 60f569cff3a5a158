/// `istio.mesh.v1alpha1.MeshConfig` and the chart values beside it, as far as the data plane depends on them. Every
/// field is nil where nothing was said, so that several sources (scenario, ConfigMap, IstioOperator) can be laid over
/// each other.
package struct MeshConfig: Sendable, Equatable {
    package enum OutboundTrafficPolicy: String, Sendable {
        case registryOnly = "REGISTRY_ONLY"
        case allowAny = "ALLOW_ANY"
    }

    /// What `proxyConfig.proxyHeaders` may switch off.
    package struct ProxyHeaders: Sendable, Hashable {
        package var requestIDDisabled: Bool?
        package var attemptCountDisabled: Bool?
        package var serverDisabled: Bool?
        /// `metadataExchangeHeaders.mode: IN_MESH`.
        package var metadataExchangeInMeshOnly: Bool?

        package init() {}
    }

    /// nil: no `outboundTrafficPolicy` block at all. A block without mode is REGISTRY_ONLY (the enum's zero).
    package var outboundTrafficPolicy: Located<OutboundTrafficPolicy>?
    /// nil or empty: no access log.
    package var accessLogFile: String?
    /// `TEXT` or `JSON`.
    package var accessLogEncoding: String?
    package var accessLogFormat: Located<String>?
    /// Those of `extensionProviders` that write files.
    package var fileAccessLogs: [FileAccessLog]?
    /// The names of all `extensionProviders`.
    package var providerNames: Set<String>?
    /// `defaultProviders.accessLogging`.
    package var defaultAccessLogProviders: [String]?
    package var rootNamespace: String?
    package var trustDomain: String?
    package var proxyListenPort: UInt16?
    package var proxyInboundListenPort: UInt16?
    /// `defaultConfig.interceptionMode`.
    package var interceptionMode: Located<String>?
    /// `defaultConfig.holdApplicationUntilProxyStarts`.
    package var holdApplicationUntilProxyStarts: Bool?
    /// `defaultConfig.proxyMetadata`.
    package var proxyMetadata: [String: Located<String>] = [:]
    package var proxyHeaders = ProxyHeaders()
    /// `connectTimeout` in milliseconds.
    package var connectTimeoutMs: Int?
    /// nil: on, as Istio's default is.
    package var enableAutoMtls: Bool?
    /// `meshMTLS.minProtocolVersion`: of TLS between workloads.
    package var meshMTLSMinProtocolVersion: TLSVersion?
    /// `tlsDefaults.minProtocolVersion`: of TLS that proxies originate to other destinations.
    package var defaultTLSMinProtocolVersion: TLSVersion?
    /// `protocolDetectionTimeout` of the mesh or of `values.global.proxy`, in milliseconds; 0: without end.
    package var protocolDetectionTimeoutMs: Int?
    package var trustDomainAliases: [String]?
    /// Those of `extensionProviders` that policies may ask.
    package var externalAuthorizers: [ExternalAuthorizer]?
    /// Whether HTTP/1.1 goes on as HTTP/2 where no DestinationRule says otherwise.
    package var h2UpgradePolicy: TrafficPolicy.ConnectionPool.H2Upgrade?
    /// `pathNormalization.normalization`; `DEFAULT` is nil.
    package var pathNormalization: String?

    // `values.global.proxy.*` of the charts; capture settings that annotations replace.
    package var includeIPRanges: Located<String>?
    package var excludeIPRanges: Located<String>?
    package var includeOutboundPorts: Located<String>?
    package var excludeOutboundPorts: Located<String>?
    package var includeInboundPorts: Located<String>?
    package var excludeInboundPorts: Located<String>?
    /// `values.pilot.env.ENABLE_NATIVE_SIDECARS` or `values.global.proxy.nativeSidecar`-like switches.
    package var nativeSidecars: Bool?
    /// `values.sidecarInjectorWebhook.enableNamespacesByDefault`.
    package var enableNamespacesByDefault: Bool?

    package init() {}

    /// What `proxyMetadata` asks of DNS capture: nil where it says nothing.
    package var capturesDNS: Located<Bool>? {
        let given = proxyMetadata["ISTIO_META_DNS_CAPTURE"] ?? proxyMetadata["CAPTURE_ALL_DNS"]
        return given.map { Located(GoBoolean.isTrue($0.value), at: $0.location) }
    }

    /// `ISTIO_META_IDLE_TIMEOUT` of `proxyMetadata`: how long clients' connections of HTTP may be idle.
    package var httpIdleTimeoutMs: Int? {
        proxyMetadata["ISTIO_META_IDLE_TIMEOUT"].flatMap { Self.milliseconds($0.value) }
    }

    /// The milliseconds of a duration as Go writes it; nil where it is none.
    package static func milliseconds(_ duration: String) -> Int? { DurationText.milliseconds(duration).map { Int($0) } }

    /// `over` wins field by field; maps are merged.
    package func overlaid(by over: MeshConfig) -> MeshConfig {
        var result = self
        func lay<V>(_ path: WritableKeyPath<MeshConfig, V?>) {
            if let value = over[keyPath: path] { result[keyPath: path] = value }
        }
        lay(\.outboundTrafficPolicy)
        lay(\.accessLogFile)
        lay(\.accessLogEncoding)
        lay(\.accessLogFormat)
        lay(\.fileAccessLogs)
        lay(\.providerNames)
        lay(\.defaultAccessLogProviders)
        lay(\.rootNamespace)
        lay(\.trustDomain)
        lay(\.proxyListenPort)
        lay(\.proxyInboundListenPort)
        lay(\.interceptionMode)
        lay(\.holdApplicationUntilProxyStarts)
        lay(\.proxyHeaders.requestIDDisabled)
        lay(\.proxyHeaders.attemptCountDisabled)
        lay(\.proxyHeaders.serverDisabled)
        lay(\.proxyHeaders.metadataExchangeInMeshOnly)
        lay(\.connectTimeoutMs)
        lay(\.enableAutoMtls)
        lay(\.meshMTLSMinProtocolVersion)
        lay(\.defaultTLSMinProtocolVersion)
        lay(\.protocolDetectionTimeoutMs)
        lay(\.trustDomainAliases)
        lay(\.externalAuthorizers)
        lay(\.h2UpgradePolicy)
        lay(\.pathNormalization)
        lay(\.includeIPRanges)
        lay(\.excludeIPRanges)
        lay(\.includeOutboundPorts)
        lay(\.excludeOutboundPorts)
        lay(\.includeInboundPorts)
        lay(\.excludeInboundPorts)
        lay(\.nativeSidecars)
        lay(\.enableNamespacesByDefault)
        result.proxyMetadata.merge(over.proxyMetadata) { _, new in new }
        return result
    }
}

/// Booleans of environment variables as Go's `strconv.ParseBool` takes them.
enum GoBoolean {
    static func isTrue(_ text: String) -> Bool { ["true", "1", "t"].contains(text.lowercased()) }
}
