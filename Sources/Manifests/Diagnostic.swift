/// A place in a file of the user's. Lines and columns start at 1.
package struct SourceLocation: Hashable, Sendable, Codable, CustomStringConvertible {
    package var file: String
    package var line: Int
    package var column: Int

    package init(file: String, line: Int = 1, column: Int = 1) {
        self.file = file
        self.line = line
        self.column = column
    }

    package var description: String { "\(file):\(line):\(column)" }
}

/// A value and where it was written.
package struct Located<Value: Sendable>: Sendable {
    package var value: Value
    package var location: SourceLocation

    package init(_ value: Value, at location: SourceLocation) {
        self.value = value
        self.location = location
    }
}

extension Located: Equatable where Value: Equatable {}
extension Located: Hashable where Value: Hashable {}

/// Something the user should know about the input: collected, never thrown one at a time.
package struct Diagnostic: Hashable, Sendable, CustomStringConvertible {
    package enum Severity: String, Sendable, Comparable {
        /// Worth knowing; changes nothing.
        case note
        /// Probably a mistake; the run goes on.
        case warning
        /// Understood, but this tool can't do it: the run is refused with exit code 2.
        case unsupported
        /// Wrong: the run is refused with exit code 2.
        case error

        private var rank: Int { [.note: 0, .warning: 1, .unsupported: 2, .error: 3][self] ?? 3 }
        package static func < (a: Self, b: Self) -> Bool { a.rank < b.rank }
    }

    package var severity: Severity
    package var location: SourceLocation?
    /// What is wrong, naming the object and the field.
    package var message: String
    /// What to write instead.
    package var remedy: String?

    package init(_ severity: Severity, _ message: String, remedy: String? = nil, at location: SourceLocation?) {
        self.severity = severity
        self.message = message
        self.remedy = remedy
        self.location = location
    }

    /// `file:line:column: error: message; remedy`.
    package var description: String {
        let place = location.map { "\($0): " } ?? ""
        return place + "\(severity.rawValue): \(message)" + (remedy.map { "; \($0)" } ?? "")
    }
}

/// Which manifest line asked for something: the thread from the user's YAML to rules, routes and verdicts.
package struct Origin: Hashable, Sendable, Codable, CustomStringConvertible {
    package var kind: String
    package var namespace: String
    package var name: String
    /// The field inside the resource: `spec.egress[0]`; empty for the whole.
    package var field: String
    package var location: SourceLocation

    package init(kind: String, namespace: String, name: String, field: String = "", location: SourceLocation) {
        self.kind = kind
        self.namespace = namespace
        self.name = name
        self.field = field
        self.location = location
    }

    /// `ServiceEntry default/cnn, serviceentry.yaml:14`; the file's last path component only.
    package var description: String {
        let object = namespace.isEmpty ? name : "\(namespace)/\(name)"
        let file = location.file.split(separator: "/").last.map(String.init) ?? location.file
        return "\(kind) \(object)" + (field.isEmpty ? "" : " \(field)") + ", \(file):\(location.line)"
    }
}
