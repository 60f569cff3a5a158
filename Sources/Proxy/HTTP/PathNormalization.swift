import ProxyModel

/// Envoy's `normalize_path`, which is what Istio's BASE asks for, and what goes beyond it.
enum PathNormalization {
    /// As below, after what the mode asks for beyond BASE.
    static func normalized(_ target: String, _ mode: PathNormalizationMode) -> String? {
        switch mode {
        case .none: return target
        case .base: return normalized(target)
        case .mergeSlashes: return normalized(target).map(mergingSlashes)
        case .decodeAndMergeSlashes: return normalized(decodingSlashes(target)).map(mergingSlashes)
        }
    }

    /// Envoy: `path_with_escaped_slashes_action: UNESCAPE_AND_FORWARD`.
    private static func decodingSlashes(_ target: String) -> String {
        inPath(of: target) { path in
            String(path).replacing("%2f", with: "/").replacing("%2F", with: "/")
                .replacing("%5c", with: "\\").replacing("%5C", with: "\\")
        }
    }

    /// Envoy: `merge_slashes`.
    private static func mergingSlashes(_ target: String) -> String {
        guard target.contains("//") else { return target }
        return inPath(of: target) { path in
            var result = ""
            for character in path where character != "/" || result.last != "/" { result.append(character) }
            return result
        }
    }

    private static func inPath(of target: String, _ change: (Substring) -> String) -> String {
        let path = target.prefix { $0 != "?" }
        return change(path) + target[path.endIndex...]
    }

    /// The path with its query, as routing and the upstream see it; nil when it can't be normalised.
    static func normalized(_ target: String) -> String? {
        var bytes = Array(target.utf8)
        if isNormal(bytes) { return target }
        // A fragment never belongs into a request.
        if bytes.contains(UInt8(ascii: "#")) { return nil }
        let mark = bytes.firstIndex(of: UInt8(ascii: "?")) ?? bytes.count
        let query = bytes[mark...]
        bytes = Array(bytes[..<mark])
        guard let decoded = decodeUnreserved(bytes) else { return nil }
        var segments: [ArraySlice<UInt8>] = []
        let parts = decoded.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() where index > 0 {
            let isLast = index == parts.count - 1
            switch String(decoding: part, as: UTF8.self) {
            case ".": if isLast { segments.append([]) }
            case "..":
                if !segments.isEmpty { segments.removeLast() }
                if isLast { segments.append([]) }
            default: segments.append(part)
            }
        }
        var result: [UInt8] = []
        for segment in segments {
            result.append(UInt8(ascii: "/"))
            for byte in segment {
                if escaped.contains(byte) || byte > 126 {
                    result += Array("%\(hex(byte >> 4))\(hex(byte & 15))".utf8)
                } else {
                    result.append(byte)
                }
            }
        }
        if result.isEmpty { result = [UInt8(ascii: "/")] }
        return String(decoding: result + query, as: UTF8.self)
    }

    /// Whether nothing needs to change: the usual case, told without copying.
    private static func isNormal(_ bytes: [UInt8]) -> Bool {
        var previous: UInt8 = 0
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "?"): return !bytes.contains(UInt8(ascii: "#"))
            case UInt8(ascii: "%"), UInt8(ascii: "\\"), UInt8(ascii: "#"): return false
            case UInt8(ascii: ".") where previous == UInt8(ascii: "/"): return false
            default: if escaped.contains(byte) || byte > 126 { return false }
            }
            previous = byte
        }
        return true
    }

    /// Backslashes are slashes; escapes of characters that need none are undone; `%00` is nothing to pass on.
    private static func decodeUnreserved(_ bytes: [UInt8]) -> [UInt8]? {
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            if byte == UInt8(ascii: "\\") {
                result.append(UInt8(ascii: "/"))
            } else if byte == UInt8(ascii: "%"), index + 2 < bytes.count,
                let value = UInt8(String(decoding: bytes[(index + 1)...(index + 2)], as: UTF8.self), radix: 16),
                bytes[index + 1] != UInt8(ascii: "+")
            {
                if value == 0 { return nil }
                if isUnreserved(value) {
                    result.append(value)
                } else {
                    result += bytes[index...(index + 2)]
                }
                index += 2
            } else {
                result.append(byte)
            }
            index += 1
        }
        return result
    }

    private static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case 48...57, 65...90, 97...122: true
        default: "-._~".utf8.contains(byte)
        }
    }

    private static let escaped = Set("\"<>^`{|} \t\u{0c}".utf8)

    private static func hex(_ value: UInt8) -> String { String(value, radix: 16, uppercase: true) }
}
