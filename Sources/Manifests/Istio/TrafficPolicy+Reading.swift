extension TrafficPolicy {
    private static let blocks = "loadBalancer connectionPool outlierDetection tls proxyProtocol"

    /// Reads `trafficPolicy` of a rule or of a subset, or an element of `portLevelSettings`.
    init?(reading field: FieldReader, isPortLevel: Bool = false) {
        let names = isPortLevel ? "port loadBalancer connectionPool outlierDetection tls" : "portLevelSettings tunnel"
        let known = FieldNames(stringLiteral: isPortLevel ? names : "\(Self.blocks) retryBudget \(names)")
        guard field.check(known) else { return nil }
        self.init(location: field.location)
        loadBalancer = field["loadBalancer"].flatMap(Self.loadBalancer)
        connectionPool = field["connectionPool"].flatMap { ConnectionPool(reading: $0) }
        outlierDetection = field["outlierDetection"].flatMap { OutlierDetection(reading: $0) }
        tls = field["tls"].flatMap { ClientTLSSettings(reading: $0) }
        if field.node.keys.isEmpty { field.error("an empty traffic policy is not allowed") }
        var ports: Set<UInt16> = []
        for element in field["portLevelSettings"]?.list ?? [] {
            guard let policy = TrafficPolicy(reading: element, isPortLevel: true),
                let selector = element.required("port"), selector.check("number"),
                let number = selector.required("number"), let port = number.port
            else { continue }
            if !ports.insert(port).inserted { number.error("port \(port) is given twice") }
            portLevelSettings.append(PortTrafficPolicy(port: port, policy: policy))
        }
    }

    private static func loadBalancer(_ field: FieldReader) -> Located<LoadBalancer>? {
        guard field.check("simple consistentHash localityLbSetting warmupDurationSecs warmup") else { return nil }
        let value = field["simple"]?.choice(SimpleLoadBalancer.self)
        if let hash = field["consistentHash"] {
            if field["simple"] != nil { hash.error("give only one of simple and consistentHash") }
            return ConsistentHash(reading: hash).map { Located(.consistentHash($0), at: hash.location) }
        }
        guard let simple = field["simple"], let value else { return nil }
        return Located(.simple(value), at: simple.location)
    }
}

extension TrafficPolicy.ConnectionPool {
    init?(reading field: FieldReader) {
        guard field.check("tcp http") else { return nil }
        self.init()
        if field["tcp"] == nil, field["http"] == nil { field.error("a connection pool needs tcp or http") }
        if let tcp = field["tcp"],
            tcp.check("maxConnections connectTimeout tcpKeepalive maxConnectionDuration idleTimeout")
        {
            maxConnections = tcp["maxConnections"]?.integer()
            connectTimeoutMs = tcp["connectTimeout"]?.timeoutMs
            maxConnectionDurationMs = tcp["maxConnectionDuration"]?.timeoutMs
            tcpIdleTimeoutMs = tcp["idleTimeout"]?.milliseconds
            if let alive = tcp["tcpKeepalive"], alive.check("probes time interval") {
                tcpKeepalive = KeepAlive(
                    probes: alive["probes"]?.integer(), timeMs: alive["time"]?.milliseconds,
                    intervalMs: alive["interval"]?.milliseconds)
            }
        }
        guard let http = field["http"],
            http.check(
                """
                http1MaxPendingRequests http2MaxRequests maxRequestsPerConnection maxRetries idleTimeout
                h2UpgradePolicy useClientProtocol maxConcurrentStreams
                """)
        else { return }
        http1MaxPendingRequests = http["http1MaxPendingRequests"]?.integer()
        http2MaxRequests = http["http2MaxRequests"]?.integer()
        maxRequestsPerConnection = http["maxRequestsPerConnection"]?.integer()
        maxRetries = http["maxRetries"]?.integer()
        httpIdleTimeoutMs = http["idleTimeout"]?.milliseconds
        h2UpgradePolicy = http["h2UpgradePolicy"]?.choice()
        useClientProtocol = http["useClientProtocol"]?.boolean
        maxConcurrentStreams = http["maxConcurrentStreams"]?.integer()
        if let policy = http["h2UpgradePolicy"], h2UpgradePolicy == .upgrade, useClientProtocol == true {
            policy.error("UPGRADE and useClientProtocol contradict each other")
        }
    }
}

