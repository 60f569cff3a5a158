/// Takes one of several verdicts at random, each equally likely.
package struct NumGen: Statement {
    package let verdicts: [Verdict]
    /// A choice among `verdicts`, of which there must be at least one.
    package init(_ verdicts: [Verdict]) { self.verdicts = verdicts }
    package var text: String {
        let choices = verdicts.enumerated().map { "\($0) : \($1.text)" }
        return "numgen random mod \(verdicts.count) vmap { \(choices.joined(separator: ", ")) }"
    }
}
