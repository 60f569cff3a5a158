import ProxyModel
import TestSupport
import Testing

@testable import Proxy

@Suite struct CrossOriginTests {
    private static func answer(_ policy: CorsPolicy, _ method: String, _ fields: [(String, String)]) throws
        -> (preflight: LocalReply?, response: HTTPFields)?
    {
        let head = HTTPRequestHead(
            method: method, path: "/", authority: "a.test", scheme: "http", fields: HTTPFields(fields), version: .http11
        )
        guard let found = CrossOrigin(try CompiledCorsPolicy(policy), head) else { return nil }
        var response = HTTPFields([("access-control-allow-origin", "the server's")])
        found.mutateResponse(&response)
        return (found.preflight, response)
    }

    @Test("the star means every origin, whatever else is listed")
    func star() throws {
        for match in [StringMatch.exact("*"), .prefix("*"), .regex(".*")] {
            let policy = CorsPolicy(allowOriginStringMatch: [match])
            let found = try #require(try Self.answer(policy, "GET", [("origin", "https://any.test")]))
            #expect(found.response.first("access-control-allow-origin") == "https://any.test")
        }
    }

    @Test("a server's own word stays where the origin is not allowed, and where none is named")
    func others() throws {
        let policy = CorsPolicy(allowOriginStringMatch: [.exact("https://a.test")], allowCredentials: true)
        let other = try #require(try Self.answer(policy, "GET", [("origin", "https://b.test")]))
        #expect(other.response.first("access-control-allow-origin") == "the server's" && other.response.count == 1)
        #expect(try Self.answer(policy, "GET", []) == nil)
        #expect(try Self.answer(policy, "GET", [("origin", "")]) == nil)
    }

    @Test("only OPTIONS with a method to ask for asks beforehand")
    func preflight() throws {
        let policy = CorsPolicy(allowOriginStringMatch: [.exact("https://a.test")], maxAge: "60")
        let asking = [("origin", "https://a.test"), ("access-control-request-method", "PUT")]
        let reply = try #require(try Self.answer(policy, "OPTIONS", asking)?.preflight)
        #expect(reply.status == 200 && reply.details == "cors_response")
        #expect(reply.fields.first("access-control-max-age") == "60")
        #expect(!reply.fields.contains("access-control-allow-methods"))
        #expect(try Self.answer(policy, "GET", asking)?.preflight == nil)
        #expect(try Self.answer(policy, "OPTIONS", [asking[0]])?.preflight == nil)
    }
}
