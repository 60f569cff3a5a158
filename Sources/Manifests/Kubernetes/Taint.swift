/// What keeps pods that do not tolerate it away from a node.
package struct Taint: Sendable, Hashable {
    package enum Effect: String, Sendable, CaseIterable {
        case noSchedule = "NoSchedule"
        case preferNoSchedule = "PreferNoSchedule"
        case noExecute = "NoExecute"
    }

    package var key: String
    package var value: String
    package var effect: Effect

    package init(key: String, value: String = "", effect: Effect) {
        self.key = key
        self.value = value
        self.effect = effect
    }

    init?(reading field: FieldReader) {
        guard field.check("key value effect timeAdded"), let key = field.required("key")?.string,
            let effect = field.required("effect")?.choice(of: Effect.allCases.map(\.rawValue)).flatMap(Effect.init)
        else { return nil }
        self.init(key: key, value: field["value"]?.string ?? "", effect: effect)
    }
}

/// One of a pod's `tolerations`.
package struct Toleration: Sendable, Hashable {
    /// nil: of every key.
    package var key: String?
    /// nil: whatever the taint's value is.
    package var value: String?
    /// nil: of every effect.
    package var effect: Taint.Effect?

    package init(key: String? = nil, value: String? = nil, effect: Taint.Effect? = nil) {
        self.key = key
        self.value = value
        self.effect = effect
    }

    init?(reading field: FieldReader) {
        guard field.check("key operator value effect tolerationSeconds") else { return nil }
        let operation = field["operator"].map { $0.choice(of: ["Exists", "Equal"]) ?? "Equal" } ?? "Equal"
        let key = field["key"]?.string.flatMap { $0.isEmpty ? nil : $0 }
        if key == nil, operation != "Exists" { field.error("a toleration without a key has operator: Exists") }
        self.init(
            key: key, value: operation == "Exists" ? nil : field["value"]?.string ?? "",
            effect: field["effect"]?.choice(of: Taint.Effect.allCases.map(\.rawValue)).flatMap(Taint.Effect.init))
    }

    package func tolerates(_ taint: Taint) -> Bool {
        (key == nil || key == taint.key) && (value == nil || value == taint.value)
            && (effect == nil || effect == taint.effect)
    }
}
