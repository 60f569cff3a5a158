/// Collects what one reading has to say.
final class DiagnosticLog {
    private(set) var diagnostics: [Diagnostic] = []
    private var seen: Set<Diagnostic> = []

    /// Adds what was not said before: a file may be named twice.
    func add(_ diagnostic: Diagnostic) {
        if seen.insert(diagnostic).inserted { diagnostics.append(diagnostic) }
    }

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
