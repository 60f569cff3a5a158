/// The hash by which Envoy chooses hosts: xxHash's 64-bit variant.
enum XXHash64 {
    private static let prime1: UInt64 = 0x9E37_79B1_85EB_CA87
    private static let prime2: UInt64 = 0xC2B2_AE3D_27D4_EB4F
    private static let prime3: UInt64 = 0x1656_67B1_9E37_79F9
    private static let prime4: UInt64 = 0x85EB_CA77_C2B2_AE63
    private static let prime5: UInt64 = 0x27D4_EB2F_1656_67C5

    static func hash(_ text: String, seed: UInt64 = 0) -> UInt64 { hash(Array(text.utf8), seed: seed) }

    static func hash(_ bytes: [UInt8], seed: UInt64 = 0) -> UInt64 {
        var rest = bytes[...]
        var result: UInt64
        if bytes.count >= 32 {
            var lanes = [seed &+ prime1 &+ prime2, seed &+ prime2, seed, seed &- prime1]
            while rest.count >= 32 {
                for lane in lanes.indices { lanes[lane] = round(lanes[lane], rest.take(8)) }
            }
            result = zip(lanes, [1, 7, 12, 18]).reduce(0) { $0 &+ rotate($1.0, by: $1.1) }
            for lane in lanes { result = (result ^ round(0, lane)) &* prime1 &+ prime4 }
        } else {
            result = seed &+ prime5
        }
        result = result &+ UInt64(bytes.count)
        while rest.count >= 8 {
            result = rotate(result ^ round(0, rest.take(8)), by: 27) &* prime1 &+ prime4
        }
        if rest.count >= 4 {
            result = rotate(result ^ (rest.take(4) &* prime1), by: 23) &* prime2 &+ prime3
        }
        while !rest.isEmpty { result = rotate(result ^ (rest.take(1) &* prime5), by: 11) &* prime1 }
        result = (result ^ (result >> 33)) &* prime2
        result = (result ^ (result >> 29)) &* prime3
        return result ^ (result >> 32)
    }

    private static func round(_ lane: UInt64, _ input: UInt64) -> UInt64 {
        rotate(lane &+ input &* prime2, by: 31) &* prime1
    }

    private static func rotate(_ value: UInt64, by count: UInt64) -> UInt64 {
        (value << count) | (value >> (64 - count))
    }
}

extension ArraySlice<UInt8> {
    /// The next `count` bytes as a little-endian number.
    fileprivate mutating func take(_ count: Int) -> UInt64 {
        let value = prefix(count).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        removeFirst(count)
        return value
    }
}
