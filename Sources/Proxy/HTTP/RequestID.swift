/// Makes values for `x-request-id`.
enum RequestID {
    /// A random UUID (RFC 9562, version 4).
    static func make() -> String {
        var generator = SystemRandomNumberGenerator()
        let high = generator.next() & 0xffff_ffff_ffff_0fff | 0x4000
        let low = generator.next() & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000
        let digits = Array("0123456789abcdef".utf8)
        return String(unsafeUninitializedCapacity: 36) { buffer in
            var place = 0
            for index in 0..<32 {
                if index == 8 || index == 12 || index == 16 || index == 20 {
                    buffer[place] = UInt8(ascii: "-")
                    place += 1
                }
                let word = index < 16 ? high : low
                buffer[place] = digits[Int(word >> UInt64(60 - 4 * (index % 16)) & 15)]
                place += 1
            }
            return 36
        }
    }
}
