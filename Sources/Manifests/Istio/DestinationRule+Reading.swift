extension DestinationRule {
    private static let fields: FieldNames = "host trafficPolicy subsets exportTo workloadSelector"
    private static let policyFields: FieldNames = """
        loadBalancer connectionPool outlierDetection tls portLevelSettings tunnel proxyProtocol retryBudget
        """

    /// Reads `networking.istio.io/DestinationRule`.
    init?(reading object: ObjectReader) {
        guard let spec = object.spec(Self.fields), let host = spec.required("host")?.locatedString else { return nil }
        if !HostName.isValid(host.value) {
            spec["host"]?.error("\"\(host.value)\" is not a host name")
        }
        var names: Set<String> = []
        let subsets = (spec["subsets"]?.list ?? []).compactMap { field -> Subset? in
            guard field.check("name labels trafficPolicy"), let name = field.required("name")?.string else {
                return nil
            }
            if !names.insert(name).inserted { field["name"]?.error("the subset \(name) is given twice") }
            if let policy = field["trafficPolicy"] {
                Self.check(policy)
                if policy["connectionPool"]?["tcp"]?["connectTimeout"] != nil {
                    policy["connectionPool"]?["tcp"]?["connectTimeout"]?.refuse(
                        "connectTimeout of a subset is not supported yet")
                }
            }
            return Subset(name: name, labels: field["labels"]?.stringMap ?? [:], location: field.location)
        }
        var connectTimeoutMs: Int?
        var tlsMode: Located<String>?
        if let policy = spec["trafficPolicy"] {
            Self.check(policy)
            connectTimeoutMs = policy["connectionPool"]?["tcp"]?["connectTimeout"]?.milliseconds
            tlsMode = policy["tls"]?["mode"]?.locatedString
        }
        var selector: [String: String]?
        if let field = spec["workloadSelector"] {
            field.check("matchLabels")
            selector = field["matchLabels"]?.stringMap
        }
        self.init(
            metadata: object.metadata, host: host, subsets: subsets, connectTimeoutMs: connectTimeoutMs,
            tlsMode: tlsMode, workloadSelector: selector, exportTo: spec["exportTo"].map(\.exportTo) ?? ["*"])
    }

    private static func check(_ policy: FieldReader) {
        guard policy.check(policyFields) else { return }
        policy.refuse(fields: "tunnel proxyProtocol portLevelSettings")
        policy["outlierDetection"]?.warn("outlier detection is not carried out")
        policy["retryBudget"]?.warn("retry budgets are not carried out")
        if let balancer = policy["loadBalancer"] {
            balancer.check("simple consistentHash localityLbSetting warmupDurationSecs warmup")
            balancer.refuse(fields: "consistentHash")
            let names = [
                "UNSPECIFIED", "LEAST_CONN", "RANDOM", "PASSTHROUGH", "ROUND_ROBIN", "LEAST_REQUEST",
            ]
            if let simple = balancer["simple"], simple.choice(of: names) == "PASSTHROUGH" {
                simple.refuse("load balancing PASSTHROUGH is not supported yet")
            }
        }
        if let pool = policy["connectionPool"], pool.check("tcp http") {
            pool["tcp"]?.check("maxConnections connectTimeout tcpKeepalive maxConnectionDuration idleTimeout")
            for name in ["maxConnections", "maxConnectionDuration", "idleTimeout"] {
                pool["tcp"]?[name]?.warn("connection limits are not carried out")
            }
            pool["http"]?.check(
                """
                http1MaxPendingRequests http2MaxRequests maxRequestsPerConnection maxRetries idleTimeout
                h2UpgradePolicy useClientProtocol maxConcurrentStreams
                """)
            pool["http"]?.warn("connection limits are not carried out")
        }
        guard let tls = policy["tls"] else { return }
        tls.check(
            """
            mode clientCertificate privateKey caCertificates credentialName subjectAltNames sni insecureSkipVerify
            caCrl
            """)
        let modes = ["DISABLE", "SIMPLE", "MUTUAL", "ISTIO_MUTUAL"]
        if let mode = tls["mode"], let name = mode.choice(of: modes), name != "DISABLE" {
            mode.refuse("tls.mode \(name) comes with a later version; only DISABLE is carried out")
        }
    }
}
