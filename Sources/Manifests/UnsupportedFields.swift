/// What is read and checked whole, but not carried out yet.
///
/// The one list of it: to carry a field out, give it its meaning in the compiler and delete its line here. Until then
/// its presence is told where it stands, and a run is refused rather than made without it.
struct UnsupportedField: Sendable {
    /// When a value counts as given.
    enum Condition: Sendable {
        /// Any but null.
        case given
        /// One of the words.
        case oneOf(Set<String>)
        /// Any but the words.
        case otherThan(Set<String>)
        /// True, as YAML or as text of an environment variable has it.
        case on
        /// A list with elements.
        case notEmpty
    }

    /// `spec.http[].fault`: `[]` stands for every element of a list; empty for the object itself.
    let path: String
    let condition: Condition
    let severity: Diagnostic.Severity
    /// What is said, after the field's name; nil: that the field of the kind is not supported yet, at its key.
    let message: String?

    init(
        _ path: String, _ condition: Condition = .given, _ severity: Diagnostic.Severity = .unsupported,
        _ message: String? = nil
    ) {
        self.path = path
        self.condition = condition
        self.severity = severity
        self.message = message
    }
}

/// The fields that are not carried out yet, by kind.
enum UnsupportedFields {
    private static let wholeKind = """
        is not supported yet; it would change who may reach what, so it is refused rather than ignored
        """

    /// All of it. A line that lies inside a field that is refused whole is told only when that one's line is gone.
    static let byKind: [String: [UnsupportedField]] = [
        "Gateway": [
            UnsupportedField("spec.servers[].tls.verifyCertificateSpki"),
            UnsupportedField("spec.servers[].tls.verifyCertificateHash"),
            UnsupportedField("spec.servers[].tls.cipherSuites", .notEmpty),
            UnsupportedField("spec.servers[].tls.caCrl"),
            UnsupportedField("spec.servers[].tls.credentialNames"),
            UnsupportedField("spec.servers[].tls.caCertCredentialName"),
            UnsupportedField("spec.servers[].tls.tlsCertificates"),
        ],
        "VirtualService": [
            UnsupportedField("spec.tls[].match[].sourceSubnet"),
            UnsupportedField("spec.tcp[].match[].sourceSubnet"),
        ],
        "DestinationRule": trafficPolicy(at: "spec.trafficPolicy") + trafficPolicy(at: "spec.subsets[].trafficPolicy")
            + trafficPolicy(at: "spec.trafficPolicy.portLevelSettings[]")
            + trafficPolicy(at: "spec.subsets[].trafficPolicy.portLevelSettings[]"),
        "ServiceEntry": [
            UnsupportedField(
                "spec.workloadSelector", .given, .unsupported, "workloadSelector of a ServiceEntry is not supported yet"
            ),
            UnsupportedField("spec.endpoints[].network"),
        ],
        "WorkloadEntry": [UnsupportedField("", .given, .unsupported, wholeKind)],
        "IstioOperator": [
            UnsupportedField("spec.components.egressGateways[].k8s.overlays"),
            UnsupportedField("spec.components.ingressGateways[].k8s.overlays"),
        ],
        "Scenario": [
            UnsupportedField("spec.internet[].ports[].certificate"),
            UnsupportedField("spec.steps[].probes"),
        ],
    ]

    private static func trafficPolicy(at path: String) -> [UnsupportedField] {
        [
            UnsupportedField("\(path).tunnel"),
            UnsupportedField("\(path).proxyProtocol"),
            UnsupportedField("\(path).tls.caCrl"),
            UnsupportedField("\(path).retryBudget", .given, .warning, "retry budgets are not carried out"),
        ]
    }
}
