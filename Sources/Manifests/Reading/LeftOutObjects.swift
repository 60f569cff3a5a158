/// Objects that were passed over, counted by kind.
struct LeftOutObjects {
    private struct Kind: Hashable {
        var name: String
        var version: String
        /// False for kinds of somebody's own, of which nobody here knows what they mean.
        var isUnderstood: Bool
    }

    private struct Found {
        var first: String?
        var count: Int
        var location: SourceLocation
    }

    private var found: [Kind: Found] = [:]

    mutating func add(
        _ kind: String, _ version: String, name: String?, isUnderstood: Bool, at location: SourceLocation
    ) {
        let key = Kind(name: kind, version: version, isUnderstood: isUnderstood)
        found[key, default: Found(first: name, count: 0, location: location)].count += 1
    }

    /// A note for all that does not matter, and a warning for each kind that is not understood.
    var diagnostics: [Diagnostic] {
        let harmless = found.filter(\.key.isUnderstood).sorted { $0.key.name < $1.key.name }
        var all: [Diagnostic] = []
        // Where the first of them stands.
        let places = harmless.map(\.value.location).sorted { ($0.file, $0.line) < ($1.file, $1.line) }
        if let place = places.first {
            let kinds = harmless.map { "\($0.value.count) \($0.key.name)" }.joined(separator: ", ")
            all.append(Diagnostic(.note, "left out, because they do not matter here: \(kinds)", at: place))
        }
        for (kind, found) in found where !kind.isUnderstood {
            let others = found.count > 1 ? " and \(found.count - 1) more were" : " was"
            all.append(
                Diagnostic(
                    .warning,
                    "kind \(kind.name) (\(kind.version)) is not understood: \(found.first ?? "it")\(others) left out",
                    at: found.location))
        }
        return all
    }
}
