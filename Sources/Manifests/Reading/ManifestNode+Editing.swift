extension ManifestNode {
    /// A string, which no number or boolean can be taken for.
    package static func string(_ text: String, at location: SourceLocation) -> ManifestNode {
        ManifestNode(.scalar(Scalar(text: text, style: .quoted)), at: location)
    }

    /// A value without quotes: a number, a boolean or null where it looks like one.
    package static func plain(_ text: String, at location: SourceLocation) -> ManifestNode {
        ManifestNode(.scalar(Scalar(text: text, style: .plain)), at: location)
    }

    /// An empty mapping.
    package static func mapping(at location: SourceLocation) -> ManifestNode {
        ManifestNode(.mapping([]), at: location)
    }

    /// The mapping with `value` under `key`; nil takes the key away. What is no mapping becomes one.
    package func setting(_ key: String, to value: ManifestNode?) -> ManifestNode {
        var entries: [Entry] = if case .mapping(let own) = content { own } else { [] }
        let position = entries.firstIndex { $0.key == key }
        switch (position, value) {
        case (let position?, let value?): entries[position].value = value
        case (let position?, nil): entries.remove(at: position)
        case (nil, let value?): entries.append(Entry(key: key, location: location, value: value))
        case (nil, nil): break
        }
        return ManifestNode(.mapping(entries), at: location)
    }

    /// The tree with the value at the end of `path` changed; mappings on the way are made where they are missing.
    package func changing(_ path: [String], _ change: (ManifestNode?) -> ManifestNode?) -> ManifestNode {
        guard let key = path.first else { return self }
        if path.count == 1 { return setting(key, to: change(self[key])) }
        let inner = self[key] ?? .mapping(at: location)
        return setting(key, to: inner.changing(Array(path.dropFirst()), change))
    }

    /// The list with each element changed; anything else as it is.
    package func mappingElements(_ change: (ManifestNode) -> ManifestNode) -> ManifestNode {
        guard case .sequence(let elements) = content else { return self }
        return ManifestNode(.sequence(elements.map(change)), at: location)
    }

    /// The elements of a list; none of anything else.
    package var elements: [ManifestNode] { if case .sequence(let elements) = content { elements } else { [] } }
}
