import DNS
import NetworkAddresses
import Testing

private struct FixedResponder: DNSResponder {
    var fixed: DNSAnswer
    func answer(name: String, type: DNSRecordType) -> DNSAnswer { fixed }
}

@Suite("DNS messages")
struct DNSMessageTests {
    private func ask(
        _ name: String, _ type: DNSRecordType, _ answer: DNSAnswer, overUDP: Bool = true
    ) throws -> (bytes: [UInt8], response: DNSResponse) {
        let query = try #require(DNSMessage.query(id: 4711, name: name, type: type))
        let reply = try #require(
            DNSMessage.reply(to: query, overUDP: overUDP, from: FixedResponder(fixed: answer)))
        return (reply.bytes, try #require(DNSMessage.response(reply.bytes)))
    }

    @Test("Addresses survive the way there and back")
    func addresses() throws {
        let v4 = [IPAddress(192, 0, 2, 1), IPAddress(192, 0, 2, 2)]
        let response = try ask("Example.com", .a, DNSAnswer(addresses: v4, ttlSeconds: 7)).response
        #expect(response.id == 4711 && response.code == .noError && response.name == "example.com")
        #expect(response.addresses == v4 && response.ttlSeconds == 7)
        let v6 = try #require(IPAddress("2001:db8::1"))
        #expect(try ask("example.com", .aaaa, DNSAnswer(addresses: [v6])).response.addresses == [v6])
    }

    @Test("An alias is followed by its target's addresses")
    func alias() throws {
        let answer = DNSAnswer(addresses: [IPAddress(192, 0, 2, 1)], canonicalNames: ["target.example"])
        let response = try ask("alias.example", .a, answer).response
        #expect(response.canonicalName == "target.example" && response.addresses.count == 1)
    }

    @Test("A reply over the client's size is emptied and marked as truncated, over TCP it is whole")
    func truncation() throws {
        let many = DNSAnswer(addresses: (0..<200).map { IPAddress(ipv4: 0xC000_0200 + UInt32($0)) })
        let short = try ask("many.example", .a, many)
        #expect(short.response.isTruncated && short.response.addresses.isEmpty && short.bytes.count <= 1232)
        let whole = try ask("many.example", .a, many, overUDP: false).response
        #expect(!whole.isTruncated && whole.addresses.count == 200)
    }

    @Test("A negative answer has a response code and an SOA")
    func negative() throws {
        let reply = try ask("nosuch.cluster.local", .a, DNSAnswer(code: .nameError, zone: "cluster.local"))
        #expect(reply.response.code == .nameError)
        // NSCOUNT, the fourth of the header's numbers (RFC 1035, 4.1.1).
        #expect(reply.bytes[9] == 1)
    }

    @Test("A type that asks for several answers isn't implemented")
    func metaType() throws {
        let any = try ask("example.com", DNSRecordType(rawValue: 255), DNSAnswer()).response
        #expect(any.code == .notImplemented)
    }

    @Test("Whatever arrives, the codec doesn't fail, and never answers a response")
    func malformed() throws {
        let responder = FixedResponder(fixed: DNSAnswer(addresses: [IPAddress(192, 0, 2, 1)]))
        let query = try #require(DNSMessage.query(id: 1, name: "example.com", type: .a))
        for length in 0..<query.count {
            _ = DNSMessage.reply(to: query.prefix(length), overUDP: true, from: responder)
        }
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<20_000 {
            var bytes = query
            for _ in 0..<3 {
                bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
            }
            _ = DNSMessage.reply(to: bytes, overUDP: true, from: responder)
            _ = DNSMessage.response(bytes)
        }
        let reply = try #require(DNSMessage.reply(to: query, overUDP: true, from: responder))
        #expect(DNSMessage.reply(to: reply.bytes, overUDP: true, from: responder) == nil)
        let formErr = try #require(DNSMessage.reply(to: query.prefix(14), overUDP: true, from: responder))
        #expect(formErr.question == nil && formErr.bytes[3] & 0xf == DNSResponseCode.formatError.rawValue)
    }
}
