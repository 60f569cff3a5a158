import DNS
import NetworkAddresses
import Testing

@Suite("Zone responder")
struct ZoneResponderTests {
    private let zone = ZoneResponder(
        records: [
            "reviews.default.svc.cluster.local": [IPAddress(10, 96, 0, 7)],
            "*.wikipedia.org": [IPAddress(198, 51, 100, 1)],
            "*.m.wikipedia.org": [IPAddress(198, 51, 100, 2)],
            "Example.COM": [IPAddress(192, 0, 2, 1), .loopbackIPv6],
        ], clusterDomain: "cluster.local")

    @Test("A name's addresses are answered by family")
    func families() {
        #expect(zone.answer(name: "example.com", type: .a).addresses == [IPAddress(192, 0, 2, 1)])
        #expect(zone.answer(name: "example.com", type: .aaaa).addresses == [.loopbackIPv6])
    }

    @Test("A missing family is NODATA, a missing name NXDOMAIN")
    func negative() {
        let noData = zone.answer(name: "reviews.default.svc.cluster.local", type: .aaaa)
        #expect(noData.code == .noError && noData.addresses.isEmpty && noData.zone == "cluster.local")
        let missing = zone.answer(name: "nosuch.default.svc.cluster.local", type: .a)
        #expect(missing.code == .nameError && missing.zone == "cluster.local" && missing.ttlSeconds == 5)
        #expect(zone.answer(name: "nosuch.test", type: .a).code == .nameError)
        #expect(zone.answer(name: "svc.cluster.local", type: .a).code == .noError)
    }

    @Test("The longest wildcard wins, and doesn't cover its own suffix")
    func wildcards() {
        #expect(zone.answer(name: "en.wikipedia.org", type: .a).addresses == [IPAddress(198, 51, 100, 1)])
        #expect(zone.answer(name: "en.m.wikipedia.org", type: .a).addresses == [IPAddress(198, 51, 100, 2)])
        #expect(zone.answer(name: "wikipedia.org", type: .a).addresses.isEmpty)
        #expect(zone.answer(name: "wikipedia.org.evil.test", type: .a).code == .nameError)
    }

    @Test("An alias is answered with all names on the way, and the last one's addresses")
    func aliases() {
        let zone = ZoneResponder(
            DNSZone(
                records: ["api.example.com": [IPAddress(192, 0, 2, 1)]],
                aliases: [
                    "partner.svc": "gate.svc", "gate.svc": "api.example.com", "lost.svc": "nosuch.example.com",
                    "round.svc": "about.svc", "about.svc": "round.svc",
                ]))
        let answer = zone.answer(name: "partner.svc", type: .a)
        #expect(answer.canonicalNames == ["gate.svc", "api.example.com"])
        #expect(answer.code == .noError && answer.addresses == [IPAddress(192, 0, 2, 1)])
        let noData = zone.answer(name: "gate.svc", type: .aaaa)
        #expect(noData.canonicalNames == ["api.example.com"] && noData.code == .noError && noData.addresses.isEmpty)
        let alias = zone.answer(name: "partner.svc", type: .cname)
        #expect(alias.canonicalNames == ["gate.svc"] && alias.code == .noError && alias.addresses.isEmpty)
        let lost = zone.answer(name: "lost.svc", type: .a)
        #expect(lost.canonicalNames == ["nosuch.example.com"] && lost.code == .nameError)
        #expect(zone.answer(name: "round.svc", type: .a).code == .nameError)
    }

    @Test("A replaced zone is in force at once")
    func update() {
        zone.update(DNSZone(records: ["new.test": [IPAddress(192, 0, 2, 9)]]))
        #expect(zone.answer(name: "new.test", type: .a).addresses == [IPAddress(192, 0, 2, 9)])
        #expect(zone.answer(name: "example.com", type: .a).code == .nameError)
    }
}
