/// The key of an enumeration's case in JSON, or of the case's only value.
///
/// One type for all of them, where the compiler would make one for each case: to meet a type of keys first, the runtime
/// looks through all conformances of the program, which takes a tenth of a millisecond of a proxy's start.
struct CaseKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }

    /// The compiler's name of a value without a label.
    static let value = CaseKey(stringValue: "_0")
}

/// An enumeration's case as the compiler would decode it: `{"name": {"_0": value}}`.
struct DecodedCase {
    let name: String
    private let outer: KeyedDecodingContainer<CaseKey>
    private let key: CaseKey

    init(from decoder: any Decoder) throws {
        outer = try decoder.container(keyedBy: CaseKey.self)
        guard outer.allKeys.count == 1, let key = outer.allKeys.first else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "one case is expected"))
        }
        self.key = key
        name = key.stringValue
    }

    /// What the case holds: its only value, or the one with a label.
    func value<T: Decodable>(_ label: CaseKey = .value) throws -> T {
        try outer.nestedContainer(keyedBy: CaseKey.self, forKey: key).decode(T.self, forKey: label)
    }

    /// The case's name is none of those that there are.
    var unknown: DecodingError {
        .dataCorrupted(.init(codingPath: outer.codingPath + [key], debugDescription: "there is no such case"))
    }
}

extension Encoder {
    /// The container of a case's values.
    func encodeCase(_ name: String) -> KeyedEncodingContainer<CaseKey> {
        var outer = container(keyedBy: CaseKey.self)
        return outer.nestedContainer(keyedBy: CaseKey.self, forKey: CaseKey(stringValue: name))
    }

    /// A case with one value without a label.
    func encodeCase(_ name: String, _ value: some Encodable) throws {
        var values = encodeCase(name)
        try values.encode(value, forKey: .value)
    }
}
