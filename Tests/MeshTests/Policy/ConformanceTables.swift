/// The tables of adminnetworkpolicy.md §10, as they stand there.
enum ConformanceTables {
    /// case, direction, S, A, B, C, P, Q, Admin priority
    static let patterns = """
        | EgressTCP | egress | gryffindor | ravenclaw | slytherin | hufflepuff | t80 | t8080 | 6 |
        | EgressUDP | egress | hufflepuff | ravenclaw | slytherin | gryffindor | u5353 | u53 | 7 |
        | EgressSCTP | egress | ravenclaw | gryffindor | slytherin | hufflepuff | s9003 | s9003 | 8 |
        | IngressTCP | ingress | gryffindor | ravenclaw | slytherin | hufflepuff | t80 | t80 | 3 |
        | IngressUDP | ingress | hufflepuff | ravenclaw | slytherin | gryffindor | u5353 | u53 | 4 |
        | IngressSCTP | ingress | ravenclaw | gryffindor | slytherin | hufflepuff | s9003 | s9003 | 5 |
        | Gress | egress list and ingress list in one policy | gryffindor | ravenclaw | slytherin | hufflepuff | t80 u53 s9003 | egress t8080 u5353 s9003; ingress t80 u5353 s9003 | 15 |
        """

    /// case, step, change, allowed, dropped
    static let steps = """
        | EgressTCP | 1 | – | h0→l0 t80; h1→l0 t8080 | – |
        | | 2 | – | h0→c1 t8080 | h1→c1 t80 |
        | | 3 | swap 0,1 | – | h0→l1 t80; h1→l1 t8080 |
        | | 4 | – | h1→d0 t8080 | h0→d0 t80 |
        | | 5 | swap 0,2 | h0→l0 t80; h1→l0 t8080 | – |
        | | 6 | swap 3,4 | h0→d0 t80; h1→d0 t8080 | – |
        | EgressUDP | 1 | – | c0→l0 u53; c1→l0 u5353 | – |
        | | 2 | – | c0→h1 u53 | c1→h1 u5353 |
        | | 3 | swap 0,1 | – | c0→l1 u53; c1→l1 u5353 |
        | | 4 | – | c1→d0 u53 | c0→d0 u5353 |
        | | 5 | swap 0,2 | c0→l1 u5353; c1→l1 u53 | – |
        | | 6 | swap 3,4 | c0→d0 u5353; c1→d0 u53 | – |
        | EgressSCTP | 1 | – | l0→h0 s9003; l1→h0 s9005 | – |
        | | 2 | – | l0→c1 s9003 | l1→c1 s9005 |
        | | 3 | swap 0,1 | – | l0→h1 s9003; l1→h1 s9005 |
        | | 4 | – | l1→d0 s9005 | l0→d0 s9003 |
        | | 5 | swap 0,2 | l0→h1 s9003; l1→h1 s9005 | – |
        | | 6 | swap 3,4 | l0→d0 s9003; l1→d0 s9005 | – |
        | IngressTCP | 1 | – | l0→h0 t80; l1→h0 t8080 | – |
        | | 2 | – | c0→h1 t80 | c1→h1 t8080 |
        | | 3 | swap 0,1 | – | l0→h1 t80; l1→h1 t8080 |
        | | 4 | – | d1→h0 t8080 | d0→h0 t80 |
        | | 5 | swap 0,2 | l0→h0 t80; l1→h0 t8080 | – |
        | | 6 | swap 3,4 | d0→h0 t80; d1→h0 t8080 | – |
        | IngressUDP | 1 | – | l0→c0 u53; l1→c0 u5353 | – |
        | | 2 | – | h0→c1 u53 | h1→c1 u5353 |
        | | 3 | swap 0,1 | – | l0→c1 u53; l1→c1 u5353 |
        | | 4 | – | d1→c0 u53 | d0→c0 u5353 |
        | | 5 | swap 0,2 | l0→c1 u5353; l1→c1 u53 | – |
        | | 6 | swap 3,4 | d0→c0 u5353; d1→c0 u53 | – |
        | IngressSCTP | 1 | – | h0→l0 s9003; h1→l0 s9005 | – |
        | | 2 | – | c0→l1 s9003 | c1→l1 s9005 |
        | | 3 | swap 0,1 | – | h0→l1 s9003; h1→l1 s9005 |
        | | 4 | – | d1→l0 s9005 | d0→l0 s9003 |
        | | 5 | swap 0,2 | h0→l1 s9003; h1→l1 s9005 | – |
        | | 6 | swap 3,4 | d0→l0 s9003; d1→l0 s9005 | – |
        | Gress | 1 | – | h0→l0 t80 s9003; h1→l0 u53; l0→h0 t80; l1→h0 u53 s9003 | – |
        | | 2 | – | h0→c1 t8080 u5353 s9003; c0→h1 t80 u5353 s9003 | h1→c1 t80 u53 s9005; c1→h1 t8080 u53 s9005 |
        | | 3 | swap 0,1 | – | h0→l1 t80 s9003; h1→l1 u53; l0→h1 t80; l1→h1 u53 s9003 |
        | | 4 | – | h1→d0 t8080 u5353 s9005; d1→h0 t8080 u5353 s9005 | h0→d0 t80 u53 s9003; d0→h0 t80 u53 s9003 |
        | | 5 | swap 0,2 | h0→l0 t80 u5353 s9003; l0→h0 t80; l1→h0 u53 s9003 | – |
        | | 6 | swap 3,4 | h0→d0 t80 u53 s9003; h1→d0 t8080 u5353 s9005; d0→h0 t80 u53 s9003; d1→h0 t8080 u5353 s9005 | – |
        """

    /// step, change, allowed, dropped
    static let networks = """
        | 1a | – | h1→d0 all | h1→l0 all; h1→c0 all |
        | 1b | labels of namespace slytherin replaced by `conformance-house: denied-namespace-label` | – | h1→d0 all |
        | 1c | label set back to slytherin | h1→d0 all | – |
        | 2 | new rule in front: Accept networks [l0's address, c0's address], /32 or /128 | h1→l0 all; h1→c0 all | h1→l1 all; h1→c1 all |
        """

    static let priorities = """
        | 1 | – | – | d0→h0 t80; d1→h0 t8080 |
        | 2 | – | – | h0→d0 t80; h1→d0 t8080 |
        | 3 | priority of (b) becomes 40 | d0→h0 t80; d1→h0 t8080; h0→d0 t80; h1→d0 t8080 | – |
        """

    static let integration = """
        | 1 | – | – | d0→h0 t80; d1→h0 t8080 | a |
        | 2 | – | – | h0→d0 t80; h1→d0 t8080 | a |
        | 3 | ingress action of (a): Pass | d0→h0 t80; d1→h0 t8080 | – | b |
        | 4 | egress action of (a): Pass | h0→d0 t80; h1→d0 t8080 | – | b |
        | 5 | (b) deleted | – | d0→h0 t80; d1→h0 t8080 | c |
        | 6 | – | – | h0→d0 t80; h1→d0 t8080 | c |
        """

    /// The cells of each row; an empty first cell repeats the one above.
    static func rows(_ table: String) -> [[String]] {
        var first = ""
        return table.split(separator: "\n").map { line in
            var cells = line.dropFirst().dropLast().split(separator: "|", omittingEmptySubsequences: false).map {
                String(
                    $0.trimmingPrefix(while: \.isWhitespace).reversed().trimmingPrefix(while: \.isWhitespace).reversed()
                )
            }
            if cells[0].isEmpty { cells[0] = first }
            first = cells[0]
            return cells
        }
    }
}
