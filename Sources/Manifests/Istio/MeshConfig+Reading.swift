extension MeshConfig {
    private static let fields: FieldNames = """
        accessLogEncoding accessLogFile accessLogFormat authPolicy ca caCertificates certificates configSources
        connectTimeout defaultConfig defaultDestinationRuleExportTo defaultHttpRetryPolicy defaultProviders
        defaultServiceExportTo defaultVirtualServiceExportTo disableEnvoyListenerLog disableMixerHttpReports
        disablePolicyChecks disableReportBatch discoverySelectors dnsRefreshRate enableAutoMtls
        enableClientSidePolicyCheck enableEnvoyAccessLogService enablePrometheusMerge enableTracing
        extensionProviders h2UpgradePolicy hboneIdleTimeout inboundClusterStatName inboundTrafficPolicy ingressClass
        ingressControllerMode ingressSelector ingressService localityLbSetting meshMTLS mixerCheckServer
        mixerReportServer mtlsPolicy outboundClusterStatName outboundTrafficPolicy pathNormalization
        policyCheckFailOpen protocolDetectionTimeout proxyHttpPort proxyInboundListenPort proxyListenPort rdsRefreshDelay
        reportBatchMaxEntries reportBatchMaxTime rootNamespace sdsRefreshDelay sdsUdsPath sdsUseK8sSaJwt
        serviceScopeConfigs serviceSettings sidecarToTelemetrySessionAffinity tcpKeepalive thriftConfig tlsDefaults
        trustDomain trustDomainAliases verifyCertificateAtClient
        """
    /// Would change who is reached, or what logs and statistics are called.
    private static let refused: FieldNames = """
        defaultHttpRetryPolicy discoverySelectors inboundClusterStatName outboundClusterStatName
        """

    /// Reads `istio.mesh.v1alpha1.MeshConfig`.
    init(reading field: FieldReader) {
        self.init()
        let field = field.aboutMesh("MeshConfig")
        guard field.check(Self.fields) else { return }
        readKnown(field)
        UnsupportedFields.tell(of: field, as: "MeshConfig")
    }

    /// Reads what a scenario says of the mesh: MeshConfig fields, and chart values under `values` or as dotted keys.
    init(readingScenario field: FieldReader) {
        self.init()
        let field = field.aboutMesh("MeshConfig")
        guard field.isMapping else {
            field.check("")
            return
        }
        let dotted = field.node.keys.filter { $0.contains(".") }
        field.check(FieldNames(Self.fields.names.union(["values"]).union(dotted)))
        if let values = field["values"] { self = overlaid(by: MeshConfig(readingValues: values)) }
        if !dotted.isEmpty { self = overlaid(by: MeshConfig(readingValues: field)) }
        var known = MeshConfig()
        known.readKnown(field)
        self = overlaid(by: known)
        UnsupportedFields.tell(of: field, as: "MeshConfig")
    }

    /// Reads MeshConfig that is text in another object: the key `mesh` of the ConfigMap `istio`.
    init?(readingText field: FieldReader) {
        guard let inner = field.nested else { return nil }
        self.init(reading: inner)
    }

    /// Reads chart values that are text in another object (JSON in the sidecar injector's ConfigMap).
    init?(readingValuesText field: FieldReader) {
        guard let inner = field.nested else { return nil }
        self.init(readingValues: inner)
    }

    /// Reads `values` of the charts.
    init(readingValues field: FieldReader) {
        self.init()
        readValues(field.aboutMesh("values"))
    }

    /// Reads the annotation `proxy.istio.io/config` of a pod.
    init?(readingProxyConfigText field: FieldReader) {
        guard let inner = field.nested else { return nil }
        self.init()
        readProxyConfig(inner.aboutMesh("ProxyConfig"))
    }

    /// What a pod's annotation `proxy.istio.io/config` says; what is wrong in it was told when it was read.
    package init?(proxyConfigAnnotation annotation: Located<String>) {
        let node = ManifestNode(
            .scalar(.init(text: annotation.value, style: .quoted, origin: nil)), at: annotation.location)
        let subject = FieldReader.Subject(kind: "ProxyConfig", log: DiagnosticLog(), acceptsSnakeCase: true)
        self.init(readingProxyConfigText: FieldReader(node: node, path: "", subject: subject))
    }

    // MARK: Fields

    private mutating func readKnown(_ field: FieldReader) {
        outboundTrafficPolicy =
            field["outboundTrafficPolicy"].flatMap { OutboundTrafficPolicy.located(reading: $0) }
        readAccessLog(field)
        rootNamespace = field["rootNamespace"]?.string
        trustDomain = field["trustDomain"]?.string
        proxyListenPort = field["proxyListenPort"]?.port
        proxyInboundListenPort = field["proxyInboundListenPort"]?.port
        if let config = field["defaultConfig"] { readProxyConfig(config) }
        if let timeout = field["connectTimeout"] {
            connectTimeoutMs = timeout.milliseconds
            if connectTimeoutMs == 0 { timeout.error("must be at least 1ms") }
        }
        enableAutoMtls = field["enableAutoMtls"]?.boolean
        if let mtls = field["meshMTLS"], mtls.check("minProtocolVersion ecdhCurves cipherSuites") {
            meshMTLSMinProtocolVersion = mtls["minProtocolVersion"]?.tlsVersion
        }
        if let defaults = field["tlsDefaults"], defaults.check("minProtocolVersion ecdhCurves cipherSuites") {
            defaultTLSMinProtocolVersion = defaults["minProtocolVersion"]?.tlsVersion
        }
        protocolDetectionTimeoutMs = field["protocolDetectionTimeout"]?.milliseconds
        trustDomainAliases = field["trustDomainAliases"]?.strings
        h2UpgradePolicy = field["h2UpgradePolicy"]?.choice(of: ["DO_NOT_UPGRADE", "UPGRADE"])
            .flatMap(TrafficPolicy.ConnectionPool.H2Upgrade.init)
        externalAuthorizers =
            field["extensionProviders"].map { $0.list.compactMap { ExternalAuthorizer(reading: $0) } }
        fileAccessLogs = field["extensionProviders"].map { $0.list.compactMap { FileAccessLog(reading: $0) } }
        providerNames = field["extensionProviders"].map { Set($0.list.compactMap { $0["name"]?.node.text }) }
        if let defaults = field["defaultProviders"] {
            defaultAccessLogProviders = defaults["accessLogging"]?.strings
        }
        if let paths = field["pathNormalization"], paths.check("normalization") {
            let modes = ["DEFAULT", "NONE", "BASE", "MERGE_SLASHES", "DECODE_AND_MERGE_SLASHES"]
            pathNormalization = paths["normalization"]?.choice(of: modes).flatMap { $0 == "DEFAULT" ? nil : $0 }
        }
        field.refuse(fields: Self.refused)
        for name in ["defaultServiceExportTo", "defaultVirtualServiceExportTo", "defaultDestinationRuleExportTo"] {
            guard let list = field[name], list.strings != ["*"], !list.list.isEmpty else { continue }
            list.refuse("only [\"*\"] is supported yet")
        }
        if let port = field["proxyHttpPort"], port.integer() != 0 { port.refuse("not supported yet") }
        if let mode = field["inboundTrafficPolicy"]?["mode"], mode.node.text != "PASSTHROUGH" {
            mode.refuse("inbound traffic policy \(mode.node.text ?? "") is not supported yet")
        }
    }

    private mutating func readAccessLog(_ field: FieldReader) {
        accessLogFile = field["accessLogFile"]?.string ?? accessLogFile
        accessLogFormat = field["accessLogFormat"]?.locatedString ?? accessLogFormat
        accessLogEncoding = field["accessLogEncoding"]?.choice(of: ["TEXT", "JSON"]) ?? accessLogEncoding
    }

    private static let proxyConfigFields: FieldNames = """
        availabilityZone binaryPath caCertificatesPem concurrency configPath connectTimeout controlPlaneAuthPolicy
        customConfigFile discoveryAddress discoveryRefreshDelay drainDuration envoyAccessLogService
        envoyMetricsService envoyMetricsServiceAddress extraStatTags fileFlushInterval fileFlushMinSizeKb
        gatewayTopology holdApplicationUntilProxyStarts image interceptionMode lightstepAddress meshId
        parentShutdownDuration privateKeyProvider proxyAdminPort proxyBootstrapTemplatePath proxyHeaders
        proxyMetadata proxyStatsMatcher readinessProbe runtimeValues sds serviceCluster statNameLength
        statsCompression statsdUdpAddress statusPort terminationDrainDuration tracing tracingServiceName
        zipkinAddress
        """

    private mutating func readProxyConfig(_ field: FieldReader) {
        guard field.check(Self.proxyConfigFields) else { return }
        UnsupportedFields.tell(of: field, as: "ProxyConfig")
        if let mode = field["interceptionMode"] {
            CaptureLists.checkInterceptionMode(mode)
            interceptionMode = mode.locatedString
        }
        holdApplicationUntilProxyStarts = field["holdApplicationUntilProxyStarts"]?.boolean
        for entry in field["proxyMetadata"]?.entries ?? [] {
            CaptureLists.checkProxyMetadata(entry.key, entry.field)
            proxyMetadata[entry.key] = entry.field.text.map { Located($0, at: entry.field.location) }
        }
        if let port = field["statusPort"], port.integer() != 15020 { port.refuse("only 15020 is supported yet") }
        if let tags = field["extraStatTags"], !tags.list.isEmpty { tags.warn("not carried out") }
        if let headers = field["proxyHeaders"] { readProxyHeaders(headers) }
    }

    private static let proxyHeaderFields: FieldNames = """
        attemptCount envoyDebugHeaders forwardedClientCert metadataExchangeHeaders preserveHttp1HeaderCase requestId
        server setCurrentClientCertDetails xForwardedHost xForwardedPort
        """

    private mutating func readProxyHeaders(_ field: FieldReader) {
        guard field.check(Self.proxyHeaderFields) else { return }
        proxyHeaders.requestIDDisabled = field["requestId"]?["disabled"]?.boolean
        proxyHeaders.attemptCountDisabled = field["attemptCount"]?["disabled"]?.boolean
        proxyHeaders.serverDisabled = field["server"]?["disabled"]?.boolean
        if let value = field["server"]?["value"] { value.refuse("another server name is not supported yet") }
        if let mode = field["metadataExchangeHeaders"]?["mode"]?.choice(of: ["UNDEFINED", "IN_MESH"]) {
            proxyHeaders.metadataExchangeInMeshOnly = mode == "IN_MESH"
        }
        field.refuse(
            fields: """
                envoyDebugHeaders preserveHttp1HeaderCase setCurrentClientCertDetails xForwardedHost xForwardedPort
                """)
    }

    // MARK: Chart values

    private mutating func readValues(_ field: FieldReader) {
        func value(_ path: String) -> FieldReader? { field.at(path) ?? field.at("values." + path) }
        func list(_ name: String, _ check: (String, FieldReader) -> Void) -> Located<String>? {
            guard let field = value("global.proxy.\(name)"), let text = field.text else { return nil }
            check(text, field)
            return Located(text, at: field.location)
        }
        value("global.proxy")?.check(Self.proxyValueFields)
        includeIPRanges = list("includeIPRanges") { CaptureLists.checkRanges($0, $1, allowsAll: true) }
        excludeIPRanges = list("excludeIPRanges") { CaptureLists.checkRanges($0, $1, allowsAll: false) }
        includeOutboundPorts = list("includeOutboundPorts") { CaptureLists.checkPorts($0, $1, allowsAll: false) }
        excludeOutboundPorts = list("excludeOutboundPorts") { CaptureLists.checkPorts($0, $1, allowsAll: false) }
        includeInboundPorts = list("includeInboundPorts") { CaptureLists.checkPorts($0, $1, allowsAll: true) }
        excludeInboundPorts = list("excludeInboundPorts") { CaptureLists.checkPorts($0, $1, allowsAll: false) }
        if let mesh = value("meshConfig") { self = overlaid(by: MeshConfig(reading: mesh)) }
        outboundTrafficPolicy =
            value("global.outboundTrafficPolicy").flatMap { OutboundTrafficPolicy.located(reading: $0) }
            ?? outboundTrafficPolicy
        if let proxy = value("global.proxy") {
            readAccessLog(proxy)
            protocolDetectionTimeoutMs = proxy["protocolDetectionTimeout"]?.milliseconds ?? protocolDetectionTimeoutMs
            holdApplicationUntilProxyStarts =
                proxy["holdApplicationUntilProxyStarts"]?.laxBoolean ?? holdApplicationUntilProxyStarts
        }
        nativeSidecars =
            (value("pilot.env.ENABLE_NATIVE_SIDECARS") ?? value("global.proxy.nativeSidecar"))?.laxBoolean
        enableNamespacesByDefault = value("sidecarInjectorWebhook.enableNamespacesByDefault")?.laxBoolean
        for path in ["neverInjectSelector", "alwaysInjectSelector"] {
            guard let selectors = value("sidecarInjectorWebhook.\(path)"), !selectors.list.isEmpty else { continue }
            selectors.refuse("not supported yet: it decides which pods have a sidecar")
        }
        for path in ["istio_cni.enabled", "pilot.cni.enabled", "cni.enabled"] {
            guard let cni = value(path), cni.laxBoolean == true else { continue }
            cni.refuse("Istio's CNI plugin is not supported yet")
        }
    }

    private static let proxyValueFields: FieldNames = """
        accessLogEncoding accessLogFile accessLogFormat autoInject clusterDomain componentLogLevel concurrency
        dnsRefreshRate enableCoreDump enableCoreDumpImage envoyAccessLogService envoyMetricsService envoyStatsd
        excludeIPRanges excludeInboundPorts excludeOutboundPorts holdApplicationUntilProxyStarts image includeIPRanges
        includeInboundPorts includeOutboundPorts init kubevirtInterfaces lifecycle livenessFailureThreshold
        livenessInitialDelaySeconds livenessPeriodSeconds logLevel nativeSidecar outlierLogPath privileged
        protocolDetectionTimeout readinessFailureThreshold readinessInitialDelaySeconds readinessPeriodSeconds
        resources seccompProfile startupProbe statusPort tracer
        """
}

