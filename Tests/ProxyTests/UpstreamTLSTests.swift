import NIOSSL
import NetworkAddresses
import Proxy
import ProxyModel
import TestSupport
import Testing

/// Words and counters as Envoy 1.40 has them for the same servers.
@Suite struct UpstreamTLSTests {
    private static let verifyFailed =
        "TLS_error:|268435581:SSL_routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED:verify_cert_failed:"
    private static let chainFailed = verifyFailed + "_X509_verify_cert:_certificate_verification_error_at_depth_"

    private let authority: TLSAuthority
    private let site: TLSAuthority.Identity

    init() throws {
        authority = try TLSAuthority()
        site = try authority.issue(dns: ["api.example"], usage: .server)
    }

    private func cluster(
        _ endpoint: IPEndpoint, names: [StringMatch] = [.exact("api.example")], certificate: String? = nil,
        maximum: TLSProtocolVersion = .tls13, connectTimeoutMs: Int = 5000
    ) -> Cluster {
        var cluster = Cluster.fixed([endpoint], connectTimeoutMs: connectTimeoutMs)
        cluster.transportSocket = UpstreamTLSContext(
            serverName: "api.example", tlsCertificate: certificate,
            validation: CertificateValidation(trustedCA: "roots", subjectAltNames: names), maximumVersion: maximum)
        return cluster
    }

    private func configuration(
        at address: IPEndpoint, _ cluster: Cluster, secrets: [ProxySecret] = []
    ) -> ProxyConfiguration {
        var result = ProxyConfiguration.http(at: address, hosts: [.all()], clusters: [cluster])
        result.secrets = [authority.roots("roots")] + secrets
        return result
    }

    /// Answers one request.
    private static let answer: @Sendable (TLSPeer) throws -> Void = { peer in
        while true {
            let message = try peer.receiveMessage()
            if message.head.isEmpty { return }
            try peer.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        }
    }

