/// A named set of a table, or a map from keys to verdicts.
package struct NamedSet: Sendable, Hashable {
    /// Whether the elements carry verdicts.
    package enum Kind: Sendable, Hashable {
        case set, verdictMap
    }
    /// What the elements may be.
    package struct Flags: OptionSet, Sendable, Hashable {
        package let rawValue: UInt32
        package init(rawValue: UInt32) { self.rawValue = rawValue }
        /// Elements may be ranges and prefixes. Ranges of a plain set are merged where they overlap or touch.
        package static let interval = Flags(rawValue: 4)
        /// Elements may leave by themselves.
        package static let timeout = Flags(rawValue: 16)
        /// Rules put elements in. Such a set has a size, and here always a timeout, too.
        package static let dynamic = Flags(rawValue: 0x20)
    }

    package var name: String
    package var kind: Kind
    /// The types of the key; more than one make a concatenation.
    package var keys: [DataType]
    package var flags: Flags
    package var elements: [SetElement]
    /// How long an element of a dynamic set stays after it was put in last.
    package var timeoutSeconds: Int?

    /// How many elements a dynamic set holds at most; nft's own default.
    static let dynamicSize: UInt32 = 65_535

    /// A set, or a map if `kind` says so.
    package init(
        name: String, kind: Kind = .set, keys: [DataType], flags: Flags = [], elements: [SetElement] = []
    ) {
        (self.name, self.kind, self.keys, self.flags, self.elements) = (name, kind, keys, flags, elements)
    }

    /// A set that `SetUpdate` fills and whose elements go after a time.
    package static func dynamic(name: String, key: DataType, timeoutSeconds: Int) -> NamedSet {
        var set = NamedSet(name: name, keys: [key], flags: .dynamic)
        set.timeoutSeconds = timeoutSeconds
        return set
    }

    /// A map from keys to verdicts; every element needs one.
    package static func verdictMap(
        name: String, keys: [DataType], flags: Flags = [], elements: [SetElement] = []
    ) -> NamedSet {
        NamedSet(name: name, kind: .verdictMap, keys: keys, flags: flags, elements: elements)
    }

    /// The set as nft prints it inside a table.
    package var text: String {
        var lines = ["\t\(kind == .set ? "set" : "map") \(name) {"]
        let type = keys.map(\.text).joined(separator: " . ")
        lines.append("\t\ttype \(type)" + (kind == .set ? "" : " : verdict"))
        if flags.contains(.dynamic) { lines.append("\t\tsize \(Self.dynamicSize)") }
        let words = [
            flags.contains(.dynamic) ? "dynamic" : nil, flags.contains(.interval) ? "interval" : nil,
            flags.contains(.timeout) || timeoutSeconds != nil ? "timeout" : nil,
        ].compactMap(\.self)
        if !words.isEmpty { lines.append("\t\tflags \(words.joined(separator: ","))") }
        if let timeoutSeconds { lines.append("\t\ttimeout \(Self.text(ofSeconds: timeoutSeconds))") }
        let listed = SetListing(keys: keys, flags: flags, elements: elements).texts
        if !listed.isEmpty {
            let perLine = keys.count == 1 ? keys[0].elementsPerLine : 1
            let body = listed.enumerated().map { index, text in
                index == 0 ? text : (index % perLine == 0 ? ",\n\t\t\t     " : ", ") + text
            }
            lines.append("\t\telements = { \(body.joined()) }")
        }
        return lines.joined(separator: "\n") + "\n\t}\n"
    }

    /// `3h`, `1m30s`.
    private static func text(ofSeconds seconds: Int) -> String {
        [(seconds / 86_400, "d"), (seconds / 3600 % 24, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s")]
            .filter { $0.0 > 0 }.map { "\($0.0)\($0.1)" }.joined()
    }
}

/// A key of a set, with its verdict in a map.
package struct SetElement: Sendable, Hashable {
    /// One value for each type of the set's key.
    package var key: [Value]
    package var verdict: Verdict?
    /// After how long it leaves a set that has the flag for it; nil: never.
    package var timeout: Duration?

    /// An element with `key`, of several values in a concatenated set.
    package init(_ key: Value..., verdict: Verdict? = nil, timeout: Duration? = nil) {
        (self.key, self.verdict, self.timeout) = (key, verdict, timeout)
    }

    /// An element with `key`, of several values in a concatenated set.
    package init(key: [Value], verdict: Verdict? = nil) { (self.key, self.verdict) = (key, verdict) }
}
