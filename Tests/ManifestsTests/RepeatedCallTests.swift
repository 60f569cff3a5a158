import Manifests
import Testing

@Suite struct RepeatedCallTests {
    @Test("A list has an entry per blank, each made once or as often as it says")
    func list() throws {
        let calls = try RepeatedCall.list(
            " http://httpbin.org/get#3\nhttps://www.example.com:8443  tcp://192.0.2.1:25#1 ")
        #expect(calls.map(\.url) == ["http://httpbin.org/get", "https://www.example.com:8443", "tcp://192.0.2.1:25"])
        #expect(calls.map(\.count) == [3, 1, 1])
        #expect(calls.map(\.port) == [80, 8443, 25])
        #expect(calls.map(\.path) == ["/get", "/", "/"])
        #expect(calls.map(\.scheme) == [.http, .https, .tcp])
        #expect(try RepeatedCall.list("  ").isEmpty)
    }

    @Test(
        "What can't be called is told",
        arguments: [
            ("http://httpbin.org/get#often", "is no count"), ("http://httpbin.org/#0", "is no count"),
            ("httpbin.org", "is no URL"), ("udp://192.0.2.1:53", "can't be called"),
            ("http://httpbin.org:0/", "is not a port number"),
        ])
    func wrong(text: String, message: String) {
        #expect { try RepeatedCall.list(text) } throws: { error in
            (error as? RepeatedCall.Problem)?.message.contains(message) == true
        }
    }
}
