import Evidence

/// What kind of difference two data planes show, without the names and numbers of one mesh: for groups, and to shrink
/// without sliding into another difference.
struct DifferenceKind: Hashable, Sendable, Comparable, CustomStringConvertible {
    var field: String
    var left: String
    var right: String

    init(_ difference: Finding) {
        // Which proxy, and its how manieth record, is this mesh's.
        field = difference.field.replacing(/\[[^\]]*\]/, with: "").replacing(/\ #\d+/, with: "")
        if difference.kind == .assertion, let match = difference.subject.firstMatch(of: /\.(\w+) is at least/) {
            // How many there were is this mesh's.
            field = "statistic \(match.output.1)"
            let isMore = (Int(difference.left ?? "") ?? 0) > (Int(difference.right ?? "") ?? 0)
            (left, right) = isMore ? ("more", "less") : ("less", "more")
            return
        }
        if field == "body", let ours = difference.left, let theirs = difference.right {
            (left, right) = (Self.fields(of: ours, without: theirs), Self.fields(of: theirs, without: ours))
            return
        }
        let isLong = ["body", "body.sha256", "duration"].contains(field)
        let isSize = difference.isSize
        func kind(_ value: String?) -> String {
            isLong ? Self.presence(value) : isSize ? Self.size(value) : Self.general(value)
        }
        (left, right) = (kind(difference.left), kind(difference.right))
    }

    /// How large something is, is this mesh's; that it is empty is not.
    private static func size(_ value: String?) -> String { value.map { $0 == "0" ? "0" : "N" } ?? "-" }

    /// The names of those header fields that only one of two bodies has, or has with this value: as servers echo what
    /// they received, or answers as a TCP client sees them.
    private static func fields(of text: String, without other: String) -> String {
        func lines(_ text: String) -> [String] {
            text.split(whereSeparator: \.isNewline).map { general(String($0.replacing(/,$/, with: ""))) }
        }
        let others = Set(lines(other))
        let names = lines(text).filter { !others.contains($0) }.map { line in
            line.firstMatch(of: /^ *"?([A-Za-z][A-Za-z0-9-]*)"?:/).map { $0.output.1.lowercased() } ?? "text"
        }
        // These two differ anyway.
        let telling = Set(names).subtracting(["date", "x-envoy-upstream-service-time"])
        return telling.isEmpty ? "-" : telling.sorted().joined(separator: ", ")
    }

    private static func presence(_ value: String?) -> String { value == nil ? "-" : "some" }

    /// The value with its names and numbers masked; short words, status codes among them, stay.
    private static func general(_ value: String?) -> String {
        guard let value else { return "-" }
        let masked =
            value.replacing(/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/, with: "UUID")
            .replacing(/[A-Za-z0-9_*.-]+\.(example|EXAMPLE|test|svc\.cluster\.local)\b/, with: "HOST")
            .replacing(/\[?[0-9a-f]*:[0-9a-f:]+:[0-9a-f]+\]?/, with: "ADDRESS")
            .replacing(/\d+\.\d+\.\d+\.\d+/, with: "ADDRESS")
            .replacing(/(ADDRESS|\|):?\d+/) { "\($0.output.1)PORT" }
            .replacing(/\d{4,}/, with: "N")
        return masked.count > 60 ? masked.prefix(60) + "…" : masked
    }

    var description: String { "\(field): \(left) | \(right)" }

    static func < (a: Self, b: Self) -> Bool { (a.field, a.left, a.right) < (b.field, b.left, b.right) }
}

/// A difference, or an error that both sides share: it proves nothing that neither side could say.
struct Finding: Sendable, Equatable {
    var step: String
    var kind: ComparedItem.Kind
    /// The flow's id, the command, or the scenario.
    var subject: String
    var field: String
    var left: String?
    var right: String?
}

extension Finding {
    /// True for how many bytes there were: when that differs, what they were does, too, and says more.
    var isSize: Bool {
        field == "headers.content-length" || field.hasSuffix(".bytes_sent") || field.hasSuffix(".bytes_received")
    }

    /// The two values; of texts with several lines those lines that only one side has.
    var distinctLines: (left: String, right: String) {
        func lines(_ text: String?, without other: String?) -> String {
            guard let text else { return "-" }
            let others = Set((other ?? "").split(separator: "\n"))
            let own = text.split(separator: "\n", omittingEmptySubsequences: false).filter { !others.contains($0) }
            return own.map { $0.count > 200 ? $0.prefix(200) + "…" : String($0) }.joined(separator: "\n")
                .debugDescription
        }
        return (lines(left, without: right), lines(right, without: left))
    }
}

extension ScenarioComparison {
    var findings: [Finding] {
        let own = differences.map {
            Finding(
                step: $0.step, kind: $0.kind, subject: $0.subject, field: $0.field, left: $0.left, right: $0.right)
        }
        guard own.isEmpty, left.result == .error || right.result == .error else { return own }
        return [
            Finding(
                step: "", kind: .scenario, subject: name, field: "error", left: left.error, right: right.error)
        ]
    }

    /// The first difference of each flow, command or scenario that is not known and says more than how large something
    /// is: the others follow from it, or look like it.
    func leadingFindings(except isKnown: (Finding) -> Bool) -> [Finding] {
        var seen: Set<String> = []
        let findings = findings.filter { !isKnown($0) }
        return (findings.filter { !$0.isSize } + findings.filter(\.isSize)).filter {
            seen.insert("\($0.kind) \($0.step) \($0.subject)").inserted
        }
    }
}
