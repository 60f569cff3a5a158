/// Makes a value that shows something smaller for as long as it still shows it.
struct Shrinker<Value: Hashable & Sendable>: Sendable {
    struct Result: Sendable {
        var value: Value
        /// How many values were tried.
        var tries: Int
        /// False where the limit came before the end.
        var isMinimal: Bool
    }

    /// How many values may be tried.
    var limit: Int
    /// Smaller values, the boldest first.
    var reductions: @Sendable (Value) -> [Value]
    /// Values that need no try: they make no sense.
    var isSensible: @Sendable (Value) -> Bool = { _ in true }

    /// The smallest value found that still shows it; the first one, if nothing smaller does.
    func shrink(_ first: Value, while shows: (Value) async -> Bool) async -> Result {
        var value = first
        var tries = 0
        var known: Set<Value> = [first]
        var hasProgress = true
        // A removal may make another one possible: until a whole round brings nothing.
        while hasProgress {
            hasProgress = false
            var candidates = reductions(value)
            var position = 0
            while position < candidates.count {
                let candidate = candidates[position]
                position += 1
                guard known.insert(candidate).inserted, isSensible(candidate) else { continue }
                guard tries < limit else { return Result(value: value, tries: tries, isMinimal: false) }
                tries += 1
                guard await shows(candidate) else { continue }
                value = candidate
                hasProgress = true
                // What was tried before this place is not tried again in this round; a part that is gone moves the
                // next one here.
                candidates = reductions(value)
                position -= 1
            }
        }
        return Result(value: value, tries: tries, isMinimal: true)
    }
}

extension Array {
    /// The list without some of it: everything, halves, quarters, …, single elements.
    var withoutParts: [[Element]] {
        var result: [[Element]] = []
        var size = count
        while size >= 1 {
            for start in stride(from: 0, to: count, by: size) {
                result.append(Array(self[..<start]) + Array(self[Swift.min(start + size, count)...]))
            }
            size /= 2
        }
        return result
    }
}

extension YAMLValue {
    /// The value with one part less: the outer parts first.
    var reductions: [YAMLValue] {
        switch self {
        case .map(let entries):
            let fewer = entries.indices.map { position in
                YAMLValue.map(entries.enumerated().filter { $0.offset != position }.map(\.element))
            }
            return fewer
                + entries.indices.flatMap { position in
                    entries[position].value.reductions.map { value in
                        var copy = entries
                        copy[position].value = value
                        return YAMLValue.map(copy)
                    }
                }
        case .list(let elements):
            // An empty list is seldom allowed; the key that holds it can go.
            let fewer = elements.count > 1 ? elements.withoutParts.filter { !$0.isEmpty } : []
            return fewer.map { .list($0) }
                + elements.indices.flatMap { position in
                    elements[position].reductions.map { value in
                        var copy = elements
                        copy[position] = value
                        return YAMLValue.list(copy)
                    }
                }
        case .text(let text) where text.count > 200: return [.text(String(text.prefix(text.count / 2)))]
        default: return []
        }
    }
}

extension GeneratedMesh {
    private static let sections: [any WritableKeyPath<GeneratedMesh, [YAMLValue]> & Sendable] = [
        \.commands, \.assertions, \.flows, \.virtualServices, \.destinationRules, \.sidecars, \.serviceEntries,
        \.services,
        \.workloads, \.internet,
    ]

    /// The mesh with something less: whole sections, then parts of them, then parts of each object.
    @Sendable static func reductions(_ mesh: GeneratedMesh) -> [GeneratedMesh] {
        var result: [GeneratedMesh] = []
        func add(_ change: (inout GeneratedMesh) -> Void) {
            var copy = mesh
            change(&copy)
            result.append(copy)
        }
        if !mesh.commands.isEmpty { add { $0.commands = [] } }
        if !mesh.assertions.isEmpty { add { $0.assertions = [] } }
        if mesh.flows.count > 1 { for flow in mesh.flows { add { $0.flows = [flow] } } }
        for section in sections {
            for fewer in mesh[keyPath: section].withoutParts { add { $0[keyPath: section] = fewer } }
        }
        for section in sections {
            for (position, object) in mesh[keyPath: section].enumerated() {
                // A flow's name and expectation say nothing of the difference; whoever fills it in needs both.
                for smaller in object.reductions
                where smaller["id"] == object["id"] && smaller["expect"] == object["expect"] {
                    add { $0[keyPath: section][position] = smaller }
                }
            }
        }
        for smaller in mesh.mesh.reductions { add { $0.mesh = smaller } }
        for (position, flow) in mesh.flows.enumerated() where flow["path"] != nil {
            for path in ["/anything", "/get"] { add { $0.flows[position]["path"] = .text(path) } }
        }
        return result
    }
}
