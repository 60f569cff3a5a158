import Foundation
import ProxyModel
import Testing

/// The enumerations that are coded by hand have the JSON that the compiler would give them.
@Suite struct CaseKeyTests {
    private enum Synthesized: Codable, Equatable {
        case exact(String)
        case present
        case directResponse(status: Int, body: String)
    }

    private func text(_ value: some Encodable) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = .sortedKeys
        return String(decoding: try encoder.encode(value), as: UTF8.self)
    }

    @Test("A case is written as the compiler writes it")
    func sameText() throws {
        #expect(try text(StringMatch.exact("/a")) == text(Synthesized.exact("/a")))
        #expect(try text(StringMatch.present) == text(Synthesized.present))
        #expect(
            try text(RouteAction.directResponse(status: 502, body: "no"))
                == text(Synthesized.directResponse(status: 502, body: "no")))
    }

    @Test(
        "What is written is read again",
        arguments: [.exact("a"), .prefix("b"), .suffix("c"), .regex("d"), .present] as [StringMatch])
    func roundTrip(match: StringMatch) throws {
        let read = try JSONDecoder().decode(StringMatch.self, from: JSONEncoder().encode(match))
        #expect(read == match)
    }

    @Test("Routes and filters are read again, too")
    func roundTripOfActions() throws {
        let actions: [RouteAction] = [
            .forward(ForwardAction(clusters: [WeightedCluster(name: "a")])), .directResponse(status: 502, body: ""),
            .redirect(RedirectAction()),
        ]
        #expect(try JSONDecoder().decode([RouteAction].self, from: JSONEncoder().encode(actions)) == actions)
        let filters: [NetworkFilter] = [
            .tcpProxy(TCPProxy(cluster: "a")),
            .httpConnectionManager(HTTPConnectionManager(statPrefix: "http", routeConfiguration: "http")),
        ]
        #expect(try JSONDecoder().decode([NetworkFilter].self, from: JSONEncoder().encode(filters)) == filters)
    }

    @Test(
        "A case that there is not, none at all, and two at once are refused",
        arguments: [#"{"nothing": {}}"#, "{}", #"{"exact": {"_0": "a"}, "present": {}}"#, #"{"exact": {}}"#])
    func refused(text: String) {
        #expect(throws: DecodingError.self) {
            try JSONDecoder().decode(StringMatch.self, from: Data(text.utf8))
        }
    }
}
