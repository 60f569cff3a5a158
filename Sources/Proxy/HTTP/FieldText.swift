import NIOCore

/// Values of header fields as strings from which all their bytes come back: HTTP/1 allows for bytes that are no UTF-8.
///
/// Such a byte is kept as one of the last scalars of Unicode's last private plane. Bytes that spell one of those
/// themselves are kept so, too.
enum FieldText {
    private static let first: UInt32 = 0x10FF00
    /// With which UTF-8 begins these scalars.
    private static let lead: UInt8 = 0xF4

    static func string(_ bytes: UnsafeRawBufferPointer) -> String {
        if let text = String(validating: bytes, as: UTF8.self), !hasLead(text) { return text }
        var scalars = String.UnicodeScalarView()
        var index = 0
        while index < bytes.count {
            if let scalar = scalar(bytes, at: index), scalar.value < first {
                scalars.append(scalar)
                index += UTF8.width(scalar)
            } else {
                if let kept = UnicodeScalar(first + UInt32(bytes[index])) { scalars.append(kept) }
                index += 1
            }
        }
        return String(scalars)
    }

    /// The scalar that begins at `index`; nil where none does.
    private static func scalar(_ bytes: UnsafeRawBufferPointer, at index: Int) -> UnicodeScalar? {
        let width =
            switch bytes[index] {
            case 0..<0x80: 1
            case 0xC2..<0xE0: 2
            case 0xE0..<0xF0: 3
            case 0xF0..<0xF5: 4
            default: 0
            }
        guard width > 0, index + width <= bytes.count else { return nil }
        let part = UnsafeRawBufferPointer(rebasing: bytes[index..<(index + width)])
        return String(validating: part, as: UTF8.self)?.unicodeScalars.first
    }

    static func write(_ text: String, to buffer: inout ByteBuffer) {
        guard hasLead(text) else {
            buffer.writeString(text)
            return
        }
        for scalar in text.unicodeScalars {
            if scalar.value >= first {
                buffer.writeInteger(UInt8(scalar.value - first))
            } else {
                buffer.writeString(String(scalar))
            }
        }
    }

    /// Fit for logs, and for HTTP/2, whose library takes strings: bytes that are no text are replaced.
    static func readable(_ text: String) -> String {
        guard hasLead(text) else { return text }
        var scalars = String.UnicodeScalarView()
        for scalar in text.unicodeScalars { scalars.append(scalar.value >= first ? "\u{FFFD}" : scalar) }
        return String(scalars)
    }

    private static func hasLead(_ text: String) -> Bool { text.utf8.contains(lead) }
}
