import Foundation
import Lab
import NIOSSL
import Proxy
import ProxyModel
import Testing

@Suite struct LabSecretsTests {
    private let mesh: MeshCertificateAuthority
    private let secrets: LabSecrets
    private let authority: LabCertificateAuthority

    init() throws {
        mesh = try MeshCertificateAuthority()
        authority = try LabCertificateAuthority()
        secrets = LabSecrets(mesh: mesh, authority: authority)
    }

    private func configuration(_ context: UpstreamTLSContext?) -> ProxyConfiguration {
        ProxyConfiguration(
            node: ProxyNode(
                id: "sidecar~10.244.0.5~sleep-1.default~default.svc.cluster.local", role: .sidecar,
                namespace: "default", pod: "sleep-1", workload: "sleep", serviceAccount: "sleep"),
            clusters: [Cluster(name: "outbound|443||a.org", discovery: .staticEndpoints, transportSocket: context)])
    }

    private static let mutual = UpstreamTLSContext(
        tlsCertificate: ProxySecret.workloadIdentity,
        validation: CertificateValidation(trustedCA: ProxySecret.meshRoots))

    @Test("a configuration that refers to no secret stays as it is")
    func untouched() throws {
        #expect(try secrets.complete(configuration(nil)) == configuration(nil))
    }

    @Test("a proxy gets its own identity and the roots of the mesh, the same at each time")
    func identity() throws {
        let complete = try secrets.complete(configuration(Self.mutual))
        #expect(complete.secrets?.map(\.name) == ["ROOTCA", "default"])
        #expect(try secrets.complete(configuration(Self.mutual)) == complete)
        #expect(try secrets.complete(complete) == complete)
        guard case .tlsCertificate(let chain, _)? = complete.secret(named: "default")?.content else {
            Issue.record("no certificate")
            return
        }
        #expect(chain.contains(mesh.rootPEM))
        var other = configuration(Self.mutual)
        other.node.trustDomain = "corp.example"
        #expect(try secrets.complete(other).secret(named: "default") != complete.secret(named: "default"))
    }

    @Test("openssl reads the SPIFFE identity as the only name, and finds it issued by the mesh")
    func openssl() throws {
        let complete = try secrets.complete(configuration(Self.mutual))
        guard case .tlsCertificate(let chain, let key)? = complete.secret(named: "default")?.content else {
            Issue.record("no certificate")
            return
        }
        let folder = FileManager.default.temporaryDirectory.appending(path: "egress-lab-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        for (name, text) in [("chain.pem", chain), ("key.pem", key), ("root.pem", mesh.rootPEM)] {
            try Data(text.utf8).write(to: folder.appending(path: name))
        }
        func run(_ arguments: String...) throws -> String {
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["openssl"] + arguments
            process.currentDirectoryURL = folder
            let output = Pipe()
            process.standardOutput = output
            process.standardError = output
            try process.run()
            let text = try output.fileHandleForReading.readToEnd() ?? Data()
            process.waitUntilExit()
            return String(decoding: text, as: UTF8.self)
        }
        let text = try run("x509", "-in", "chain.pem", "-noout", "-text")
        #expect(text.contains("X509v3 Subject Alternative Name: critical"))
        #expect(text.contains("URI:spiffe://cluster.local/ns/default/sa/sleep\n"))
        #expect(text.contains("Subject: \n"))
        #expect(try run("verify", "-x509_strict", "-CAfile", "root.pem", "chain.pem").contains(": OK"))
        #expect(try run("pkey", "-in", "key.pem", "-noout", "-check").contains("valid"))
    }

    @Test("the machine's roots are the lab's authority; what else is missing stays missing")
    func systemRoots() throws {
        let simple = UpstreamTLSContext(
            tlsCertificate: ProxySecret.credential("absent"),
            validation: CertificateValidation(trustedCA: ProxySecret.systemRoots))
        let complete = try secrets.complete(configuration(simple))
        #expect(
            complete.secrets == [
                ProxySecret(name: ProxySecret.systemRoots, content: .validation(authority.rootPEM))
            ])
    }
}
