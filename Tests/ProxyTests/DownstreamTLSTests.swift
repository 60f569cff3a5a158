import NIOSSL
import NetworkAddresses
import Proxy
import ProxyModel
import TestSupport
import Testing

/// Outcomes and counters as Envoy 1.40 has them for the same clients.
@Suite struct DownstreamTLSTests {
    private static let sleep = "spiffe://cluster.local/ns/default/sa/sleep"
    private static let gateway = "spiffe://cluster.local/ns/istio-system/sa/gateway"

    private let authority: TLSAuthority
    private let site: TLSAuthority.Identity

    init() throws {
        authority = try TLSAuthority()
        site = try authority.issue(dns: ["api.example"], uris: [Self.gateway])
    }

    private func context(
        mutual: Bool = false, names: [StringMatch] = [], alpn: [String] = ["http/1.1"]
    ) -> DownstreamTLSContext {
        DownstreamTLSContext(
            tlsCertificate: "site", requireClientCertificate: mutual,
            validation: mutual ? CertificateValidation(trustedCA: "roots", subjectAltNames: names) : nil,
            alpnProtocols: alpn)
    }

    private func configuration(
        at address: IPEndpoint, origin: IPEndpoint, _ context: DownstreamTLSContext, tcp: Bool = false,
        match: FilterChainMatch = FilterChainMatch(), timeoutMs: Int? = nil
    ) -> ProxyConfiguration {
        let manager = HTTPConnectionManager(
            statPrefix: "outbound_0.0.0.0_8443", routeConfiguration: "https.443", usesRemoteAddress: true,
            clientCertificateForwarding: .gateway)
        let chain = FilterChain(
            name: "secure", match: match,
            filter: tcp ? .tcpProxy(TCPProxy(cluster: "target")) : .httpConnectionManager(manager),
            transportSocket: context, transportSocketConnectTimeoutMs: timeoutMs)
        return ProxyConfiguration(
            node: ProxyConfiguration.testNode,
            listeners: [
                Listener(
                    name: "test", addresses: [address], trafficDirection: .outbound, bindToPort: true,
                    listenerFilters: [.tlsInspector], filterChains: [chain])
            ],
            routes: [RouteConfiguration(name: "https.443", virtualHosts: [.all()])], clusters: [.fixed([origin])],
            accessLogs: [AccessLogConfiguration(format: .istioText)],
            secrets: [site.secret("site"), authority.roots("roots")])
    }

    private func statistic(_ bench: TestBench, _ name: String) -> UInt64? {
        bench.proxy.statistic("listener.127.0.0.1_\(bench.address.port).\(name)")
    }

    private let request = "GET /x HTTP/1.1\r\nHost: api.example\r\nx-forwarded-client-cert: By=evil\r\n\r\n"

