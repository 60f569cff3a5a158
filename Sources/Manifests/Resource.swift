/// Names a resource: kind, namespace (empty for cluster-scoped kinds) and name.
package struct ResourceID: Hashable, Sendable, CustomStringConvertible {
    package var kind: String
    package var namespace: String
    package var name: String

    package init(kind: String, namespace: String, name: String) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
    }

    /// `Kind/namespace/name`, or `Kind/name`.
    package var description: String { namespace.isEmpty ? "\(kind)/\(name)" : "\(kind)/\(namespace)/\(name)" }
}

/// What every resource says of itself.
package struct ObjectMeta: Sendable, Equatable {
    package var name: String
    /// `default` when the manifest names none; empty for cluster-scoped kinds.
    package var namespace: String
    package var labels: [String: String]
    package var annotations: [String: Located<String>]
    /// Seconds since 1970; resources without one are aged by the order in which they were applied.
    package var creationTimestamp: Double?
    /// The object that made this one, in a dump of a live cluster.
    package var controller: Controller?
    /// True for what is about to go (`deletionTimestamp`).
    package var isTerminating: Bool
    /// Where the resource begins.
    package var location: SourceLocation
    /// What the user wrote, whole; nil for what the lab made up.
    package var document: SourceDocument?
    /// For an object that stands for a part of another one: that part, which is what its own origins are.
    package var madeFrom: Origin?

    package init(
        name: String, namespace: String = "default", labels: [String: String] = [:],
        annotations: [String: Located<String>] = [:], creationTimestamp: Double? = nil, controller: Controller? = nil,
        isTerminating: Bool = false, location: SourceLocation, document: SourceDocument? = nil
    ) {
        self.name = name
        self.namespace = namespace
        self.labels = labels
        self.annotations = annotations
        self.creationTimestamp = creationTimestamp
        self.controller = controller
        self.isTerminating = isTerminating
        self.location = location
        self.document = document
    }
}

/// The tree that an object was read from, for those who show or edit it.
///
/// All are equal: two objects that say the same are the same, however they were written.
package struct SourceDocument: Sendable, Equatable {
    package let node: ManifestNode

    package init(_ node: ManifestNode) { self.node = node }

    package static func == (_: Self, _: Self) -> Bool { true }
}

/// The element of `ownerReferences` that says `controller: true`.
package struct Controller: Sendable, Equatable {
    package var kind: String
    package var name: String

    package init(kind: String, name: String) {
        self.kind = kind
        self.name = name
    }
}

/// A typed Kubernetes or Istio object.
package protocol Resource: Sendable {
    /// The kind as manifests spell it.
    static var kind: String { get }
    /// True where the kind has no namespace.
    static var isClusterScoped: Bool { get }
    var metadata: ObjectMeta { get }
    /// Differs from `kind` where one type stands for several kinds.
    var id: ResourceID { get }
}

extension Resource {
    package static var isClusterScoped: Bool { false }
    package var id: ResourceID {
        ResourceID(kind: Self.kind, namespace: metadata.namespace, name: metadata.name)
    }
    /// The origin of a field of this resource.
    package func origin(_ field: String = "", at location: SourceLocation? = nil) -> Origin {
        if var origin = metadata.madeFrom {
            origin.location = location ?? origin.location
            return origin
        }
        return Origin(
            kind: id.kind, namespace: metadata.namespace, name: metadata.name, field: field,
            location: location ?? metadata.location)
    }
}

/// The objects that a cluster holds at one moment, in the order in which they were first applied (oldest first).
package struct ResourceSet: Sendable {
    package private(set) var all: [any Resource] = []
    private var positions: [ResourceID: Int] = [:]
    private var deletions: [ResourceID: Int] = [:]

    package init() {}

    /// Creates or replaces; a replaced object keeps its age.
    package mutating func apply(_ resource: any Resource) {
        if let position = positions[resource.id] {
            all[position] = resource
        } else {
            positions[resource.id] = all.count
            all.append(resource)
        }
    }

    /// Removes the object; false when there was none, which kubectl's `--ignore-not-found` forgives.
    @discardableResult
    package mutating func delete(_ id: ResourceID) -> Bool {
        guard let position = positions.removeValue(forKey: id) else { return false }
        all.remove(at: position)
        deletions[id, default: 0] += 1
        for (other, index) in positions where index > position { positions[other] = index - 1 }
        return true
    }

    /// Tells an object from its deleted namesakes, as Kubernetes' UIDs do: how many there were before it.
    package func incarnation(of id: ResourceID) -> Int { deletions[id] ?? 0 }

    /// All objects of a kind, oldest first (creation time where given, then order of application).
    package func resources<R: Resource>(_ type: R.Type) -> [R] {
        all.enumerated()
            .compactMap { index, resource in (resource as? R).map { (index, $0) } }
            .sorted { a, b in
                switch (a.1.metadata.creationTimestamp, b.1.metadata.creationTimestamp) {
                case (let x?, let y?) where x != y: x < y
                default: a.0 < b.0
                }
            }
            .map(\.1)
    }

    package func resource<R: Resource>(_ type: R.Type, _ namespace: String, _ name: String) -> R? {
        positions[ResourceID(kind: R.kind, namespace: namespace, name: name)].flatMap { all[$0] as? R }
    }
}

/// A Kubernetes label selector: all requirements must hold; an empty one selects everything.
package struct LabelSelector: Sendable, Hashable {
    package enum Operator: String, Sendable {
        case `in` = "In", notIn = "NotIn", exists = "Exists", doesNotExist = "DoesNotExist"
    }

    package struct Requirement: Sendable, Hashable {
        package var key: String
        package var `operator`: Operator
        package var values: [String]

        package init(key: String, operator: Operator, values: [String] = []) {
            self.key = key
            self.operator = `operator`
            self.values = values
        }
    }

    package var matchLabels: [String: String]
    package var matchExpressions: [Requirement]

    package init(matchLabels: [String: String] = [:], matchExpressions: [Requirement] = []) {
        self.matchLabels = matchLabels
        self.matchExpressions = matchExpressions
    }

    package func matches(_ labels: [String: String]) -> Bool {
        matchLabels.allSatisfy { labels[$0.key] == $0.value }
            && matchExpressions.allSatisfy { requirement in
                let value = labels[requirement.key]
                switch requirement.operator {
                case .in: return value.map(requirement.values.contains) ?? false
                case .notIn: return !(value.map(requirement.values.contains) ?? false)
                case .exists: return value != nil
                case .doesNotExist: return value == nil
                }
            }
    }
}
