import Envoy
import Foundation
import ProxyModel
import TestSupport
import Testing

@Suite("Envoy's configuration")
struct EnvoyBootstrapTests {
    @Test("a sidecar's bootstrap is self-contained, with routes and all")
    func inline() throws {
        Golden.expect(try EnvoyBootstrap(EnvoyFixture.sidecar).json, equals: "inline.json")
    }

    @Test("with files, the bootstrap names them and brings the sockets of admin and fence")
    func bootstrapForFiles() throws {
        let bootstrap = try EnvoyBootstrap(
            EnvoyFixture.sidecar, resources: .files(directory: "/run/envoy"), adminSocket: "/run/admin.sock",
            fenceSocket: "/run/fence.sock")
        Golden.expect(bootstrap.json, equals: "files/bootstrap.json")
    }

    @Test("each file has its version and its resources; every table and every secret has a file of its own")
    func files() throws {
        let files = try EnvoyResourceFiles(EnvoyFixture.sidecar, version: "7", directory: "/run/envoy")
        #expect(files.routes.map(\.routeConfiguration) == ["80", "inbound|8080||"])
        #expect(files.secrets.map(\.secret) == ["ROOTCA", "default", "file-root:system"])
        let named = files.routes.map { ($0.name, $0.content) } + files.secrets.map { ($0.name, $0.content) }
        for (name, content) in [files.listeners, files.clusters] + named {
            Golden.expect(content, equals: "files/\(name)")
        }
    }

    @Test("raising a cluster's policy generation changes that cluster and nothing else")
    func policyGeneration() throws {
        let before = try EnvoyResourceFiles(EnvoyFixture.sidecar, version: "7", directory: "/run")
        let after = try EnvoyResourceFiles(
            EnvoyFixture.sidecar, version: "7", directory: "/run",
            policyGenerations: [try #require(EnvoyFixture.sidecar.clusters.first).name: 1])
        #expect(before.listeners == after.listeners)
        #expect(before.routes.map(\.content) == after.routes.map(\.content))
        let changed = after.clusters.content.components(separatedBy: "\"policy_generation\": 1").count - 1
        #expect(changed == 1)
    }

    @Test("names of tables never share a file")
    func fileNames() throws {
        let names = ["a|b", "a%7Cb", "a/b", "a b", "ä"]
        let files = try EnvoyResourceFiles(
            EnvoyFixture.proxy(routes: names.map { RouteConfiguration(name: $0, virtualHosts: []) }), version: "1",
            directory: "/run")
        #expect(Set(files.routes.map(\.name)).count == names.count)
        #expect(files.routes.allSatisfy { $0.name.hasPrefix("rds/") && $0.name.split(separator: "/").count == 2 })
    }

    @Test("a table that is named and missing is an empty one, which answers 404")
    func missingTable() throws {
        let files = try EnvoyResourceFiles(
            EnvoyFixture.proxy(listeners: [EnvoyFixture.http]), version: "1", directory: "/run")
        #expect(files.routes.map(\.routeConfiguration) == ["80"])
        #expect(files.routes.first?.content.contains("\"virtual_hosts\": []") == true)
    }

    @Test("a domain that occurs twice stays with the first host, as Envoy wants no others")
    func domains() throws {
        let hosts = [("one", ["a.example", "A.example"]), ("two", ["a.example"]), ("three", ["a.example", "*"])].map {
            VirtualHost(name: $0, domains: $1, routes: [])
        }
        let files = try EnvoyResourceFiles(
            EnvoyFixture.proxy(routes: [RouteConfiguration(name: "80", virtualHosts: hosts)]), version: "1",
            directory: "/run")
        let content = try #require(files.routes.first?.content)
        #expect(content.contains("\"one\"") && content.contains("\"three\"") && !content.contains("\"two\""))
        #expect(content.components(separatedBy: ".example\"").count == 2)
    }
}
