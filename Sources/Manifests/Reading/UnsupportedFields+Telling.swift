extension UnsupportedFields {
    /// The lines that no other covers.
    private static let told: [String: [UnsupportedField]] = byKind.mapValues { fields in
        fields.filter { field in !fields.contains { $0.covers(field) } }
    }

    /// Tells of the fields of a value that are not carried out; `kind` is what the list calls it.
    static func tell(of root: FieldReader, as kind: String) {
        for field in told[kind] ?? [] {
            tell(field, of: root, as: kind, steps: field.path.split(separator: ".").map(String.init)[...], key: nil)
        }
    }

    /// Walks the rest of a path; `key` is where the value's key stands, for one that has a key.
    private static func tell(
        _ field: UnsupportedField, of value: FieldReader, as kind: String, steps: ArraySlice<String>,
        key: SourceLocation?
    ) {
        guard let step = steps.first else {
            if field.holds(for: value) { field.say(of: value, as: kind, key: key) }
            return
        }
        let isList = step.hasSuffix("[]")
        guard let (child, location) = value.keyed(isList ? String(step.dropLast(2)) : step) else { return }
        guard isList else {
            tell(field, of: child, as: kind, steps: steps.dropFirst(), key: location)
            return
        }
        // What is no list was told by who read it.
        for element in child.isList ? child.list : [] {
            tell(field, of: element, as: kind, steps: steps.dropFirst(), key: nil)
        }
    }
}

extension UnsupportedField {
    /// True where the other field lies inside this one and this one is always refused.
    fileprivate func covers(_ other: UnsupportedField) -> Bool {
        guard case .given = condition, severity == .unsupported, other.path != path else { return false }
        return path.isEmpty || other.path.hasPrefix(path + ".") || other.path.hasPrefix(path + "[]")
    }

    fileprivate func holds(for value: FieldReader) -> Bool {
        switch condition {
        case .given: true
        case .on: value.node.scalarType == .boolean(true) || (value.node.text.map(GoBoolean.isTrue) ?? false)
        case .notEmpty: value.isList && !value.list.isEmpty
        case .oneOf(let words): value.node.text.map(words.contains) ?? false
        // Only text can be a word; the rest was told by who read it.
        case .otherThan(let words): value.node.scalarType == .string && !(value.node.text.map(words.contains) ?? false)
        }
    }

    fileprivate func say(of value: FieldReader, as kind: String, key: SourceLocation?) {
        if path.isEmpty {
            let name = value.node["metadata"]?["name"]?.text.map { " \($0)" } ?? ""
            let version = value.node["apiVersion"]?.text.map { " (\($0))" } ?? ""
            value.say(severity, "\(kind)\(name)\(version) \(message ?? "")")
        } else if let message {
            value.say(severity, message)
        } else {
            value.subject.log.add(
                Diagnostic(
                    severity, "\(value.path) of \(value.subject.kind) is not supported yet", at: key ?? value.location))
        }
    }
}
