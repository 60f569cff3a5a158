/// What becomes of the packet: the end of a rule, or the value of a verdict map.
package enum Verdict: Statement {
    case accept, drop
    /// Back to the calling chain.
    case `return`
    /// On with the next rule; useful in verdict maps.
    case `continue`
    /// To the chain of that name, and back at its end.
    case jump(String)
    /// To the chain of that name, never back.
    case goto(String)

    package var text: String {
        switch self {
        case .accept: "accept"
        case .drop: "drop"
        case .return: "return"
        case .continue: "continue"
        case .jump(let chain): "jump \(chain)"
        case .goto(let chain): "goto \(chain)"
        }
    }
}
