import Manifests
import NetworkAddresses
import ProxyModel
import Testing

@Suite("Istio 1.0")
struct CompatibilityTests {
    private func configuration(
        _ manifests: String = "", mode: MeshConfig.OutboundTrafficPolicy? = nil
    ) -> ProxyConfiguration {
        IstioFixture(manifests, mode: mode, compatibility: .istio10).configuration
    }

    @Test("Port 80 speaks HTTP in either mode and answers unknown hosts with 404, having no catch-all")
    func port80() throws {
        for mode in [MeshConfig.OutboundTrafficPolicy.registryOnly, .allowAny] {
            let configuration = configuration(mode: mode)
            let listener = try #require(configuration.listener("0.0.0.0_80"))
            // What is not HTTP finds no chain, and no default one: closed, in either mode.
            #expect(listener.filterChains.map(\.match.applicationProtocols) == [["http/1.0", "http/1.1", "h2c"]])
            #expect(listener.listenerFilters == [.httpInspector] && listener.defaultFilterChain == nil)
            #expect(configuration.table("80")?.virtualHosts == [])
        }
    }

    @Test("Under ALLOW_ANY a port is open until an HTTP Service or any ServiceEntry uses it")
    func openPorts() throws {
        let bare = configuration(mode: .allowAny)
        #expect(bare.listener("0.0.0.0_8000") == nil && bare.listener("0.0.0.0_443") == nil)
        #expect(bare.listener("virtualOutbound")?.defaultFilterChain?.tcpClusters == ["PassthroughCluster"])

        let http = configuration(Manifest.service("a", 8000, "http"), mode: .allowAny)
        #expect(http.listener("0.0.0.0_8000") != nil && http.table("8000")?.virtualHosts.count == 1)

        let tls = try #require(
            configuration(Manifest.entry("g", "www.google.com", 443, "HTTPS"), mode: .allowAny).listener("0.0.0.0_443"))
        #expect(tls.filterChains.map(\.match.serverNames) == [["www.google.com"]] && tls.defaultFilterChain == nil)

        let bound = configuration(
            Manifest.entry("d", "d.test", 5432, "TCP", extra: "addresses: [\"203.0.113.1\"]"), mode: .allowAny)
        #expect(bound.listener("203.0.113.1_5432") != nil)
        #expect(bound.listener("0.0.0.0_5432")?.filterChains == [])
        let service = configuration(Manifest.service("t", 5432, "tcp"), mode: .allowAny)
        #expect(service.listener("0.0.0.0_5432") == nil)
    }

    @Test("Nothing is sniffed: an unnamed port is TCP")
    func noSniffing() {
        let configuration = configuration(Manifest.service("a", 9000, "x"))
        #expect(configuration.listener("10.96.0.10_9000")?.filterChains.map(\.match) == [FilterChainMatch()])
        #expect(configuration.listener("10.96.0.10_9000")?.listenerFilters == [])
    }

    @Test("Hosts are listed with and without port; 15 s timeout, no retries, decorator sent, no newer headers")
    func routes() throws {
        let configuration = configuration(Manifest.entry("h", "httpbin.org", 80, "HTTP"))
        let table = try #require(configuration.table("80"))
        let host = try #require(table.virtualHosts.first)
        #expect(!table.ignoresPortInHost && host.domains == ["httpbin.org", "httpbin.org:80"])
        #expect(host.routes.first?.forward?.timeoutMs == 15_000 && host.routes.first?.forward?.retries == nil)
        #expect(host.routes.first?.decorator == "httpbin.org:80/*" && !host.includesAttemptCount)
        let manager = try #require(configuration.listener("0.0.0.0_80")?.filterChains.first?.manager)
        #expect(manager.propagatesDecorator && manager.requestHeadersToSet.isEmpty)
    }

    @Test("The access log is in the release's format, and off where accessLogFile is empty")
    func accessLog() {
        #expect(configuration().accessLogs.first?.format == .istio10Text)
        #expect(IstioFixture { $0.accessLogFile = "" }.configuration.accessLogs.isEmpty)
        func format(_ compatibility: Scenario.Compatibility, _ encoding: String?) -> AccessLogConfiguration.Format? {
            IstioFixture(compatibility: compatibility) {
                $0.accessLogFile = "/dev/stdout"
                $0.accessLogEncoding = encoding
            }.configuration.accessLogs.first?.format
        }
        #expect(format(.istio10, nil) == .istio10Text)
        #expect(format(.current, "TEXT") == .istioText)
        #expect(format(.current, "JSON") == .istioJSON)
    }
}
