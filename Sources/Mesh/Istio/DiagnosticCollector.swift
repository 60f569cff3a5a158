import Manifests

/// Gathers what the passes find worth saying, each thing once, in the order found.
final class DiagnosticCollector {
    private(set) var all: [Diagnostic] = []
    private var seen: Set<Diagnostic> = []

    func warn(_ message: String, remedy: String? = nil, at location: SourceLocation?) {
        add(Diagnostic(.warning, message, remedy: remedy, at: location))
    }

    /// For what Istio does and the lab does not.
    func unsupported(_ message: String, remedy: String? = nil, at location: SourceLocation?) {
        add(Diagnostic(.unsupported, message, remedy: remedy, at: location))
    }

    func add(_ diagnostic: Diagnostic) {
        if seen.insert(diagnostic).inserted { all.append(diagnostic) }
    }
}
