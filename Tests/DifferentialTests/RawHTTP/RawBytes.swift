/// Bytes as lines of text that a person can read and keep.
enum RawBytes {
    /// As many equal bytes and more are counted instead of written.
    private static let runLength = 64

    /// Each line of `bytes` behind `prefix`; what the last one ends with shows.
    static func lines(_ bytes: [UInt8], prefix: String) -> [String] {
        bytes.split(after: 10).map { prefix + text($0) }
    }

    static func text(_ bytes: some Collection<UInt8>) -> String {
        var result = ""
        var rest = bytes[...]
        while let byte = rest.first {
            let run = rest.prefix { $0 == byte }
            let one = text(byte)
            if run.count >= runLength {
                result += "\\{\(run.count)*\(one)}"
            } else {
                result += String(repeating: one, count: run.count)
            }
            rest = rest.dropFirst(run.count)
        }
        return result
    }

    private static func text(_ byte: UInt8) -> String {
        switch byte {
        case 13: "\\r"
        case 10: "\\n"
        case 9: "\\t"
        case UInt8(ascii: "\\"): "\\\\"
        case 32..<127: String(UnicodeScalar(byte))
        default: "\\x" + (byte < 16 ? "0" : "") + String(byte, radix: 16)
        }
    }

    /// The bytes that `text` stands for.
    static func bytes(_ text: some StringProtocol) -> [UInt8] {
        var result: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "\\") { result += escaped(&rest) } else { result.append(byte) }
        }
        return result
    }

    private static func escaped(_ rest: inout ArraySlice<UInt8>) -> [UInt8] {
        switch rest.popFirst() {
        case UInt8(ascii: "r"): return [13]
        case UInt8(ascii: "n"): return [10]
        case UInt8(ascii: "t"): return [9]
        case UInt8(ascii: "x"):
            let digits = String(decoding: rest.prefix(2), as: UTF8.self)
            rest = rest.dropFirst(2)
            return [UInt8(digits, radix: 16) ?? 0]
        case UInt8(ascii: "{"):
            let inner = rest.prefix { $0 != UInt8(ascii: "}") }
            rest = rest.dropFirst(inner.count + 1)
            let digits = inner.prefix { $0 != UInt8(ascii: "*") }
            let one = bytes(String(decoding: inner.dropFirst(digits.count + 1), as: UTF8.self))
            let count = Int(String(decoding: digits, as: UTF8.self)) ?? 0
            return Array(repeatElement(one, count: count).joined())
        case let byte?: return [byte]
        case nil: return []
        }
    }
}

extension Array<UInt8> {
    /// Cut behind every `byte`.
    func split(after byte: UInt8) -> [ArraySlice<UInt8>] {
        var parts: [ArraySlice<UInt8>] = []
        var start = startIndex
        for index in indices where self[index] == byte {
            parts.append(self[start...index])
            start = index + 1
        }
        if start < endIndex { parts.append(self[start...]) }
        return parts
    }

    func contains(_ part: [UInt8], from start: Int) -> Int? {
        guard !part.isEmpty, count - start >= part.count else { return nil }
        return (start...(count - part.count)).first { self[$0..<($0 + part.count)].elementsEqual(part) }
    }
}
