/// A line of networkpolicy.md's tables, as a policy and what it does.
struct NetworkPolicyLine: Sendable, CustomStringConvertible {
    var description: String
    /// Policies' specifications, in `default`.
    var policies: [String]
    var allowed: String
    var dropped: String

    init(_ description: String, _ policies: String..., allowed: String, dropped: String) {
        (self.description, self.policies, self.allowed, self.dropped) = (description, policies, allowed, dropped)
    }

    /// a, b and c in `default`, labelled app=a, app=b, nothing; a and b in `other`, which has team=x.
    static let cluster =
        KubernetesFixture.namespace("other", "{team: x}")
        + KubernetesFixture.pod("a", labels: "{app: a}", ports: "[{containerPort: 80}]")
        + KubernetesFixture.pod(
            "b", labels: "{app: b}",
            ports: """
                [{name: web, containerPort: 8080}, {name: dns, containerPort: 53, protocol: UDP}, \
                {name: sig, containerPort: 9003, protocol: SCTP}]
                """)
        + KubernetesFixture.pod("c", ports: "[{name: web, containerPort: 9090}]")
        + KubernetesFixture.pod(
            "a", namespace: "other", labels: "{app: a}", ports: "[{name: web, containerPort: 8080}]")
        + KubernetesFixture.pod("b", namespace: "other", labels: "{app: b}")
        + ["a", "b"].map { name in
            """
            apiVersion: v1
            kind: Service
            metadata: {name: \(name)}
            spec: {selector: {app: \(name)}, ports: [{name: http, port: 80, targetPort: 8080}]}
            ---

            """
        }.joined()

    private static let a = "podSelector: {matchLabels: {app: a}}"
    private static let b = "podSelector: {matchLabels: {app: b}}"
    private static func egress(_ rules: String) -> String { "{\(a), policyTypes: [Egress], egress: [\(rules)]}" }
    private static func ingress(_ rules: String) -> String { "{\(a), policyTypes: [Ingress], ingress: [\(rules)]}" }
    private static func to(_ peers: String) -> String { egress("{to: [\(peers)]}") }
    private static func ports(_ ports: String) -> String { egress("{ports: [\(ports)]}") }
    private static func from(_ peers: String) -> String { ingress("{from: [\(peers)]}") }

    static let whichPolicies: [NetworkPolicyLine] = [
        .init(
            "scope: pods of the policy's own namespace", "{podSelector: {}, policyTypes: [Ingress, Egress]}",
            allowed: "other/a→other/b t80; other/a→world t80", dropped: "a→b t80; c→world t80; other/a→b t80"),
        .init(
            "scope: whose labels match", egress(""), allowed: "b→c t80; c→a t80; other/a→b t80",
            dropped: "a→b t80; a→other/a t80"),
        .init(
            "nodes are never selected", "{podSelector: {}, policyTypes: [Ingress, Egress]}",
            allowed: "node→world t80; node→other/a t80", dropped: "world→a t80"),
        .init(
            "policyTypes given: exactly those", egress(""), allowed: "b→a t80; world→a t80", dropped: "a→world t80"),
        .init("policyTypes missing: always Ingress", "{\(a)}", allowed: "a→b t80; a→world t80", dropped: "b→a t80"),
        .init(
            "policyTypes missing: Egress too with an egress rule", "{\(a), egress: [{to: [{\(b)}]}]}",
            allowed: "a→b t80", dropped: "a→c t80; b→a t80"),
        .init(
            "policyTypes missing: egress: [] alone does not count", "{\(a), egress: []}", allowed: "a→c t80",
            dropped: "c→a t80"),
        .init("isolation is per direction: Ingress", ingress(""), allowed: "a→world t80", dropped: "world→a t80"),
        .init("isolation is per direction: Egress", egress(""), allowed: "world→a t80", dropped: "a→world t80"),
        .init(
            "not isolated: everything is allowed", egress(""),
            allowed: "b→c t80 u53 s9003 i x; c→world t80 u53 i; world→c t80 u53 i", dropped: "a→c t80"),
        .init(
            "isolated: what at least one rule of one policy allows", egress("{to: [{\(b)}], ports: [{port: 80}]}"),
            egress("{ports: [{port: 81}]}"), allowed: "a→b t80 t81; a→c t81", dropped: "a→c t80; a→b t82"),
        .init(
            "both ends: the destination's ingress forbids", to("{\(b)}"),
            "{\(b), ingress: [{from: [{podSelector: {matchLabels: {app: c}}}]}]}", allowed: "b→a t80",
            dropped: "a→b t80"),
        .init(
            "both ends: both allow", to("{\(b)}"), "{\(b), ingress: [{from: [{\(a)}]}]}", allowed: "a→b t80",
            dropped: "a→c t80; c→b t80"),
        .init(
            "default deny", "{podSelector: {}, policyTypes: [Egress]}", allowed: "other/a→a t80; world→a t80",
            dropped: "a→b t80; a→other/a t80; a→world t80 u53 i x"),
        .init(
            "allow all: one empty rule", "{podSelector: {}, policyTypes: [Egress]}", egress("{}"),
            allowed: "a→b t80 u53 s1 i x; a→world t80 u53 i; a→other/a t80", dropped: "b→a t80"),
    ]

