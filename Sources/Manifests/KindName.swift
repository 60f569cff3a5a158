/// What a kind is called by those who type: `svc`, `services`, `virtualservice.networking.istio.io`.
package struct KindName: Sendable, Hashable {
    package let kind: String
    package let group: String
    package let isClusterScoped: Bool

    /// `virtualservices`.
    package var plural: String { Self.plural(of: kind.lowercased()) }
    /// `virtualservice.networking.istio.io`, or `service` of the core group: what kubectl says when it changed one.
    package var qualified: String { group.isEmpty ? kind.lowercased() : "\(kind.lowercased()).\(group)" }
    /// `virtualservices.networking.istio.io`: what kubectl says when there is none.
    package var qualifiedPlural: String { group.isEmpty ? plural : "\(plural).\(group)" }

    /// The name of a kind that is known, and changes nothing about who may reach what; nil of any other.
    package init?(harmless kind: String, apiVersion: String) {
        guard UnreadKinds.harmless.contains(kind) else { return nil }
        self.kind = kind
        group = apiVersion.contains("/") ? String(apiVersion.prefix { $0 != "/" }) : ""
        isClusterScoped = kind.hasPrefix("Cluster") || kind == "CustomResourceDefinition"
    }

    init(_ kind: ResourceKind) {
        (self.kind, group, isClusterScoped) = (kind.kind, kind.group, kind.isClusterScoped)
    }

    /// The kind of a resource of the lab's.
    package init?(of kind: String) {
        guard let known = ResourceKinds.byName[kind] else { return nil }
        self.init(known)
    }

    /// The kind that a word means; nil where no kind has that name.
    package init?(typed word: String) {
        let parts = word.lowercased().split(separator: ".", maxSplits: 1).map(String.init)
        guard let name = parts.first else { return nil }
        let candidates = ResourceKinds.all.filter { kind in
            let singular = kind.kind.lowercased()
            return name == singular || name == Self.plural(of: singular)
                || Self.shortNames[kind.kind, default: []].contains(name)
        }
        // `deployments.apps`, also with a version: `deployments.v1.apps`.
        let known = candidates.first { kind in
            parts.count == 1 || parts[1] == kind.group
                || kind.versions.contains { parts[1] == "\($0).\(kind.group)" }
        }
        guard let known else { return nil }
        self.init(known)
    }

    /// What to write instead of a word that no kind has for a name.
    package static func nearest(to word: String) -> String? {
        NearestName.to(word.lowercased(), among: ResourceKinds.all.map { plural(of: $0.kind.lowercased()) })
    }

    private static func plural(of singular: String) -> String {
        if singular.hasSuffix("ss") || singular.hasSuffix("x") { return singular + "es" }
        if singular.hasSuffix("s") { return singular }
        if singular.hasSuffix("y"), !singular.hasSuffix("ay") { return singular.dropLast() + "ies" }
        return singular + "s"
    }

    private static let shortNames: [String: Set<String>] = [
        "ConfigMap": ["cm"], "CronJob": ["cj"], "DaemonSet": ["ds"], "Deployment": ["deploy"],
        "DestinationRule": ["dr"], "Endpoints": ["ep"], "Gateway": ["gw"], "IstioOperator": ["iop", "io"],
        "Namespace": ["ns"], "NetworkPolicy": ["netpol"], "Node": ["no"], "PeerAuthentication": ["pa"], "Pod": ["po"],
        "ReplicaSet": ["rs"], "ReplicationController": ["rc"], "Service": ["svc"], "ServiceAccount": ["sa"],
        "ServiceEntry": ["se"], "StatefulSet": ["sts"], "AuthorizationPolicy": ["ap"], "Telemetry": ["telemetry"],
        "VirtualService": ["vs"], "WorkloadEntry": ["we"], "AdminNetworkPolicy": ["anp"],
        "BaselineAdminNetworkPolicy": ["banp"], "ClusterNetworkPolicy": ["cnp"],
    ]
}
