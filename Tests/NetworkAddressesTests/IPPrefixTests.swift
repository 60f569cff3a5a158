import NetworkAddresses
import Testing

@Suite("IP prefixes")
struct IPPrefixTests {
    @Test("a prefix holds exactly the addresses that share its bits", arguments: IPFamily.allCases)
    func containment(family: IPFamily) {
        var generator = SeededGenerator(seed: 3)
        for _ in 0..<300 {
            let (base, prefix) = IPPrefix.random(family, using: &generator)
            let other = IPAddress.random(
                IPFamily.allCases.randomElement(using: &generator) ?? family, using: &generator)
            #expect(prefix.contains(other) == BitModel.contains(base, prefix.length, other))
            #expect(prefix.contains(prefix.first) && prefix.contains(prefix.last))
            let bits = BitModel.bits(base).prefix(prefix.length)
            #expect(
                BitModel.bits(prefix.first) == bits + Array(repeating: false, count: family.bitWidth - prefix.length))
            #expect(BitModel.bits(prefix.last) == bits + Array(repeating: true, count: family.bitWidth - prefix.length))
            #expect(IPPrefix(prefix.description) == prefix)
        }
    }

    @Test("a prefix is within another if it is longer and shares its bits")
    func nesting() {
        var generator = SeededGenerator(seed: 4)
        for _ in 0..<300 {
            let (base, outer) = IPPrefix.random(.ipv4, using: &generator)
            let inner = IPPrefix.random(IPFamily.allCases.randomElement(using: &generator) ?? .ipv4, using: &generator)
                .1
            let expected = inner.length >= outer.length && BitModel.contains(base, outer.length, inner.address)
            #expect(outer.contains(inner) == expected)
        }
    }

    @Test("host bits are cleared, and a lone address is a block of one")
    func reading() {
        #expect(IPPrefix("10.0.0.1/24")?.description == "10.0.0.0/24")
        #expect(IPPrefix("192.0.2.1")?.description == "192.0.2.1/32")
        #expect(IPPrefix("fd00::1")?.shortDescription == "fd00::1")
        for text in ["10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", "/8", "10.0.0.0/8/8", "10.0.0.0/+8", "::/ 1"]
        {
            #expect(IPPrefix(text) == nil, "\(text)")
        }
    }
}

@Suite("Sets of IP prefixes")
struct IPPrefixSetTests {
    private typealias Model = [(base: IPAddress, length: Int)]

    private func random(_ count: Int, _ generator: inout SeededGenerator) -> (IPPrefixSet, Model) {
        var model: Model = []
        var prefixes: [IPPrefix] = []
        for _ in 0..<count {
            let family = IPFamily.allCases.randomElement(using: &generator) ?? .ipv4
            let (base, prefix) = IPPrefix.random(family, using: &generator)
            // Blocks of everything would make most cases trivial.
            guard prefix.length > 1 || Int.random(in: 0..<10, using: &generator) == 0 else { continue }
            model.append((base, prefix.length))
            prefixes.append(prefix)
        }
        return (IPPrefixSet(prefixes), model)
    }

    private func contains(_ model: Model, _ address: IPAddress) -> Bool {
        model.contains { BitModel.contains($0.base, $0.length, address) }
    }

    @Test("membership, union and difference agree with the bit-by-bit model")
    func algebra() {
        var generator = SeededGenerator(seed: 5)
        for _ in 0..<100 {
            let (a, modelA) = random(Int.random(in: 0...6, using: &generator), &generator)
            let (b, modelB) = random(Int.random(in: 0...6, using: &generator), &generator)
            let (union, difference) = (a.union(b), a.subtracting(b))
            // Random addresses and all edges with their neighbours.
            var addresses = (0..<4).map { _ in IPAddress.random(.ipv4, using: &generator) }
            addresses += (0..<4).map { _ in IPAddress.random(.ipv6, using: &generator) }
            for range in a.ranges + b.ranges + union.ranges + difference.ranges {
                for edge in [range.lowerBound, range.upperBound] {
                    addresses += [edge.advanced(by: -1), edge, edge.advanced(by: 1)]
                }
            }
            for address in Set(addresses) {
                let (inA, inB) = (contains(modelA, address), contains(modelB, address))
                #expect(a.contains(address) == inA)
                #expect(union.contains(address) == (inA || inB))
                #expect(difference.contains(address) == (inA && !inB))
                for family in IPFamily.allCases {
                    #expect(a.restricted(to: family).contains(address) == (inA && address.family == family))
                }
            }
            for set in [a, b, union, difference] { expectNormal(set) }
        }
    }

    private func expectNormal(_ set: IPPrefixSet) {
        for (lower, upper) in zip(set.ranges, set.ranges.dropFirst()) {
            let isApart = lower.upperBound < upper.lowerBound
            let touches =
                lower.upperBound.family == upper.lowerBound.family
                && lower.upperBound.advanced(by: 1) == upper.lowerBound
            #expect(isApart && !touches)
        }
        #expect(set.ranges.allSatisfy { $0.lowerBound.family == $0.upperBound.family })
    }

    @Test("everything minus something leaves both sides, to the very edges")
    func edges() {
        let all = IPPrefixSet([.allIPv4, .allIPv6])
        #expect(all.subtracting(all).isEmpty)
        let highest = IPPrefix(IPAddress.anyIPv6.advanced(by: -1))
        let rest = all.subtracting(IPPrefixSet([highest, IPPrefix(.anyIPv4)]))
        #expect(rest.ranges.first?.lowerBound == IPAddress(0, 0, 0, 1))
        #expect(rest.ranges.last?.upperBound == IPAddress.anyIPv6.advanced(by: -2))
        #expect(rest.union(IPPrefixSet([highest, IPPrefix(.anyIPv4)])) == all)
    }
}