extension TrafficPolicy.OutlierDetection {
    init?(reading field: FieldReader) {
        guard
            field.check(
                """
                consecutiveErrors consecutive5xxErrors consecutiveGatewayErrors consecutiveLocalOriginFailures
                splitExternalLocalOriginErrors interval baseEjectionTime maxEjectionPercent minHealthPercent
                """)
        else { return nil }
        self.init()
        field["consecutiveErrors"]?.warn("consecutiveErrors is no longer read", remedy: "use consecutive5xxErrors")
        consecutive5xxErrors = field["consecutive5xxErrors"]?.integer()
        consecutiveGatewayErrors = field["consecutiveGatewayErrors"]?.integer()
        consecutiveLocalOriginFailures = field["consecutiveLocalOriginFailures"]?.integer()
        splitExternalLocalOriginErrors = field["splitExternalLocalOriginErrors"]?.boolean
        if let count = field["consecutiveLocalOriginFailures"], consecutiveLocalOriginFailures ?? 0 > 0,
            splitExternalLocalOriginErrors != true
        {
            count.error("consecutiveLocalOriginFailures needs splitExternalLocalOriginErrors: true")
        }
        intervalMs = field["interval"]?.timeoutMs
        baseEjectionTimeMs = field["baseEjectionTime"]?.timeoutMs
        maxEjectionPercent = field["maxEjectionPercent"]?.integer(0...100)
        minHealthPercent = field["minHealthPercent"]?.integer(0...100)
    }
}

extension ClientTLSSettings {
    private static let fields: FieldNames = """
        mode clientCertificate privateKey caCertificates credentialName subjectAltNames sni insecureSkipVerify caCrl
        """

    init?(reading field: FieldReader) {
        guard field.check(Self.fields) else { return nil }
        // Absent is DISABLE, the enumeration's zero.
        guard let mode = field["mode"].map({ $0.choice(Mode.self) }) ?? .disable else { return nil }
        self.init(
            mode: Located(mode, at: (field["mode"] ?? field).location), sni: field["sni"]?.string,
            clientCertificate: field["clientCertificate"]?.locatedString,
            privateKey: field["privateKey"]?.locatedString, caCertificates: field["caCertificates"]?.locatedString,
            credentialName: field["credentialName"]?.locatedString,
            subjectAltNames: field["subjectAltNames"]?.strings,
            insecureSkipVerify: field["insecureSkipVerify"]?.boolean ?? false, location: field.location)
        validate(field)
    }

    private func validate(_ field: FieldReader) {
        if let name = field["sni"], let sni, !HostName.isValid(sni) || sni.contains("*") {
            name.error("\"\(sni)\" is not a host name")
        }
        if credentialName != nil, [.simple, .mutual].contains(mode.value) {
            for name in ["clientCertificate", "privateKey", "caCertificates", "caCrl"] {
                field[name]?.error("\(name) can't be combined with credentialName")
            }
            return
        }
        switch mode.value {
        case .mutual:
            for name in ["clientCertificate", "privateKey"] where field[name] == nil {
                field.error("MUTUAL needs \(name) or credentialName")
            }
        case .istioMutual:
            for name in ["clientCertificate", "privateKey", "caCertificates", "credentialName", "caCrl"] {
                field[name]?.error("ISTIO_MUTUAL takes the mesh's own certificate", remedy: "leave \(name) out")
            }
        case .disable, .simple: break
        }
    }
}

extension FieldReader {
    /// A duration that must be at least a millisecond.
    var timeoutMs: Int? {
        guard let value = milliseconds else { return nil }
        if value < 1 {
            error("must be at least 1ms")
            return nil
        }
        return value
    }
}
