import ProxyModel
import Testing

@testable import Manifests
@testable import Mesh

@Suite struct AccessLogPassTests {
    private static func telemetry(_ name: String, in namespace: String = "default", _ spec: String) -> String {
        """
        apiVersion: telemetry.istio.io/v1
        kind: Telemetry
        metadata: {name: \(name), namespace: \(namespace)}
        spec: {\(spec)}
        ---

        """
    }

    private static func fixture(_ manifests: String, file: String? = "/dev/stdout") -> IstioFixture {
        IstioFixture(manifests) { mesh in
            mesh.accessLogFile = file
            mesh.fileAccessLogs = [
                FileAccessLog(
                    name: "own", path: "/dev/stderr", format: .text("own"), location: SourceLocation(file: "mesh.yaml"))
            ]
            mesh.providerNames = ["own", "otel"]
        }
    }

    private static let errorsEverywhere = telemetry(
        "all", in: "istio-system",
        "accessLogging: [{providers: [{name: envoy}], filter: {expression: 'response.code >= 400'}}]")

    @Test("without a Telemetry the mesh's own settings hold, in both directions")
    func mesh() {
        let configuration = Self.fixture("").configuration
        #expect(configuration.accessLogs.first?.format == .istioText && configuration.inboundAccessLogs == nil)
    }

    @Test("a Telemetry turns a log on that the mesh has not, and filters it")
    func rootNamespace() {
        let configuration = Self.fixture(Self.errorsEverywhere, file: "").configuration
        #expect(configuration.accessLogs.first?.filter == "response.code >= 400")
        #expect(configuration.inboundAccessLogs == nil && configuration.writesAccessLog)
    }

    @Test("the namespace wins over the mesh, and the workload over the namespace")
    func precedence() {
        let quiet = Self.telemetry("quiet", "accessLogging: [{disabled: true}]")
        #expect(Self.fixture(Self.errorsEverywhere + quiet).configuration.writesAccessLog == false)
        let own = Self.telemetry(
            "own", "selector: {matchLabels: {app: sleep}}, accessLogging: [{providers: [{name: own}]}]")
        let log = Self.fixture(Self.errorsEverywhere + quiet + own).configuration.accessLogs
        #expect(log == [AccessLogConfiguration(path: "/dev/stderr", format: .text("own"))])
        let other = Self.telemetry(
            "own", "selector: {matchLabels: {app: other}}, accessLogging: [{providers: [{name: own}]}]")
        #expect(Self.fixture(other).configuration.accessLogs.first?.format == .istioText)
        let elsewhere = Self.telemetry("far", in: "elsewhere", "accessLogging: [{disabled: true}]")
        #expect(Self.fixture(elsewhere).configuration.writesAccessLog)
    }

    @Test("the providers of one Telemetry log the same traffic, each in its own file and form, by its own filter")
    func several() {
        let both = Self.telemetry(
            "both",
            "accessLogging: [{providers: [{name: envoy}]}, "
                + "{providers: [{name: own}], filter: {expression: 'response.code >= 500'}}]")
        let configuration = Self.fixture(Self.errorsEverywhere + both).configuration
        #expect(configuration.accessLogs.map(\.path) == ["/dev/stdout", "/dev/stderr"])
        #expect(configuration.accessLogs.map(\.format) == [.istioText, .text("own")])
        #expect(configuration.accessLogs.map(\.filter) == [nil, "response.code >= 500"])
    }

    @Test("a narrower Telemetry names the providers anew")
    func narrower() {
        let both = Self.telemetry(
            "both", in: "istio-system", "accessLogging: [{providers: [{name: envoy}, {name: own}]}]")
        let one = Self.telemetry("one", "accessLogging: [{providers: [{name: own}]}]")
        #expect(Self.fixture(both + one).configuration.accessLogs.map(\.path) == ["/dev/stderr"])
    }

    @Test("a mode names one side of connections")
    func modes() {
        let server = Self.telemetry(
            "server", "accessLogging: [{providers: [{name: envoy}]}, {match: {mode: SERVER}, disabled: true}]")
        let configuration = Self.fixture(server).configuration
        #expect(configuration.accessLogs(of: .outbound).count == 1 && configuration.accessLogs(of: .inbound).isEmpty)
        #expect(configuration.inboundAccessLogs == [])
    }

    @Test("operators that Envoy does not know are errors, others without a value here are warnings")
    func formats() {
        let location = SourceLocation(file: "mesh.yaml", line: 7)
        let diagnostics = IstioFixture {
            $0.accessLogFormat = Located("%NO_SUCH% %UNIQUE_ID% %DURATION%", at: location)
        }.compile().diagnostics.filter { $0.location == location }
        #expect(diagnostics.map(\.severity) == [.error, .warning])
        #expect(diagnostics.first?.message.contains("%NO_SUCH%") ?? false)
    }

    @Test("expressions and providers that mean nothing here are told where they stand")
    func mistakes() {
        let wrong = Self.telemetry(
            "wrong", "accessLogging: [{providers: [{name: otel}, {name: nobody}], filter: {expression: 'a.b ='}}]")
        let messages = Self.fixture(wrong).compile().diagnostics.map(\.message)
        #expect(messages.contains { $0.hasPrefix("the provider otel writes no file") })
        #expect(messages.contains { $0.hasPrefix("there is no provider nobody") })
        let filter = Self.telemetry("filter", "accessLogging: [{filter: {expression: 'response.code =='}}]")
        let diagnostics = Self.fixture(filter).compile().diagnostics
        #expect(diagnostics.contains { $0.severity == .unsupported && $0.message.contains("it ends too early") })
    }
}