    @Test(
        "an HTTP chain terminates TLS: the request goes on in plain bytes, told as https",
        arguments: [
            TLSVersion.tlsv12, .tlsv13,
        ])
    func simple(_ version: TLSVersion) async throws {
        let seen = Collector<String>()
        let origin = try Origin.http(seen: seen)
        let match = FilterChainMatch(serverNames: ["api.example"], transportProtocol: .tls)
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint, context(), match: match) }) { bench in
            let client = try TLSPeer.client(
                bench.connect(), serverName: "api.example", applicationProtocols: ["h3", "http/1.1"],
                maximum: version)
            try client.handshake()
            #expect(client.version == version)
            #expect(client.negotiated == "http/1.1")
            for index in 0..<2 {
                try client.send(request)
                #expect(try client.receiveMessage().body == "hello")
                let record = try #require(bench.record(index))
                #expect(record.requestedServerName == "api.example")
                #expect(record.downstreamTLSVersion == (version == .tlsv13 ? "TLSv1.3" : "TLSv1.2"))
                #expect(record.filterChainName == "secure")
            }
            let head = try #require(seen.all.first)
            #expect(head.header("x-forwarded-proto") == "https")
            #expect(head.header("x-forwarded-client-cert") == nil)
            #expect(statistic(bench, "ssl.handshake") == 1)
            #expect(statistic(bench, "ssl.no_certificate") == 1)
            #expect(statistic(bench, "ssl.versions.\(version == .tlsv13 ? "TLSv1.3" : "TLSv1.2")") == 1)
        }
    }

    @Test("who agreed on HTTP/2 and says something else is left without a byte and without a line of log")
    func noPreface() async throws {
        let origin = try Origin.http()
        let model = context(alpn: ["h2", "http/1.1"])
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint, model) }) { bench in
            let client = try TLSPeer.client(
                bench.connect(), serverName: "api.example", applicationProtocols: ["h2"])
            try client.handshake()
            try client.send(ClientHellos.make(serverName: "www.google.com"))
            #expect(try client.receiveAll().isEmpty)
            #expect(bench.closed())
            #expect(bench.proxy.accessLogRecords().isEmpty)
        }
    }

    @Test("a client's certificate is checked, logged and told to the upstream")
    func mutual() async throws {
        let seen = Collector<String>()
        let origin = try Origin.http(seen: seen)
        let mine = try authority.issue(uris: [Self.sleep], criticalNames: true)
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint, context(mutual: true)) }) { bench in
            let client = try TLSPeer.client(bench.connect(), serverName: "api.example", identity: mine)
            try client.handshake()
            try client.send(request)
            #expect(try client.receiveMessage().body == "hello")
            let record = try #require(bench.record())
            #expect(record.downstreamPeerURISAN == Self.sleep)
            #expect(record.downstreamLocalURISAN == Self.gateway)
            #expect(record.downstreamPeerSubject == nil)
            let told = try #require(seen.all.first?.header("x-forwarded-client-cert"))
            let fields = told.split(separator: ";")
            #expect(fields.first == "By=\(Self.gateway)")
            #expect(fields.contains("URI=\(Self.sleep)"))
            #expect(fields.contains("Subject=\"\""))
            #expect(told.contains(";Hash=") && told.contains(";Cert=\"-----BEGIN%20CERTIFICATE-----%0A"))
            #expect(statistic(bench, "ssl.no_certificate") == 0)
        }
    }

    @Test(
        "clients without a valid certificate are refused, uncounted as requests and unlogged",
        arguments: [
            TLSVersion.tlsv12, .tlsv13,
        ])
    func refused(_ version: TLSVersion) async throws {
        let origin = try Origin.http()
        let other = try TLSAuthority("other root")
        let unknown = "X509_verify_cert:_certificate_verification_error_at_depth_0:_"
        let cases: [(TLSAuthority.Identity?, String, String)] = [
            (nil, "fail_verify_no_cert", ":peer_did_not_provide_required_client_certificate:"),
            (try other.issue(uris: [Self.sleep]), "fail_verify_error", unknown + "unable_to_get_local_issuer"),
            (
                try authority.issue(uris: [Self.sleep], until: -60), "fail_verify_error",
                unknown + "certificate_has_expired"
            ),
            (
                try authority.issue(uris: [Self.sleep], usage: .server), "fail_verify_error",
                unknown + "unsupported_certificate_purpose"
            ),
            (try authority.issue(uris: ["spiffe://cluster.local/x"]), "fail_verify_san", "_SAN_matcher,"),
        ]
        let model = context(mutual: true, names: [.exact(Self.sleep)])
        for (identity, counter, words) in cases {
            try await TestBench.run({ configuration(at: $0, origin: origin.endpoint, model) }) { bench in
                let client = try TLSPeer.client(
                    bench.connect(), serverName: "api.example", identity: identity, maximum: version)
                #expect(throws: (any Error).self) {
                    try client.handshake()
                    try client.send(request)
                    if try client.receive().isEmpty { throw TLSPeer.HandshakeFailed(description: "closed") }
                }
                let record = try #require(bench.record())
                #expect(record.kind == .tcp)
                #expect(record.downstreamTransportFailureReason?.contains(words) == true)
                #expect(bench.closed())
                #expect(statistic(bench, "ssl.\(counter)") == 1)
                #expect(statistic(bench, "ssl.handshake") == 0)
                #expect(bench.proxy.accessLogRecords().isEmpty)
                #expect(bench.proxy.statistic("cluster.target.upstream_cx_total") == 0)
            }
        }
    }

    /// Envoy names the reason; the TLS library of this proxy has no other alert for what the check of its own refuses.
    @Test("whatever is wrong with a client's certificate, its alert is certificate_unknown")
    func alert() async throws {
        let origin = try Origin.http()
        let expired = try authority.issue(uris: [Self.sleep], until: -60)
        let foreign = try TLSAuthority("other root").issue(uris: [Self.sleep])
        for identity in [expired, foreign] {
            try await TestBench.run({ configuration(at: $0, origin: origin.endpoint, context(mutual: true)) }) {
                bench in
                let client = try TLSPeer.client(
                    bench.connect(), serverName: "api.example", identity: identity, maximum: .tlsv12)
                #expect {
                    try client.handshake()
                } throws: {
                    "\($0)".contains("CERTIFICATE_UNKNOWN")
                }
            }
        }
    }

    @Test("where a certificate may be left away, one that is shown must still be good")
    func optional() async throws {
        let origin = try Origin.http()
        let other = try TLSAuthority("other root")
        var model = context(mutual: true)
        model.requireClientCertificate = false
        let context = model
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint, context) }) { bench in
            let without = try TLSPeer.client(bench.connect(), serverName: nil)
            try without.handshake()
            try without.send(request)
            #expect(try without.receiveMessage().body == "hello")
            let wrong = try TLSPeer.client(
                bench.connect(), serverName: nil, identity: try other.issue(uris: [Self.sleep]))
            #expect(throws: (any Error).self) {
                try wrong.handshake()
                if try wrong.receive().isEmpty { throw TLSPeer.HandshakeFailed(description: "closed") }
            }
            #expect(bench.closed())
            #expect(statistic(bench, "ssl.fail_verify_error") == 1)
        }
    }

    @Test("a TCP chain behind TLS passes the plain bytes, and half-closed ends both ways")
    func tcp() async throws {
        let origin = try Origin { socket in
            let all = try socket.receiveAll()
            try socket.send([UInt8](repeating: 3, count: all.count * 2))
        }
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint, context(), tcp: true) }) { bench in
            for size in [1, 300_000] {
                let client = try TLSPeer.client(bench.connect(), serverName: "api.example")
                try client.handshake()
                try client.send([UInt8](repeating: 1, count: size))
                try client.finishSending()
                #expect(try client.receiveAll().count == size * 2)
            }
            let record = try #require(bench.record(1))
            #expect(record.bytesReceived == 300_000 && record.bytesSent == 600_000)
            #expect(record.downstreamTLSVersion == "TLSv1.3")
            #expect(record.upstreamHost == origin.endpoint)
        }
    }

    @Test("a TCP chain connects beside the handshake, so a refused client leaves a line and an empty connection")
    func tcpRefused() async throws {
        let seen = Collector<Int>()
        let origin = try Origin { seen.add(try $0.receiveAll().count) }
        let model = context(mutual: true)
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint, model, tcp: true) }) { bench in
            let client = try TLSPeer.client(bench.connect(), serverName: "api.example", maximum: .tlsv12)
            #expect(throws: (any Error).self) { try client.handshake() }
            let record = try #require(bench.record())
            #expect(record.responseFlags == [])
            #expect(record.bytesReceived == 0)
            #expect(
                record.downstreamTransportFailureReason
                    == "TLS_error:|268435648:SSL_routines:OPENSSL_internal:PEER_DID_NOT_RETURN_A_CERTIFICATE:"
                    + "peer_did_not_provide_required_client_certificate:TLS_error_end")
            #expect(bench.proxy.accessLogRecords().count == 1)
            #expect(seen.wait { $0.first } == 0)
        }
    }

    @Test("a TCP chain behind TLS whose upstream refuses says so, though its handshake was cut short")
    func tcpUnreachable() async throws {
        try await TestBench.run({ configuration(at: $0, origin: Origin.refusing(), context(), tcp: true) }) { bench in
            let client = try TLSPeer.client(bench.connect(), serverName: "api.example")
            #expect(throws: (any Error).self) {
                try client.handshake()
                if try client.receive().isEmpty { throw TLSPeer.HandshakeFailed(description: "closed") }
            }
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["UF", "URX"])
            #expect(record.upstreamTransportFailureReason == "delayed_connect_error:_Connection_refused")
        }
    }

    @Test("a chain without its certificate closes connections at once")
    func missingSecret() async throws {
        let origin = try Origin.http()
        let model = DownstreamTLSContext(tlsCertificate: "absent")
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint, model) }) { bench in
            let client = try TLSPeer.client(bench.connect(), serverName: "api.example")
            #expect(throws: (any Error).self) { try client.handshake() }
            #expect(
                bench.record()?.downstreamTransportFailureReason == "TLS_error:_Secret_is_not_supplied_by_SDS")
            #expect(
                statistic(bench, "server_ssl_socket_factory.downstream_context_secrets_not_ready") == 1)
        }
    }

    @Test("a secret that comes with an update is used by the next connection")
    func secretArrives() async throws {
        let origin = try Origin.http()
        try await TestBench.run({
            var result = configuration(at: $0, origin: origin.endpoint, context())
            result.secrets = []
            return result
        }) { bench in
            let early = try TLSPeer.client(bench.connect(), serverName: "api.example")
            #expect(throws: (any Error).self) { try early.handshake() }
            try await bench.proxy.update(configuration(at: bench.address, origin: origin.endpoint, context()))
            let client = try TLSPeer.client(bench.connect(), serverName: "api.example")
            try client.handshake()
            try client.send(request)
            #expect(try client.receiveMessage().body == "hello")
        }
    }
}
