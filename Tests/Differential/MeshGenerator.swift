/// Makes meshes and flows, each from a seed and an index alone.
///
/// What is random by nature is kept out: no cluster has two different endpoints, no name that a proxy resolves has two
/// addresses, and of two weights one is 0. Nor does a flow wait for long: what hangs by design is asked by commands
/// with a limit.
struct MeshGenerator: Sendable {
    /// A host outside the cluster.
    struct Host: Sendable {
        var name: String
        /// A name that a client asks for: the host's own, or one that its wildcard covers.
        var names: [String]
        var addresses: [String]
        var isSingle: Bool { addresses.count == 1 }
    }

    /// Something that a client can aim at, and a rule can be about.
    struct Target: Sendable {
        var host: String
        var names: [String]
        var namespace: String
        var ports: [(number: Int, protocol: String)]
        /// Its virtual addresses, as an address of each block.
        var addresses: [String]
        var isKubernetes = false
        var subsets: [String] = []
    }

    /// The pods of a mesh.
    struct Pod: Sendable {
        var namespace: String
        var name: String
        var hasSidecar: Bool
        var reference: String { "\(namespace)/\(name)" }
    }

    enum Families: Sendable { case ipv4, dual, ipv6 }

    var dice: Dice
    var mesh: GeneratedMesh
    var families = Families.ipv4
    /// Few ports, so that services meet on them.
    var ports: [Int] = []
    /// Where every server outside speaks first, and only TCP entries lie; nil in most meshes.
    var greetingPort: Int?
    var hosts: [Host] = []
    var pods: [Pod] = []
    var targets: [Target] = []

    /// What was added later has random numbers of its own.
    private static let laterStream: UInt64 = 0x6C61_7465_7220_6F6E

    /// The mesh number `index` of `seed`.
    static func mesh(seed: UInt64, index: Int) -> GeneratedMesh {
        var generator = MeshGenerator(
            dice: Dice(seed: seed, index: index), mesh: GeneratedMesh(name: "random-\(seed)-\(index)"))
        generator.generate()
        generator.dice = Dice(seed: seed ^ Self.laterStream, index: index)
        generator.extend()
        return generator.mesh
    }

    private mutating func generate() {
        ports = dice.some(dice.between(2...3), of: [8080, 8443, 5432, 9000, 6379, 3306, 27017])
        if dice.chance(90) { ports.insert(80, at: 0) }
        if dice.chance(75) { ports.append(443) }
        if dice.chance(12) { greetingPort = 25 }
        families = dice.weighted([.ipv4: 55, .dual: 35, .ipv6: 10], or: .ipv4)
        makeMeshConfiguration()
        makeInternet()
        makePods()
        makeServices()
        for number in 1...dice.between(1...5) { makeServiceEntry(number) }
        if dice.chance(40) { makeDestinationRules() }
        if dice.chance(65) { for number in 1...dice.between(1...3) { makeVirtualService(number) } }
        if dice.chance(30) { makeSidecars() }
        makeFlows()
        if dice.chance(60) { makeAssertions() }
    }

    private mutating func makeMeshConfiguration() {
        mesh.mesh = [:]
        switch dice.below(10) {
        case 0: break
        case 1...4: mesh.mesh["outboundTrafficPolicy"] = ["mode": "ALLOW_ANY"]
        default: mesh.mesh["outboundTrafficPolicy"] = ["mode": "REGISTRY_ONLY"]
        }
        mesh.mesh["accessLogFile"] = "/dev/stdout"
        var configuration: YAMLValue = [:]
        var metadata: YAMLValue = [:]
        if families == .dual { metadata["ISTIO_DUAL_STACK"] = "true" }
        if dice.chance(25) {
            metadata["ISTIO_META_DNS_CAPTURE"] = "true"
            if dice.chance(40) { metadata["CAPTURE_ALL_DNS"] = "true" }
        }
        if metadata != [:] { configuration["proxyMetadata"] = metadata }
        if dice.chance(10) {
            configuration["proxyHeaders"] = dice.pick(
                ["server": ["disabled": true]], ["requestId": ["disabled": true]],
                ["attemptCount": ["disabled": true]], ["metadataExchangeHeaders": ["mode": "IN_MESH"]])
        }
        if configuration != [:] { mesh.mesh["defaultConfig"] = configuration }
    }

    // MARK: Outside

