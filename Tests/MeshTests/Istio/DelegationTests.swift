import Manifests
import Testing

@testable import Mesh

@Suite("VirtualServices that delegate") struct DelegationTests {
    private static func root(_ routes: String) -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: root, namespace: default}
        spec:
          hosts: [api.example]
          http: \(routes)
        ---

        """
    }

    private static func delegate(_ routes: String, exportTo: String = "[\"*\"]") -> String {
        """
        apiVersion: networking.istio.io/v1
        kind: VirtualService
        metadata: {name: team, namespace: teams}
        spec:
          exportTo: \(exportTo)
          http: \(routes)
        """
    }

    private static let toTeam = "delegate: {name: team, namespace: teams}"

    private static func merge(_ yaml: String) -> (rules: [VirtualService.HTTPRoute], diagnostics: [Diagnostic]) {
        var resources = ResourceSet()
        let read = ManifestReader.read(text: yaml, file: "rules.yaml")
        read.value.forEach { resources.apply($0) }
        let delegation = Delegation(resources)
        #expect(delegation.virtualServices.count == 1, "delegates are no rules of their own")
        return (delegation.virtualServices.flatMap(\.http), read.diagnostics + delegation.diagnostics)
    }

    @Test("the delegate's rules stand in the root's place, under both conditions and names")
    func merged() throws {
        let (rules, diagnostics) = Self.merge(
            Self.root(
                "[{name: a, match: [{uri: {prefix: /a}, port: 80}], timeout: 3s, \(Self.toTeam)}, {name: z, route: [{destination: {host: z}}]}]"
            )
                + Self.delegate(
                    "[{name: b, match: [{uri: {prefix: /a/b}, method: {exact: GET}}], route: [{destination: {host: web}}]},"
                        + " {timeout: 1s, route: [{destination: {host: other.example}}]}]"))
        #expect(diagnostics.isEmpty)
        #expect(rules.map(\.name) == ["a-b", "a", "z"])
        #expect(rules.map(\.timeoutMs) == [3000, 1000, nil])
        #expect(rules[0].match.map(\.uri) == [.prefix("/a/b")])
        #expect(rules[0].match.map(\.method) == [.exact("GET")])
        #expect(rules[0].match.map(\.port) == [80])
        #expect(rules[1].match.map(\.uri) == [.prefix("/a")])
        // A short name is one of the delegate's namespace.
        #expect(rules[0].route.map(\.host) == ["web.teams.svc.cluster.local"])
    }

    @Test(
        "conditions that can't hold together leave the rule out, with a word about it",
        arguments: [
            ("{prefix: /a}", "{prefix: /b}"), ("{exact: /a}", "{prefix: /a}"), ("{exact: /a}", "{exact: /ab}"),
            ("{regex: /a.*}", "{exact: /a}"), ("{prefix: /a}", "{regex: /a}"),
        ])
    func conflicts(outer: String, inner: String) {
        let (rules, diagnostics) = Self.merge(
            Self.root("[{match: [{uri: \(outer)}], \(Self.toTeam)}]")
                + Self.delegate("[{match: [{uri: \(inner)}], route: [{destination: {host: web}}]}]"))
        #expect(rules.isEmpty)
        #expect(diagnostics.map(\.severity) == [.warning])
        #expect(diagnostics.first?.location?.line == 6)
    }

    @Test("a delegate that is not there, or not exported to the root, is told at its line")
    func missing() {
        let (rules, diagnostics) = Self.merge(Self.root("[{\(Self.toTeam)}]"))
        #expect(rules.isEmpty)
        #expect(diagnostics.first?.message.contains("no VirtualService teams/team") == true)
        let (none, said) = Self.merge(
            Self.root("[{\(Self.toTeam)}]")
                + Self.delegate("[{route: [{destination: {host: web}}]}]", exportTo: "[\".\"]"))
        #expect(none.isEmpty)
        #expect(said.first?.message.contains("not exported") == true)
    }
}