    /// The head of the answer; empty when there is none.
    private func get(_ bench: TestBench, host: String = "api.example") -> String {
        guard let client = try? bench.connect() else { return "" }
        try? client.send("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
        return (try? client.receiveMessage().head) ?? ""
    }

    /// Expects a request to fail with `reason`, and the counter to say so.
    private func expectFailure(
        of origin: IPEndpoint, _ reason: String?, counter: String?, names: [StringMatch] = [.exact("api.example")],
        certificate: String? = nil, secrets: [ProxySecret] = [], maximum: TLSProtocolVersion = .tls13,
        sourceLocation: SourceLocation = #_sourceLocation
    ) async throws {
        let cluster = cluster(origin, names: names, certificate: certificate, maximum: maximum)
        try await TestBench.run({ configuration(at: $0, cluster, secrets: secrets) }) { bench in
            #expect(get(bench).hasPrefix("HTTP/1.1 503"), sourceLocation: sourceLocation)
            let record = try #require(bench.record(), sourceLocation: sourceLocation)
            #expect(record.responseFlags == ["UF"], sourceLocation: sourceLocation)
            #expect(record.upstreamTransportFailureReason == reason, sourceLocation: sourceLocation)
            let details = reason.map { "|" + $0 } ?? ""
            #expect(
                record.responseCodeDetails
                    == "upstream_reset_before_response_started{remote_connection_failure\(details)}",
                sourceLocation: sourceLocation)
            #expect(
                bench.proxy.statistic("cluster.target.upstream_cx_connect_fail") == 1, sourceLocation: sourceLocation)
            if let counter {
                #expect(bench.proxy.statistic("cluster.target.ssl.\(counter)") == 1, sourceLocation: sourceLocation)
            }
        }
    }

    @Test("a server with a good certificate is spoken to in TLS, on a connection that is kept")
    func good() async throws {
        let connections = Collector<Int>()
        let origin = try Origin.tls(site) { peer in
            connections.add(1)
            try Self.answer(peer)
        }
        try await TestBench.run({ configuration(at: $0, cluster(origin.endpoint)) }) { bench in
            for _ in 0..<3 { #expect(get(bench).hasPrefix("HTTP/1.1 200")) }
            let record = try #require(bench.record(2))
            #expect(record.upstreamTLSVersion == "TLSv1.3")
            #expect(record.upstreamTransportFailureReason == nil)
            #expect(connections.all.count == 1)
            #expect(bench.proxy.statistic("cluster.target.ssl.handshake") == 1)
            #expect(bench.proxy.statistic("cluster.target.ssl.versions.TLSv1.3") == 1)
        }
    }

    @Test("an intermediate authority that the server sends along leads to the root")
    func intermediate() async throws {
        let inner = try TLSAuthority("inner", under: authority)
        let origin = try Origin.tls(try inner.issue(dns: ["*.example"]), Self.answer)
        try await TestBench.run({ configuration(at: $0, cluster(origin.endpoint)) }) { bench in
            #expect(get(bench).hasPrefix("HTTP/1.1 200"))
        }
    }

    @Test("certificates that don't do are refused with BoringSSL's reason")
    func refused() async throws {
        let other = try TLSAuthority("other root")
        let inner = try TLSAuthority("inner", under: authority)
        let foreign = try TLSAuthority("inner", under: other)
        let names = ["api.example"]
        let cases: [(TLSAuthority.Identity, String, String)] = [
            (try other.issue(dns: names), "0:_unable_to_get_local_issuer_certificate", "unknown authority"),
            (try inner.issue(dns: names, withIntermediates: false), "0:_unable_to_get_local_issuer_certificate", "gap"),
            (try foreign.issue(dns: names), "1:_unable_to_get_local_issuer_certificate", "known way, unknown end"),
            (try authority.issue(dns: names, until: -60), "0:_certificate_has_expired", "expired"),
            (try authority.issue(dns: names, from: 600), "0:_certificate_is_not_yet_valid", "not yet"),
            (try TLSAuthority.selfSigned(dns: names), "0:_self_signed_certificate", "self"),
            (try authority.issue(dns: names, usage: .client), "0:_unsupported_certificate_purpose", "purpose"),
        ]
        for (identity, words, _) in cases {
            let origin = try Origin.tls(identity, Self.answer)
            try await expectFailure(
                of: origin.endpoint, Self.chainFailed + words + ":TLS_error_end", counter: "fail_verify_error")
        }
        var withRoot = try other.issue(dns: names)
        withRoot.chain += "\n" + other.pem
        let origin = try Origin.tls(withRoot, Self.answer)
        try await expectFailure(
            of: origin.endpoint,
            Self.chainFailed + "1:_self_signed_certificate_in_certificate_chain:TLS_error_end",
            counter: "fail_verify_error")
    }

    @Test("a certificate for other names is refused, and its names are told")
    func otherName() async throws {
        let origin = try Origin.tls(
            try authority.issue(dns: ["else.example"], uris: ["spiffe://x/y"]), Self.answer)
        try await expectFailure(
            of: origin.endpoint,
            Self.verifyFailed + "_SAN_matcher,_certificate_SANs_are_[else.example,_spiffe://x/y]:TLS_error_end",
            counter: "fail_verify_san")
    }

    @Test("workload identities are told apart, also where the names are critical and there is no subject")
    func spiffe() async throws {
        let id = "spiffe://cluster.local/ns/default/sa/server"
        let origin = try Origin.tls(try authority.issue(uris: [id], criticalNames: true), Self.answer)
        try await TestBench.run({ configuration(at: $0, cluster(origin.endpoint, names: [.exact(id)])) }) { bench in
            #expect(get(bench).hasPrefix("HTTP/1.1 200"))
            #expect(bench.record()?.upstreamPeerURISAN == id)
        }
        try await expectFailure(
            of: origin.endpoint, Self.verifyFailed + "_SAN_matcher,_certificate_SANs_are_[\(id)]:TLS_error_end",
            counter: "fail_verify_san", names: [.exact(id + "2")])
    }

    @Test("servers that don't speak TLS, or not ours, are told apart")
    func notTLS() async throws {
        let closing = try Origin { _ = try $0.receive() }
        let wrongVersion = "TLS_error:|268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end"
        let banner = try Origin { socket in
            try socket.send("220 smtp\r\n")
            _ = try socket.receiveAll()
        }
        try await expectFailure(of: banner.endpoint, wrongVersion, counter: "connection_error")
        try await expectFailure(of: closing.endpoint, nil, counter: nil)
        let old = try Origin.tls(site, maximum: .tlsv12, Self.answer)
        var cluster = cluster(old.endpoint)
        cluster.transportSocket?.minimumVersion = .tls13
        try await TestBench.run({ configuration(at: $0, cluster) }) { bench in
            #expect(get(bench).hasPrefix("HTTP/1.1 503"))
            #expect(
                bench.record()?.upstreamTransportFailureReason
                    == "TLS_error:|268436526:SSL_routines:OPENSSL_internal:TLSV1_ALERT_PROTOCOL_VERSION:TLS_error_end")
        }
    }

    @Test("a server that is silent in its handshake runs into the connect timeout")
    func silent() async throws {
        let origin = try Origin { socket in
            _ = try socket.receive()
            _ = try socket.receive()
        }
        try await TestBench.run({ configuration(at: $0, cluster(origin.endpoint, connectTimeoutMs: 100)) }) { bench in
            #expect(get(bench).hasPrefix("HTTP/1.1 503"))
            let record = try #require(bench.record())
            #expect(record.responseCodeDetails == "upstream_reset_before_response_started{connection_timeout}")
            #expect(record.upstreamTransportFailureReason == nil)
            #expect(bench.proxy.statistic("cluster.target.upstream_cx_connect_timeout") == 1)
        }
    }

    @Test("a client certificate is shown to servers that ask; being refused in TLS 1.3 looks like a closed connection")
    func clientCertificate() async throws {
        let id = "spiffe://cluster.local/ns/default/sa/sleep"
        let mine = try authority.issue(uris: [id], criticalNames: false)
        let origin = try Origin.tls(site, roots: authority.pem, Self.answer)
        let secrets = [mine.secret("default")]
        try await TestBench.run({
            configuration(at: $0, cluster(origin.endpoint, certificate: "default"), secrets: secrets)
        }) { #expect(get($0).hasPrefix("HTTP/1.1 200")) }
        try await TestBench.run({ configuration(at: $0, cluster(origin.endpoint)) }) { bench in
            #expect(get(bench).hasPrefix("HTTP/1.1 503"))
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["UC"])
            #expect(record.responseCodeDetails == "upstream_reset_before_response_started{connection_termination}")
            #expect(record.upstreamTransportFailureReason == nil)
        }
        let old = try Origin.tls(site, roots: authority.pem, maximum: .tlsv12, Self.answer)
        try await expectFailure(
            of: old.endpoint,
            "TLS_error:|268436496:SSL_routines:OPENSSL_internal:SSLV3_ALERT_HANDSHAKE_FAILURE:TLS_error_end",
            counter: "connection_error")
    }

    @Test("a missing secret fails connections before anything is sent")
    func missingSecret() async throws {
        let seen = Collector<Int>()
        let origin = try Origin { socket in seen.add(try socket.receiveAll().count) }
        var cluster = cluster(origin.endpoint)
        cluster.transportSocket?.validation?.trustedCA = "absent"
        try await TestBench.run({ configuration(at: $0, cluster) }) { bench in
            #expect(get(bench).hasPrefix("HTTP/1.1 503"))
            #expect(
                bench.record()?.upstreamTransportFailureReason == "TLS_error:_Secret_is_not_supplied_by_SDS")
            #expect(
                bench.proxy.statistic(
                    "cluster.target.client_ssl_socket_factory.upstream_context_secrets_not_ready") == 1)
            #expect(seen.wait { $0.first } == 0)
        }
    }

    @Test("with auto_sni the Host is the server name and what the certificate must be for, a pool for each")
    func automatic() async throws {
        let names = Collector<String>()
        let origin = try Origin.tls(try authority.issue(dns: ["a.example", "b.example"])) { peer in
            names.add("connected")
            try Self.answer(peer)
        }
        var cluster = cluster(origin.endpoint)
        cluster.transportSocket = UpstreamTLSContext(
            autoServerName: true, autoSANValidation: true, validation: CertificateValidation(trustedCA: "roots"))
        let model = cluster
        try await TestBench.run({ configuration(at: $0, model) }) { bench in
            #expect(get(bench, host: "a.example:8443").hasPrefix("HTTP/1.1 200"))
            #expect(get(bench, host: "b.example").hasPrefix("HTTP/1.1 200"))
            #expect(get(bench, host: "a.example").hasPrefix("HTTP/1.1 200"))
            #expect(names.all.count == 2)
            #expect(get(bench, host: "c.example").hasPrefix("HTTP/1.1 503"))
            #expect(
                bench.record(3)?.upstreamTransportFailureReason
                    == Self.verifyFailed
                    + "_verify_SAN_list,_expected_SANs:_[c.example],_certificate_SANs:_[a.example,_b.example]:TLS_error_end"
            )
        }
    }

    @Test("endpoints get the transport socket that their metadata chooses")
    func matches() async throws {
        let secured = try Origin.tls(site, Self.answer)
        let plain = try Origin.http()
        for (origin, metadata) in [(secured.endpoint, ["tlsMode": "istio"]), (plain.endpoint, [:])] {
            var cluster = cluster(origin)
            cluster.transportSocketMatches = [
                TransportSocketMatch(
                    name: "tlsMode-istio", match: ["tlsMode": "istio"], context: cluster.transportSocket),
                TransportSocketMatch(name: "tlsMode-disabled"),
            ]
            cluster.transportSocket = nil
            cluster.endpoints[0].metadata = metadata
            let model = cluster
            try await TestBench.run({ configuration(at: $0, model) }) { bench in
                #expect(get(bench).hasPrefix("HTTP/1.1 200"))
                #expect(bench.record()?.upstreamTLSVersion == (metadata.isEmpty ? nil : "TLSv1.3"))
            }
        }
    }

    @Test("a TCP chain originates TLS, both ways and with half-closed ends")
    func tcp() async throws {
        let origin = try Origin.tls(site) { peer in
            let all = try peer.receiveAll()
            try peer.send([UInt8](repeating: 7, count: all.count * 2))
            try peer.finishSending()
        }
        try await TestBench.run({ address in
            var result = ProxyConfiguration.tcp(at: address, to: cluster(origin.endpoint))
            result.secrets = [authority.roots("roots")]
            return result
        }) { bench in
            for size in [1, 200_000] {
                let client = try bench.connect()
                try client.send([UInt8](repeating: 1, count: size))
                client.finishSending()
                #expect(try client.receiveAll().count == size * 2)
            }
            let record = try #require(bench.record(1))
            #expect(record.responseFlags == [])
            #expect(record.upstreamTLSVersion == "TLSv1.3")
            #expect(record.bytesSent == 400_000)
        }
    }

    @Test("a TCP chain whose upstream can't be trusted closes with UF,URX")
    func tcpRefused() async throws {
        let origin = try Origin.tls(try authority.issue(dns: ["else.example"]), Self.answer)
        try await TestBench.run({ address in
            var result = ProxyConfiguration.tcp(at: address, to: cluster(origin.endpoint))
            result.secrets = [authority.roots("roots")]
            return result
        }) { bench in
            let client = try bench.connect()
            try client.send("x")
            #expect(client.receivesNothing)
            let record = try #require(bench.record())
            #expect(record.responseFlags == ["UF", "URX"])
            #expect(
                record.upstreamTransportFailureReason
                    == Self.verifyFailed + "_SAN_matcher,_certificate_SANs_are_[else.example]:TLS_error_end")
        }
    }
}