extension MeshConfig.OutboundTrafficPolicy {
    /// Reads `outboundTrafficPolicy`: a block, or (in scenarios) just the mode. A block without mode is REGISTRY_ONLY.
    static func located(reading field: FieldReader) -> Located<Self>? {
        var mode = field
        if field.isMapping {
            field.check("mode egressProxy")
            if let proxy = field["egressProxy"] {
                proxy.refuse("egressProxy is not supported yet")
                return nil
            }
            guard let given = field["mode"] else { return Located(.registryOnly, at: field.location) }
            mode = given
        }
        switch mode.choice(of: ["REGISTRY_ONLY", "ALLOW_ANY", "ALLOW_ANY_DYNAMIC_DNS"]) {
        case "REGISTRY_ONLY": return Located(.registryOnly, at: mode.location)
        case "ALLOW_ANY": return Located(.allowAny, at: mode.location)
        case "ALLOW_ANY_DYNAMIC_DNS":
            mode.refuse("ALLOW_ANY_DYNAMIC_DNS is not supported yet")
            return nil
        default: return nil
        }
    }
}

extension FieldReader {
    /// The same value, with Istio's spelling rules and another name in messages.
    func aboutMesh(_ kind: String) -> FieldReader {
        FieldReader(
            node: node, path: path, subject: Subject(kind: kind, log: subject.log, acceptsSnakeCase: true))
    }

