/// A cluster as a dump has it: namespaces with workloads of several replicas, and policies of the usual kinds.
///
/// `egress-lab-bench --dump PODS NAMESPACES POLICIES` prints one.
struct ClusterDump {
    var pods: Int
    var namespaces: Int
    var policies: Int

    private static let replicas = 5

    var yaml: String {
        var items: [String] = []
        for number in 0..<namespaces {
            items.append(
                "- {apiVersion: v1, kind: Namespace, metadata: {name: ns-\(number), labels: {team: t-\(number % 5)}}}")
        }
        let workloads = (pods + Self.replicas - 1) / Self.replicas
        for number in 0..<workloads {
            items.append(workload(number, replicas: min(Self.replicas, pods - number * Self.replicas)))
        }
        for number in 0..<policies { items.append(policy(number)) }
        return "apiVersion: v1\nkind: List\nitems:\n" + items.joined(separator: "\n") + "\n"
    }

    private func workload(_ number: Int, replicas: Int) -> String {
        let name = "app-\(number)"
        return """
            - apiVersion: apps/v1
              kind: Deployment
              metadata: {name: \(name), namespace: ns-\(number % namespaces)}
              spec:
                replicas: \(replicas)
                selector: {matchLabels: {app: \(name)}}
                template:
                  metadata: {labels: {app: \(name), tier: tier-\(number / namespaces % 3)}}
                  spec: {containers: [{name: main, image: main, ports: [{name: http, containerPort: 80}]}]}
            """
    }

    /// In turn: nobody gets in but the namespace itself, and a tier of a team; nobody gets out but to the namespaces of a
    /// team and one block; one tier is open to everybody on one port.
    private func policy(_ number: Int) -> String {
        let namespace = number % namespaces
        let kind = number / namespaces % 3
        let spec =
            switch kind {
            case 0:
                """
                podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}, {namespaceSelector: \
                {matchLabels: {team: t-\(namespace % 5)}}, podSelector: {matchLabels: {tier: tier-1}}}]}]
                """
            case 1:
                """
                podSelector: {matchLabels: {tier: tier-2}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: \
                {matchLabels: {team: t-\((namespace + 1) % 5)}}}], ports: [{port: http}, {port: 443}]}, \
                {to: [{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.128/25]}}]}]
                """
            default:
                "podSelector: {matchLabels: {tier: tier-0}}, policyTypes: [Ingress], ingress: [{ports: [{port: 80}]}]"
            }
        return """
            - apiVersion: networking.k8s.io/v1
              kind: NetworkPolicy
              metadata: {name: policy-\(number), namespace: ns-\(namespace)}
              spec: {\(spec)}
            """
    }
}
