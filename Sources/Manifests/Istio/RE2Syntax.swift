/// What Envoy's expressions (RE2) leave out of those that Swift can match.
enum RE2Syntax {
    /// The first construct of `pattern` that RE2 refuses, as written; nil when there is none.
    static func refusedConstruct(in pattern: String) -> String? {
        var rest = pattern[...]
        var isInClass = false
        var afterRepetition = false
        while let character = rest.popFirst() {
            let wasRepetition = afterRepetition
            afterRepetition = false
            switch character {
            case "\\":
                guard let escaped = rest.popFirst() else { return nil }
                // Back-references; in a class a digit is an octal escape.
                if !isInClass, ("1"..."9").contains(escaped) || escaped == "k" { return "\\\(escaped)" }
            case "[": isInClass = true
            case "]": isInClass = false
            case _ where isInClass: break
            case "(":
                let refused = ["?=", "?!", "?<=", "?<!", "?>"].first(where: rest.hasPrefix)
                if let refused { return "(" + refused }
            // Possessive repetition; RE2 takes it for a mistake.
            case "+" where wasRepetition: return "possessive +"
            case "*", "+", "?", "}": afterRepetition = !wasRepetition
            default: break
            }
        }
        return nil
    }
}
