/// Collects what one reading has to say.
final class DiagnosticLog {
    private var told: [Diagnostic] = []
    private var seen: Set<Diagnostic> = []
    private var leftOut = LeftOutObjects()

    /// Adds what was not said before: a file may be named twice.
    func add(_ diagnostic: Diagnostic) {
        if seen.insert(diagnostic).inserted { told.append(diagnostic) }
    }

    /// Counts an object that is passed over: a dump of a cluster has thousands of them, and one line tells of all.
    func leaveOut(_ kind: String, _ version: String, name: String?, isUnderstood: Bool, at location: SourceLocation) {
        leftOut.add(kind, version, name: name, isUnderstood: isUnderstood, at: location)
    }

    /// All that was said, in no particular order.
    var diagnostics: [Diagnostic] { told + leftOut.diagnostics }

    func add(_ more: some Sequence<Diagnostic>) {
        for diagnostic in more { add(diagnostic) }
    }

    /// The diagnostics by file and position; those without a place first.
    var sorted: [Diagnostic] {
        diagnostics.enumerated().sorted { a, b in
            func key(_ element: (offset: Int, element: Diagnostic)) -> (String, Int, Int, Int) {
                let location = element.element.location
                return (location?.file ?? "", location?.line ?? 0, location?.column ?? 0, element.offset)
            }
            return key(a) < key(b)
        }
        .map(\.element)
    }
}