    /// The YAML (or JSON) that this text holds, with places in the file that holds the text. nil: none, or wrong.
    var nested: FieldReader? {
        guard case .scalar(let scalar) = node.content, let text = string else { return nil }
        let result = YAMLParser.parse(
            text, file: location.file, origin: scalar.origin, fixedLocation: scalar.origin == nil ? location : nil)
        for diagnostic in result.diagnostics {
            say(diagnostic.severity, diagnostic.message, remedy: diagnostic.remedy, at: diagnostic.location)
        }
        guard let document = result.value.first, !document.isNull else { return nil }
        let reader = FieldReader(node: document, path: path, subject: subject)
        guard reader.isMapping else {
            reader.check("")
            return nil
        }
        return reader
    }

    /// The value at a path of keys, each of which may also be part of a dotted key.
    func at(_ path: String) -> FieldReader? {
        guard isMapping else { return nil }
        if let field = self[path] { return field }
        var split = path.startIndex
        while let dot = path[split...].firstIndex(of: ".") {
            split = path.index(after: dot)
            if let field = self[String(path[..<dot])], let found = field.at(String(path[split...])) { return found }
        }
        return nil
    }
}

extension ManifestNode {
    /// The keys of a mapping.
    var keys: [String] {
        guard case .mapping(let entries) = content else { return [] }
        return entries.map(\.key)
    }
}

/// The mesh configuration that the objects of a cluster give: IstioOperators first, then Istio's ConfigMaps over them.
/// Problems in them were told when they were read.
package func meshConfig(of resources: ResourceSet) -> (MeshConfig, [Diagnostic]) {
    var config = MeshConfig()
    var diagnostics: [Diagnostic] = []
    for resource in resources.resources(IstioOperator.self) {
        config = config.overlaid(by: resource.meshConfig)
    }
    let root = config.rootNamespace ?? "istio-system"
    for resource in resources.resources(ConfigMap.self) {
        guard let over = resource.meshConfig else { continue }
        guard resource.metadata.namespace == root else {
            diagnostics.append(
                Diagnostic(
                    .warning,
                    "ConfigMap \(resource.metadata.namespace)/\(resource.metadata.name) is not in \(root) and so not"
                        + " the mesh configuration", at: resource.metadata.location))
            continue
        }
        config = config.overlaid(by: over)
    }
    return (config, diagnostics)
}