    private mutating func makeInternet() {
        let names = ["a.example", "b.example", "api.c.example", "*.wild.example", "d.test"]
        for (position, name) in dice.some(dice.between(2...4), of: names).enumerated() {
            let ipv4 = "203.0.113.\(10 + position)"
            let ipv6 = "2001:db8:\(10 + position)::1"
            let addresses = dice.weighted(
                [[ipv4]: families == .ipv6 ? 20 : 60, [ipv6]: families == .ipv4 ? 8 : 30, [ipv4, ipv6]: 20],
                or: [ipv4])
            let asked = name.hasPrefix("*.") ? ["www.wild.example", "x.y.wild.example"] : [name]
            hosts.append(Host(name: name, names: asked, addresses: addresses))
            var served: [YAMLValue] = []
            for port in ports where dice.chance(30) {
                let isWeb = port == 80 || port == 8080 || port == 9000
                let kind = isWeb ? dice.pick("HTTP", "HTTP", "TCP") : dice.pick("HTTPS", "HTTPS", "TLS", "TCP")
                var entry: YAMLValue = ["number": .number(port), "protocol": .text(kind)]
                if kind == "HTTP", dice.chance(10) { entry["app"] = "redirect-to-https" }
                served.append(entry)
            }
            if let greetingPort {
                served.append(["number": .number(greetingPort), "protocol": "TCP", "app": "banner"])
            }
            var host: YAMLValue = ["hosts": [.text(name)], "addresses": .texts(addresses)]
            if !served.isEmpty { host["ports"] = .list(served) }
            mesh.internet.append(host)
        }
    }

    /// Addresses that nobody named.
    static let foreign = ["198.51.100.7", "198.51.100.200", "2001:db8:ffff::7"]

    // MARK: Pods

    private mutating func makePods() {
        mesh.workloads.append(namespace("default"))
        pods.append(Pod(namespace: "default", name: "client", hasSidecar: true))
        if dice.chance(35) {
            mesh.workloads.append(namespace("other"))
            pods.append(Pod(namespace: "other", name: "client", hasSidecar: true))
        }
        if dice.chance(45) { pods.append(Pod(namespace: "default", name: "web", hasSidecar: true)) }
        if dice.chance(35) { pods.append(Pod(namespace: "default", name: "plain", hasSidecar: false)) }
        for (position, pod) in pods.enumerated() {
            var labels: YAMLValue = ["app": .text(pod.name), "version": "v1"]
            if !pod.hasSidecar { labels["sidecar.istio.io/inject"] = "false" }
            var spec: YAMLValue = [:]
            // Behind a Service a pod has one address of those that its clients' sidecars use.
            if families == .dual, pod.name != "client" {
                spec["securityContext"] = [
                    "sysctls": [["name": "net.ipv6.conf.all.disable_ipv6", "value": "1"]]
                ]
            }
            spec["containers"] = [["name": "app", "image": "app", "ports": [["containerPort": 8080]]]]
            var object: YAMLValue = [
                "apiVersion": "v1", "kind": "Pod",
                "metadata": ["name": .text(pod.name), "namespace": .text(pod.namespace), "labels": labels],
                "spec": spec,
            ]
            if families == .ipv6 {
                object["status"] = ["podIPs": [["ip": .text("fd00:10:244::\(20 + position)")]]]
            }
            mesh.workloads.append(object)
        }
    }

    private func namespace(_ name: String) -> YAMLValue {
        [
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": ["name": .text(name), "labels": ["istio-injection": "enabled"]],
        ]
    }

    /// A resource's head.
    func object(_ kind: String, _ name: String, namespace: String = "default", spec: YAMLValue) -> YAMLValue {
        var metadata: YAMLValue = ["name": .text(name)]
        if namespace != "default" { metadata["namespace"] = .text(namespace) }
        let version = kind == "Service" ? "v1" : "networking.istio.io/v1"
        return ["apiVersion": .text(version), "kind": .text(kind), "metadata": metadata, "spec": spec]
    }

    /// The namespaces that have pods.
    var namespaces: [String] { pods.contains { $0.namespace == "other" } ? ["default", "other"] : ["default"] }

    /// Mostly nothing, which means everyone.
    mutating func exportTo() -> YAMLValue? {
        guard dice.chance(15) else { return nil }
        return dice.pick(["*"], ["."], ["~"], ["other"], [".", "other"])
    }
}
