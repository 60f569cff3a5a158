/// Metrics in Prometheus' text exposition format (version 0.0.4).
package struct PrometheusText {
    package enum Kind: String { case counter, gauge, histogram }

    private struct Family {
        var kind: Kind
        var lines: [String] = []
    }

    private var families: [String: Family] = [:]

    package init() {}

    /// Adds a value; `part` stands behind the family's name, as `_bucket` does.
    package mutating func add(
        _ name: String, _ kind: Kind, _ labels: [(String, String)], _ value: String, part: String = ""
    ) {
        let name = Self.sanitized(name)
        let text = labels.map { "\(Self.sanitized($0))=\"\(Self.escaped($1))\"" }.joined(separator: ",")
        families[name, default: Family(kind: kind)].lines.append("\(name)\(part){\(text)} \(value)")
    }

    /// The families by name, each with its type.
    package var text: String {
        families.sorted { $0.key < $1.key }
            .map { "# TYPE \($0.key) \($0.value.kind.rawValue)\n\($0.value.lines.joined(separator: "\n"))\n" }.joined()
    }

    private static func sanitized(_ name: String) -> String {
        String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == ":") ? $0 : "_" })
    }

    private static func escaped(_ value: String) -> String {
        value.replacing("\\", with: "\\\\").replacing("\"", with: "\\\"").replacing("\n", with: "\\n")
    }
}
