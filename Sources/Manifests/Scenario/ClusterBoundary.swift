/// A scenario's `boundary`: a firewall at the edge of the cluster that lets only some out.
package struct ClusterBoundary: Sendable, Equatable {
    package enum Source: Sendable, Hashable, CustomStringConvertible {
        /// The pods of `namespace/workload`.
        case workload(WorkloadReference)
        /// A node and all of its pods: `node/NAME`.
        case node(String)

        package var description: String {
            switch self {
            case .workload(let reference): reference.description
            case .node(let name): "node/\(name)"
            }
        }
    }

    /// Who may leave the cluster; empty: nobody.
    package var allowFrom: [Located<Source>]
    package var location: SourceLocation

    package init(allowFrom: [Located<Source>], location: SourceLocation) {
        self.allowFrom = allowFrom
        self.location = location
    }
}

extension ClusterBoundary {
    /// The workloads among those that may leave.
    var workloads: [Located<WorkloadReference>] {
        allowFrom.compactMap { source in
            if case .workload(let reference) = source.value { Located(reference, at: source.location) } else { nil }
        }
    }

    /// Reads `spec.boundary`. Workloads may come with a later step, so they need not exist yet.
    init?(reading field: FieldReader) {
        guard field.check("allowFrom"), let list = field.required("allowFrom") else { return nil }
        self.init(allowFrom: list.listOrSelf.compactMap(Self.source), location: field.location)
    }

    private static func source(_ field: FieldReader) -> Located<Source>? {
        guard let text = field.text else { return nil }
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, parts.allSatisfy({ HostName.isValid($0) && !$0.contains("*") }) else {
            field.error("\"\(text)\" is neither NAMESPACE/WORKLOAD nor node/NAME")
            return nil
        }
        let source: Source =
            parts[0] == "node"
            ? .node(parts[1]) : .workload(WorkloadReference(namespace: parts[0], name: parts[1]))
        return Located(source, at: field.location)
    }
}

/// One element of a scenario's `nodes`: a node of the cluster, as a Node object in the manifests is one.
package struct ScenarioNode: Sendable, Equatable {
    package var name: String
    package var labels: [String: String]
    package var location: SourceLocation

    package init(name: String, labels: [String: String] = [:], location: SourceLocation) {
        self.name = name
        self.labels = labels
        self.location = location
    }

    /// Reads a node: its name, or a mapping with its labels.
    init?(reading field: FieldReader) {
        guard field.isMapping else {
            guard let name = field.text else { return nil }
            self.init(name: name, location: field.location)
            return
        }
        guard field.check("name labels"), let name = field.required("name")?.text else { return nil }
        self.init(name: name, labels: field["labels"]?.stringMap ?? [:], location: field.location)
    }
}
