import RegularExpressions
import Testing

@Suite struct RegularExpressionTests {
    @Test(
        "The whole text must match",
        arguments: [
            ("/v[12]/.*", "/v1/a", true), ("/v[12]/.*", "/v3/a", false), ("a|ab", "ab", true), ("a", "ab", false),
            ("", "", true), ("", "a", false), (#"\d+"#, "123", true), ("(?i)get", "GET", true), (".", "é", true),
            (".", "\n", false),
        ])
    func wholeMatch(pattern: String, text: String, isMatch: Bool) throws {
        let expression = try RegularExpression(pattern)
        #expect(expression.matchesWhole(text) == isMatch)
    }

    @Test(
        "What RE2 refuses is refused, in its words", arguments: ["(", "a(?=b)", #"(a)\1"#, "(?<!a)b", "a**+", "[z-a]"])
    func refused(pattern: String) {
        let error = #expect(throws: RegularExpression.Invalid.self) { try RegularExpression(pattern) }
        #expect(error?.description.isEmpty == false)
    }

    @Test("An expression that backtracking would never finish is matched at once")
    func linearTime() throws {
        let expression = try RegularExpression("(a*)*b")
        #expect(!expression.matchesWhole(String(repeating: "a", count: 5000)))
    }

    @Test("Groups are put into the substitution")
    func substitution() throws {
        let expression = try RegularExpression("^/service/([^/]+)(/.*)$")
        #expect(
            expression.replacingMatches(in: "/service/foo/v1/api", with: #"\2/instance/\1"#) == "/v1/api/instance/foo")
        #expect(expression.replacingMatches(in: "/other", with: "x") == "/other")
    }
}