    static let rules: [NetworkPolicyLine] = [
        .init("egress list empty: nothing", egress(""), allowed: "b→a t80", dropped: "a→b t80 u80 s80 i x"),
        .init("ingress list empty: nothing", ingress(""), allowed: "a→b t80", dropped: "b→a t80 u80 s80 i x"),
        .init(
            "to missing: every peer, inside and outside", ports("{port: 443}"),
            allowed: "a→b t443; a→other/a t443; a→world t443", dropped: "a→world t80"),
        .init(
            "from missing: every peer, inside and outside", ingress("{ports: [{port: 443}]}"),
            allowed: "b→a t443; other/a→a t443; world→a t443", dropped: "world→a t80"),
        .init(
            "ports missing: every port of every protocol", to("{\(b)}"), allowed: "a→b t1 t65535 u1 s1 i x",
            dropped: "a→c t1 u1 i"),
        .init(
            "some peer and some port", egress("{to: [{\(b)}], ports: [{port: 80}, {protocol: UDP, port: 53}]}"),
            allowed: "a→b t80 u53", dropped: "a→b t53 u80; a→c t80"),
        .init(
            "podSelector alone: pods of the policy's namespace", to("{\(b)}"), allowed: "a→b t80",
            dropped: "a→other/b t80; a→c t80"),
        .init(
            "namespaceSelector alone: all pods of those namespaces",
            to("{namespaceSelector: {matchLabels: {team: x}}}"),
            allowed: "a→other/a t80; a→other/b t80", dropped: "a→b t80"),
        .init(
            "namespaceSelector {}: all namespaces", to("{namespaceSelector: {}}"),
            allowed: "a→b t80; a→other/a t80", dropped: "a→world t80"),
        .init(
            "both in one element: and", to("{namespaceSelector: {matchLabels: {team: x}}, \(b)}"),
            allowed: "a→other/b t80", dropped: "a→b t80; a→other/a t80"),
        .init(
            "two elements: or", to("{namespaceSelector: {matchLabels: {team: x}}}, {\(b)}"),
            allowed: "a→b t80; a→other/a t80", dropped: "a→c t80"),
        .init(
            "ipBlock without except", to("{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.16/28]}}"),
            allowed: "a→203.0.113.9 t80; a→203.0.113.32 t80",
            dropped: "a→203.0.113.16 t80; a→203.0.113.31 t80; a→203.0.114.1 t80"),
        .init(
            "ipBlock is of one family", to("{ipBlock: {cidr: 0.0.0.0/0}}"), allowed: "a→world 4t80; a→b 4t80",
            dropped: "a→world 6t80; a→b 6t80"),
        .init(
            "ipBlock of IPv6", to("{ipBlock: {cidr: \"2001:db8::/32\"}}"), allowed: "a→world 6t80",
            dropped: "a→world 4t80; a→b 6t80"),
        .init(
            "In", to("{podSelector: {matchExpressions: [{key: app, operator: In, values: [b, z]}]}}"),
            allowed: "a→b t80", dropped: "a→c t80"),
        .init(
            "NotIn is true where the key is absent",
            to("{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [b]}]}}"), allowed: "a→c t80",
            dropped: "a→b t80"),
        .init(
            "Exists", to("{podSelector: {matchExpressions: [{key: app, operator: Exists}]}}"), allowed: "a→b t80",
            dropped: "a→c t80"),
        .init(
            "DoesNotExist", to("{podSelector: {matchExpressions: [{key: app, operator: DoesNotExist}]}}"),
            allowed: "a→c t80", dropped: "a→b t80"),
        .init(
            "requirements are all needed",
            to("{podSelector: {matchLabels: {app: b}, matchExpressions: [{key: app, operator: DoesNotExist}]}}"),
            allowed: "b→a t80", dropped: "a→b t80; a→c t80"),
        .init(
            "every namespace has its name for a label",
            to("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: other}}}"),
            allowed: "a→other/a t80", dropped: "a→b t80"),
        .init(
            "selectors match neither external addresses nor nodes", from("{namespaceSelector: {}}"),
            allowed: "b→a t80; other/a→a t80; node→a t80", dropped: "world→a t80"),
    ]

