import Envoy
import NetworkAddresses
import ProxyModel
import Testing

@Suite("What Envoy can't do is refused by name")
struct EnvoyRenderingErrorTests {
    private func error(_ configuration: ProxyConfiguration) -> EnvoyRenderingError? {
        do throws(EnvoyRenderingError) {
            _ = try EnvoyBootstrap(configuration)
            return nil
        } catch {
            return error
        }
    }

    private func error(_ route: Route) -> EnvoyRenderingError? {
        let host = VirtualHost(name: "a", domains: ["*"], routes: [route])
        return error(EnvoyFixture.proxy(routes: [RouteConfiguration(name: "80", virtualHosts: [host])]))
    }

    @Test("command operators that it does not know")
    func operators() {
        let log = AccessLogConfiguration(format: .text("%PROTOCOL% %MIXER_STATUS%"))
        #expect(error(EnvoyFixture.proxy(accessLogs: [log]))?.problem.contains("%MIXER_STATUS%") == true)
    }

    @Test("two names behind LOGICAL_DNS")
    func logicalDNS() {
        let cluster = Cluster(
            name: "c", discovery: .logicalDNS,
            endpoints: [Endpoint(host: "a.example", port: 80), Endpoint(host: "b.example", port: 80)])
        #expect(error(EnvoyFixture.proxy(clusters: [cluster]))?.place == "cluster 'c'")
    }

    @Test("names among static endpoints")
    func staticNames() {
        let cluster = Cluster(
            name: "c", discovery: .endpointDiscovery, endpoints: [Endpoint(host: "a.example", port: 80)])
        #expect(error(EnvoyFixture.proxy(clusters: [cluster]))?.problem.contains("'a.example'") == true)
    }

    @Test("query parameters that must not match")
    func invertedQuery() {
        let field = RouteMatch.Field(name: "v", match: .exact("1"), inverted: true)
        let route = Route(
            name: "r", match: RouteMatch(queryParameters: [field]), action: .directResponse(status: 200, body: ""))
        #expect(error(route)?.place == "route 'r' of 'a' in '80'")
    }

    @Test("answers with a status that HTTP does not have, and routes to nowhere")
    func answers() {
        #expect(error(Route(action: .directResponse(status: 99, body: ""))) != nil)
        #expect(error(Route(action: .forward(ForwardAction(clusters: [])))) != nil)
    }

    @Test("names of certificates without trusted roots")
    func untrustedNames() {
        let context = UpstreamTLSContext(
            validation: CertificateValidation(trustedCA: nil, subjectAltNames: [.exact("a.example")]))
        let cluster = Cluster(name: "c", discovery: .staticEndpoints, transportSocket: context)
        #expect(error(EnvoyFixture.proxy(clusters: [cluster])) != nil)
    }

    @Test("a listener without address")
    func address() {
        let listener = Listener(name: "l", addresses: [], trafficDirection: .outbound)
        #expect(error(EnvoyFixture.proxy(listeners: [listener]))?.place == "listener 'l'")
    }
}
