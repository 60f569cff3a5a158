import NIOCore
import Testing

@testable import Proxy

@Suite struct FieldTextTests {
    private static func string(_ bytes: [UInt8]) -> String { bytes.withUnsafeBytes { FieldText.string($0) } }

    private static func roundTrip(_ bytes: [UInt8]) -> [UInt8] {
        var buffer = ByteBuffer()
        FieldText.write(string(bytes), to: &buffer)
        return Array(buffer.readableBytesView)
    }

    @Test("every byte comes back, alone and in between text")
    func allBytes() {
        for byte in UInt8.min...UInt8.max {
            for sample in [[byte], [97, byte, 98], [0xE2, 0x82, byte], [byte, 0xE2, 0x82, 0xAC]] {
                #expect(Self.roundTrip(sample) == sample)
            }
        }
    }

    @Test("text stays text; bytes that spell what stands for others come back, too")
    func text() {
        let plain = Array("a € 😀 \u{10FEFF}".utf8)
        #expect(Self.string(plain) == "a € 😀 \u{10FEFF}")
        for scalar in ["\u{10FF00}", "\u{10FFE4}", "\u{10FFFF}", "\u{10FF41}\u{E4}"] {
            #expect(Self.roundTrip(Array(scalar.utf8)) == Array(scalar.utf8))
        }
        #expect(FieldText.readable(Self.string([0x61, 0xE4])) == "a\u{FFFD}")
    }
}
