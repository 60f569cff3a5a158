import NetworkAddresses

/// Statements evaluated from left to right, until one does not match or gives a verdict.
package struct Rule: Sendable {
    /// The most bytes a comment may have, as nft's own limit.
    package static let longestComment = 127

    package var statements: [any Statement]
    /// Who asked for the rule; kept in the kernel as the rule's user data, cut to `longestComment` bytes.
    package var comment: String?

    /// A rule of `statements`.
    package init(_ statements: [any Statement], comment: String? = nil) {
        (self.statements, self.comment) = (statements, comment)
    }

    /// A rule of `statements`.
    package init(_ statements: any Statement..., comment: String? = nil) {
        self.init(statements, comment: comment)
    }

    /// The rule as nft prints it inside a table of `family`.
    package func text(in family: Table.Family) -> String {
        var parts = folded(in: family).map(\.text)
        if let comment = storedComment { parts.append("comment \"\(comment)\"") }
        return parts.joined(separator: " ")
    }

    /// The comment as it is stored: one line, without double quotes, at most `longestComment` bytes.
    package var storedComment: String? {
        guard let comment, !comment.isEmpty else { return nil }
        return comment.quotable(maximumBytes: Self.longestComment)
    }

    /// The statements without those that a later one implies, as nft leaves them out.
    ///
    /// nft drops `meta l4proto tcp` when a TCP field follows and `meta nfproto ipv4` when an IPv4 field follows, and
    /// then calls `th dport` by the protocol's own name; but not across a counter or another action.
    private func folded(in family: Table.Family) -> [any Statement] {
        var result: [any Statement] = []
        var transport: IPProtocol?
        for (index, statement) in statements.enumerated() {
            let later = fieldsImplying(after: index)
            if let match = statement as? Match, let implied = match.impliedProtocol {
                transport = implied
                if later.contains(where: { $0.transport == implied || $0.isAnyTransport && implied.hasPorts }) {
                    continue
                }
            }
            if let match = statement as? Match, let implied = match.impliedFamily,
                later.contains(where: { $0.family == implied })
            {
                continue
            }
            result.append(statement.resolved(transport: transport))
        }
        return result
    }

    /// The fields that can make the match at `index` superfluous: those up to the next statement that is no match.
    private func fieldsImplying(after index: Int) -> [Field] {
        var fields: [Field] = []
        for statement in statements[(index + 1)...] {
            fields += statement.fields
            guard statement is Match else { break }
        }
        return fields
    }
}

extension Rule: Hashable {
    package static func == (a: Rule, b: Rule) -> Bool {
        a.comment == b.comment && a.erased == b.erased
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(comment)
        hasher.combine(erased)
    }

    private var erased: [AnyHashable] { statements.map { $0.erased } }
}

extension IPProtocol {
    /// True for the protocols whose ports nft prints by the protocol's name.
    var hasPorts: Bool { self == .tcp || self == .udp || self == .sctp }
}

extension String {
    /// The text as it may stand between double quotes in nft: one line, and cut at a character's end.
    func quotable(maximumBytes: Int) -> String {
        var result = ""
        for character in self {
            let safe: Character = character == "\"" ? "'" : character.isNewline || character == "\0" ? " " : character
            guard result.utf8.count + safe.utf8.count <= maximumBytes else { break }
            result.append(safe)
        }
        return result
    }
}
