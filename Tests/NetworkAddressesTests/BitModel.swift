import NetworkAddresses

/// Addresses as strings of bits: the slow and obvious model that the real types are compared with.
enum BitModel {
    /// The bits of an address, the first first.
    static func bits(_ address: IPAddress) -> [Bool] {
        address.bytes.flatMap { byte in (0..<8).map { byte & (0x80 >> UInt8($0)) != 0 } }
    }

    /// Whether `address` begins with the first `length` bits of `base`.
    static func contains(_ base: IPAddress, _ length: Int, _ address: IPAddress) -> Bool {
        base.family == address.family && bits(base).prefix(length) == bits(address).prefix(length)
    }
}

/// Reproducible random numbers (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}

extension IPAddress {
    /// An address whose variable bits are few, so that blocks of them overlap often.
    static func random(_ family: IPFamily, using generator: inout SeededGenerator) -> IPAddress {
        let low = UInt128.random(in: 0...0xff, using: &generator)
        let high = UInt128.random(in: 0...3, using: &generator) << UInt128(family.bitWidth - 2)
        let edges: [UInt128] = [0, ~0, high | low, high | low, high | low, high]
        return IPAddress(family: family, value: edges.randomElement(using: &generator) ?? low)
    }
}

extension IPPrefix {
    static func random(_ family: IPFamily, using generator: inout SeededGenerator) -> (IPAddress, IPPrefix) {
        let base = IPAddress.random(family, using: &generator)
        let lengths = [0, 1, 2, family.bitWidth - 8, family.bitWidth - 4, family.bitWidth - 1, family.bitWidth]
        let length = lengths.randomElement(using: &generator) ?? 0
        return (base, IPPrefix(base, length: length) ?? IPPrefix(base))
    }
}
