/// The fields of a message's head or trailers, in order; names are lower case, as Envoy writes them.
struct HTTPFields: Sendable, Equatable {
    struct Field: Sendable, Equatable {
        var name: String
        var value: String
    }

    private(set) var fields: [Field]

    init(_ fields: [(String, String)] = []) { self.fields = fields.map { Field(name: $0, value: $1) } }

    var count: Int { fields.count }
    var isEmpty: Bool { fields.isEmpty }

    mutating func reserve(_ count: Int) { fields.reserveCapacity(count) }

    /// The first value of `name`.
    func first(_ name: String) -> String? {
        for field in fields where field.name == name { return field.value }
        return nil
    }

    /// All values of `name`, joined by commas; nil when there is none.
    func joined(_ name: String) -> String? {
        var result: String?
        for field in fields where field.name == name { result = result.map { $0 + "," + field.value } ?? field.value }
        return result
    }

    /// The values of all fields of a name, in order.
    func all(_ name: String) -> [String] { fields.filter { $0.name == name }.map(\.value) }

    func contains(_ name: String) -> Bool { fields.contains { $0.name == name } }

    mutating func append(_ name: String, _ value: String) { fields.append(Field(name: name, value: value)) }

    /// Gives `name` its only value: at the place of its first one, else at the end.
    mutating func set(_ name: String, _ value: String) {
        guard let place = fields.firstIndex(where: { $0.name == name }) else {
            append(name, value)
            return
        }
        fields[place].value = value
        var index = place + 1
        while index < fields.count {
            if fields[index].name == name { fields.remove(at: index) } else { index += 1 }
        }
    }

    mutating func remove(_ name: String) { fields.removeAll { $0.name == name } }

    mutating func removeAll(where shouldRemove: (String) -> Bool) { fields.removeAll { shouldRemove($0.name) } }

    /// The comma-separated parts of all values of `name`, lower case and trimmed.
    func tokens(_ name: String) -> [String] {
        guard let value = joined(name) else { return [] }
        return value.split(separator: ",").map { $0.trimmingBlanks().lowercased() }.filter { !$0.isEmpty }
    }

    /// Joins the values of fields that Envoy keeps only once, at the place of the first.
    mutating func mergeSingletons() {
        var index = 0
        while index < fields.count {
            let name = fields[index].name
            if Self.singletons.contains(name),
                let first = fields[..<index].firstIndex(where: { $0.name == name })
            {
                fields[first].value += "," + fields[index].value
                fields.remove(at: index)
            } else {
                index += 1
            }
        }
    }

    /// Envoy: the inline headers of requests and responses that can occur in either.
    private static let singletons: Set<String> = [
        "host", "connection", "content-length", "content-type", "transfer-encoding", "te", "expect", "upgrade",
        "user-agent", "via", "date", "server", "keep-alive", "proxy-connection", "grpc-timeout", "x-request-id",
        "x-client-trace-id", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port",
        "x-forwarded-client-cert", "x-envoy-attempt-count", "x-envoy-original-path", "x-envoy-original-host",
        "x-envoy-decorator-operation", "x-envoy-external-address", "x-envoy-upstream-service-time", "grpc-status",
        "grpc-message",
    ]
}

extension StringProtocol {
    /// Without blanks and tabs at both ends.
    func trimmingBlanks() -> SubSequence {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        guard let first = firstIndex(where: { !isBlank($0) }), let last = lastIndex(where: { !isBlank($0) }) else {
            return self[endIndex...]
        }
        return self[first...last]
    }
}

/// The head of a request as its codec understood it.
struct HTTPRequestHead: Sendable, Equatable {
    var method: String
    /// The path with its query; nil for CONNECT.
    var path: String?
    /// nil without one.
    var authority: String?
    /// nil where the client named none.
    var scheme: String?
    /// Without `host`.
    var fields: HTTPFields
    var version: HTTPProtocol
}

/// The head of a response.
struct HTTPResponseHead: Sendable, Equatable {
    var status: Int
    var fields: HTTPFields
}

/// Envoy: `Http::Protocol`.
enum HTTPProtocol: String, Sendable, Equatable {
    case http10 = "HTTP/1.0"
    case http11 = "HTTP/1.1"
    case http2 = "HTTP/2"
}
