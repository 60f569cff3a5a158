/// One of the `nodeSelectorTerms` of a pod's node affinity: all of its requirements must hold.
package struct NodeTerm: Sendable, Equatable {
    /// `matchExpressions`, of the node's labels.
    package var labels: LabelSelector
    /// `matchFields`, of which there is `metadata.name` alone.
    package var fields: LabelSelector
    /// `Gt` and `Lt` of labels: the label as a whole number lies strictly between.
    package var bounds: [Bound]

    package struct Bound: Sendable, Equatable {
        package var key: String
        package var isLower: Bool
        package var number: Int
    }

    /// Whether the node of this name and these labels will do.
    package func matches(name: String, labels: [String: String]) -> Bool {
        self.labels.matches(labels) && fields.matches(["metadata.name": name])
            && bounds.allSatisfy { bound in
                guard let number = labels[bound.key].flatMap({ Int($0) }) else { return false }
                return bound.isLower ? number > bound.number : number < bound.number
            }
    }

    /// What `affinity` requires; preferences change nothing about what is possible.
    static func required(by affinity: FieldReader?) -> [NodeTerm] {
        let required = affinity?["nodeAffinity"]?["requiredDuringSchedulingIgnoredDuringExecution"]
        guard let required, required.check("nodeSelectorTerms") else { return [] }
        return required.required("nodeSelectorTerms")?.list.compactMap { NodeTerm(reading: $0) } ?? []
    }

    private init?(reading field: FieldReader) {
        guard field.check("matchExpressions matchFields") else { return nil }
        labels = LabelSelector()
        fields = LabelSelector()
        bounds = []
        for element in field["matchExpressions"]?.list ?? [] { read(element, into: \.labels) }
        for element in field["matchFields"]?.list ?? [] { read(element, into: \.fields) }
    }

    private mutating func read(_ field: FieldReader, into part: WritableKeyPath<NodeTerm, LabelSelector>) {
        guard field.check("key operator values"), let key = field.required("key")?.string,
            let word = field.required("operator")?.choice(of: ["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"])
        else { return }
        let values = field["values"]?.strings ?? []
        if let known = LabelSelector.Operator(rawValue: word) {
            self[keyPath: part].matchExpressions.append(
                LabelSelector.Requirement(key: key, operator: known, values: values))
        } else if values.count == 1, let number = Int(values[0]) {
            bounds.append(Bound(key: key, isLower: word == "Gt", number: number))
        } else {
            field.error("\(word) compares with one whole number, written as text")
        }
    }
}
