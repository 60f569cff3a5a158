import Manifests
import Mesh
import NetworkAddresses
import ProxyModel
import Testing

@Suite struct ContainerPlannerTests {
    private static let image = ImageStandIn(
        name: "nginx", program: .bundled(.sniProxy), location: SourceLocation(file: "scenario.yaml"))

    private static func pod(_ volume: String, ports: String = "[]") -> String {
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: gateway, namespace: istio-system, labels: {istio: egressgateway}}
        spec:
          containers:
            - name: sni-proxy
              image: docker.io/library/nginx:1.27
              ports: \(ports)
              volumeMounts: [{name: config, mountPath: /etc/nginx, readOnly: true}]
            - {name: istio-proxy, args: [proxy, router]}
          volumes:
            - {name: config, \(volume)}
        ---

        """
    }

    private static let configuration = """
        apiVersion: v1
        kind: ConfigMap
        metadata: {name: proxy-config, namespace: istio-system}
        data:
          nginx.conf: |
            stream { server { resolver 10.96.0.10; listen 127.0.0.1:18443; ssl_preread on;
              proxy_pass $ssl_preread_server_name:443; } }
        """

    private static func plans(
        _ yaml: String, image: ImageStandIn = image
    ) -> ([ContainerPlan], [Diagnostic]) {
        var fixture = KubernetesFixture(yaml, images: [image])
        let (plan, diagnostics) = fixture.planAndDiagnose()
        return (plan.pods.flatMap(\.containers), diagnostics)
    }

    @Test("the bundled SNI proxy does what the container's nginx.conf says")
    func configured() throws {
        let (plans, diagnostics) = Self.plans(Self.pod("configMap: {name: proxy-config}") + Self.configuration)
        #expect(diagnostics.isEmpty)
        let expected = SNIProxyConfiguration(
            listen: [IPEndpoint(.loopbackIPv4, 18443)],
            nameservers: [IPEndpoint(try #require(IPAddress("10.96.0.10")), 53)], families: [.ipv4, .ipv6])
        #expect(plans == [ContainerPlan(name: "sni-proxy", program: .sniProxy(expected))])
    }

    @Test("without a configuration it listens on the container's port and asks 8.8.8.8 for IPv4 addresses")
    func defaults() throws {
        let (plans, diagnostics) = Self.plans(Self.pod("emptyDir: {}", ports: "[{containerPort: 9443}]"))
        #expect(diagnostics.isEmpty)
        let expected = SNIProxyConfiguration(
            listen: [IPEndpoint(.loopbackIPv4, 9443)],
            nameservers: [IPEndpoint(try #require(IPAddress("8.8.8.8")), 53)])
        #expect(plans == [ContainerPlan(name: "sni-proxy", program: .sniProxy(expected))])
    }

    @Test("a ConfigMap that does not exist is told, unless it is optional")
    func missing() {
        let (_, diagnostics) = Self.plans(Self.pod("configMap: {name: absent}"))
        #expect(diagnostics.map(\.severity) == [.error])
        #expect(diagnostics.first?.message.contains("ConfigMap istio-system/absent") == true)
        #expect(Self.plans(Self.pod("configMap: {name: absent, optional: true}")).1.isEmpty)
    }

    private static func demo(image: String, requests: String) -> String {
        """
        apiVersion: v1
        kind: Pod
        metadata: {name: notifications, namespace: backyards-demo}
        spec:
          containers:
            - name: notifications
              image: \(image)
              ports: [{containerPort: 8080}]
              env: [{name: REQUESTS, value: "\(requests)"}]
        """
    }

    @Test(
        "Backyards' image calls what its variable lists, without being told, and its ports are served beside it",
        arguments: ["banzaicloud/allspark", "banzaicloud/allspark:0.1.2", "ghcr.io/banzaicloud/allspark:0.2"])
    func requests(image: String) throws {
        var fixture = KubernetesFixture(Self.demo(image: image, requests: "http://httpbin.org/get#2"))
        let (plan, diagnostics) = fixture.planAndDiagnose()
        #expect(diagnostics.isEmpty)
        let calls = try RepeatedCall.list("http://httpbin.org/get#2")
        let pod = try #require(plan.pods.first { $0.pod.id.name == "notifications" })
        #expect(pod.containers == [ContainerPlan(name: "notifications", program: .requests(calls))])
        #expect(pod.tcpPorts == [8080])
    }

    @Test("a list of calls that can't be read is told at its container")
    func unreadableRequests() {
        var fixture = KubernetesFixture(Self.demo(image: "banzaicloud/allspark", requests: "httpbin.org#1"))
        let (_, diagnostics) = fixture.planAndDiagnose()
        #expect(diagnostics.map(\.severity) == [.error])
        #expect(diagnostics.first?.message.contains("REQUESTS: \"httpbin.org\" is no URL") == true)
        #expect(diagnostics.first?.location?.line == 6)
    }

    @Test("a program of the machine gets the container's arguments, environment, ports, ConfigMaps and Secrets")
    func machineProgram() throws {
        let command = ImageStandIn(
            name: "tool", program: .command(["socat", "-d"]), location: SourceLocation(file: "scenario.yaml"))
        let (plans, diagnostics) = Self.plans(
            """
            apiVersion: v1
            kind: Pod
            metadata: {name: tool, namespace: default}
            spec:
              containers:
                - name: tool
                  image: tool
                  command: [ignored]
                  args: [a, b]
                  workingDir: /srv
                  env: [{name: K, value: v}]
                  ports: [{containerPort: 9000}, {containerPort: 53, protocol: UDP}]
                  volumeMounts:
                    - {name: keys, mountPath: /etc/keys/}
                    - {name: keys, mountPath: /etc/one, subPath: tls.key}
                    - {name: scratch, mountPath: /scratch}
              volumes:
                - {name: keys, secret: {secretName: keys}}
                - {name: scratch, emptyDir: {}}
            ---
            apiVersion: v1
            kind: Secret
            metadata: {name: keys, namespace: default}
            stringData: {tls.key: key}
            """, image: command)
        #expect(diagnostics.isEmpty)
        let key = Array("key".utf8)
        let expected = MachineProgramPlan(
            command: ["socat", "-d", "a", "b"], environment: ["K": "v"], workingDirectory: "/srv",
            mounts: [
                MachineProgramPlan.Mount(
                    path: "/etc/keys", files: [ContainerFile(path: "/etc/keys/tls.key", content: key)]),
                MachineProgramPlan.Mount(
                    path: "/etc/one", files: [ContainerFile(path: "/etc/one", content: key)], isDirectory: false),
                MachineProgramPlan.Mount(path: "/scratch", files: []),
            ], ports: [9000])
        #expect(plans == [ContainerPlan(name: "tool", program: .machine(expected))])
    }

    @Test("a program of the machine whose nginx.conf forwards by name is an SNI proxy with that configuration's log")
    func machineSNIProxy() throws {
        let command = ImageStandIn(
            name: "nginx", program: .command(["nginx"]), location: SourceLocation(file: "scenario.yaml"))
        let configuration = Self.configuration.replacing(
            "stream {",
            with: "stream { log_format f '[$ssl_preread_server_name]$status'; access_log /var/log/nginx/x f;"
        )
        .replacing("10.96.0.10", with: "kube-dns.kube-system.svc.cluster.local")
        let (plans, diagnostics) = Self.plans(
            Self.pod("configMap: {name: proxy-config}") + configuration, image: command)
        #expect(diagnostics.isEmpty)
        guard case .machine(let plan)? = plans.first?.program, let server = plan.sniServer else {
            Issue.record("no SNI proxy")
            return
        }
        #expect(plan.ports == [18443])
        #expect(server.accessLog?.path == "/var/log/nginx/x")
        #expect(!server.nameservers.isEmpty && server.nameservers.allSatisfy { $0.port == 53 })
    }

    @Test("containers without a stand-in stay as they are")
    func others() {
        var fixture = KubernetesFixture(Self.pod("emptyDir: {}").replacing("library/nginx", with: "library/envoy"))
        let plans = fixture.plan().pods.flatMap(\.containers)
        #expect(plans.isEmpty)
    }
}
