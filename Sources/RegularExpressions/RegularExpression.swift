import CRE2

/// An expression in Envoy's syntax, matched by the library that Envoy uses (RE2): in time linear to the text.
///
/// Unchecked because it holds a pointer; RE2 objects may be used from several threads at once.
package final class RegularExpression: @unchecked Sendable {
    /// Why a text is no expression.
    package struct Invalid: Error, CustomStringConvertible {
        package let description: String
    }

    private let pattern: OpaquePointer

    /// Throws `Invalid` with RE2's own words.
    package init(_ text: String) throws {
        var text = text
        let compiled = text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { cre2_compile($0.baseAddress, $0.count) }
        }
        guard let compiled else { throw Invalid(description: "out of memory") }
        if let reason = cre2_error(compiled) {
            let description = String(cString: reason)
            cre2_free(compiled)
            throw Invalid(description: description)
        }
        pattern = compiled
    }

    /// An expression that is searched for: `matchesWhole` is true where any part of a text matches it.
    package convenience init(searching text: String) throws {
        // What is wrong is told of the expression as it was given.
        _ = try RegularExpression(text)
        try self.init("(?s:.*)(?:\(text))(?s:.*)")
    }

    deinit { cre2_free(pattern) }

    /// True when the whole of `text` matches.
    package func matchesWhole(_ text: some StringProtocol) -> Bool {
        var text = String(text)
        return text.withUTF8 { bytes in
            bytes.withMemoryRebound(to: CChar.self) { cre2_full_match(pattern, $0.baseAddress, $0.count) == 1 }
        }
    }

    /// `text` with every match replaced; `\1` in `substitution` stands for the first group.
    package func replacingMatches(in text: String, with substitution: String) -> String {
        var (text, substitution, result) = (text, substitution, "")
        text.withUTF8 { bytes in
            substitution.withUTF8 { rewrite in
                bytes.withMemoryRebound(to: CChar.self) { bytes in
                    rewrite.withMemoryRebound(to: CChar.self) { rewrite in
                        withUnsafeMutablePointer(to: &result) { result in
                            cre2_global_replace(
                                pattern, bytes.baseAddress, bytes.count, rewrite.baseAddress, rewrite.count,
                                { start, length, context in
                                    guard let context else { return }
                                    let bytes = UnsafeRawBufferPointer(start: start, count: length)
                                    context.assumingMemoryBound(to: String.self).pointee = String(
                                        decoding: bytes, as: UTF8.self)
                                }, result)
                        }
                    }
                }
            }
        }
        return result
    }
}
