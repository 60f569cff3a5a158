/// What reading gave: as much as could be understood, and everything to be said about it.
package struct ReadResult<Value: Sendable>: Sendable {
    package var value: Value
    package var diagnostics: [Diagnostic]

    package init(_ value: Value, diagnostics: [Diagnostic] = []) {
        self.value = value
        self.diagnostics = diagnostics
    }

    /// True when nothing forbids going on.
    package var isUsable: Bool { diagnostics.allSatisfy { $0.severity < .unsupported } }
}