    static let ports: [NetworkPolicyLine] = [
        .init("protocol defaults to TCP", ports("{port: 80}"), allowed: "a→b t80", dropped: "a→b u80 s80 i"),
        .init("UDP", ports("{protocol: UDP, port: 80}"), allowed: "a→b u80", dropped: "a→b t80 s80"),
        .init("SCTP", ports("{protocol: SCTP, port: 80}"), allowed: "a→b s80", dropped: "a→b t80 u80 s81"),
        .init(
            "the port is the pod's, after the Service's translation", ports("{port: 8080}"),
            allowed: "a→svc:b t80; a→b t8080", dropped: "a→b t80"),
        .init("the Service's own port means nothing", ports("{port: 80}"), allowed: "a→b t80", dropped: "a→svc:b t80"),
        .init(
            "port missing: all ports of the protocol", ports("{protocol: UDP}"), allowed: "a→b u1 u65535",
            dropped: "a→b t1 s1 i"),
        .init(
            "endPort: both ends included", ports("{port: 8000, endPort: 8010}"), allowed: "a→b t8000 t8005 t8010",
            dropped: "a→b t7999 t8011 u8000"),
        .init("endPort equal to port", ports("{port: 80, endPort: 80}"), allowed: "a→b t80", dropped: "a→b t79 t81"),
        .init(
            "a name in ingress is the destination's", "{podSelector: {}, ingress: [{ports: [{port: web}]}]}",
            allowed: "a→b t8080; a→c t9090; world→b t8080", dropped: "a→b t9090; a→c t8080; b→a t80"),
        .init(
            "a name in egress is each destination's", ports("{port: web}"),
            allowed: "a→b t8080; a→c t9090; a→other/a t8080; a→svc:b t80",
            dropped: "a→b t9090; a→c t8080; a→other/b t8080; a→world t8080"),
        .init(
            "a name stands for its own protocol", ports("{port: dns, protocol: UDP}, {port: sig, protocol: SCTP}"),
            allowed: "a→b u53 s9003", dropped: "a→b t53 s53 u9003"),
        .init("a name of another protocol", ports("{port: dns}"), allowed: "b→a t80", dropped: "a→b t53 u53"),
        .init(
            "a name never matches an ipBlock",
            egress("{to: [{ipBlock: {cidr: 0.0.0.0/0}}, {ipBlock: {cidr: \"::/0\"}}], ports: [{port: web}]}"),
            allowed: "b→a t80", dropped: "a→b t8080; a→world t8080"),
        .init("a name that nobody has", ports("{port: nobody}"), allowed: "b→a t80", dropped: "a→b t80 t8080"),
    ]

    static let packets: [NetworkPolicyLine] = [
        .init(
            "Services are translated first: their range matches nothing", to("{ipBlock: {cidr: 10.96.0.0/16}}"),
            allowed: "b→a t80", dropped: "a→svc:b t80"),
        .init(
            "ingress sees the pod's address", from("{ipBlock: {cidr: 10.244.0.0/16}}"), allowed: "b→a 4t80",
            dropped: "b→a 6t80; world→a 4t80"),
        .init(
            "a pod reaches itself through its Service", "{podSelector: {}, policyTypes: [Ingress, Egress]}",
            allowed: "a→svc:a t80; b→svc:b t80", dropped: "a→svc:b t80"),
        .init(
            "a pod and its node always reach each other", "{podSelector: {}, policyTypes: [Ingress, Egress]}",
            allowed: "a→node t80 u53 i; node→a t80 u53 i", dropped: "a→b t80"),
        .init(
            "external addresses: ipBlock, or all peers", from("{ipBlock: {cidr: 203.0.113.0/24}}"),
            allowed: "203.0.113.9→a t80", dropped: "203.0.114.9→a t80; b→a t80"),
        .init(
            "ICMP and others need a rule without ports", ports("{}, {protocol: UDP}, {protocol: SCTP}"),
            allowed: "a→b t1 u1 s1", dropped: "a→b i x; a→world i"),
        .init("ICMP and others under a rule without ports", to("{\(b)}"), allowed: "a→b i x", dropped: "a→c i x"),
        .init(
            "IPv6 has the same rules", egress("{to: [{\(b)}], ports: [{port: 80}]}"), allowed: "a→b 6t80",
            dropped: "a→b 6t81 6u80 6i; a→c 6t80; a→world 6t80"),
    ]
}
