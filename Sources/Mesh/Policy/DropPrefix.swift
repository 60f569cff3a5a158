/// Texts that tell dropped packets apart in the packet log: `egress default/sleep-1: NetworkPolicy default/deny`.
enum DropPrefix {
    /// nft allows 127 bytes.
    static let longest = 120

    /// A text of at most `longest` bytes that `isFree` accepts; the same question always has the same answer.
    static func unique(_ text: String, isFree: (String) -> Bool) -> String {
        let whole = clean(text)
        var candidate = cut(whole, suffix: "")
        var number = 2
        while !isFree(candidate) {
            candidate = cut(whole, suffix: " #\(number)")
            number += 1
        }
        return candidate
    }

    private static func cut(_ text: String, suffix: String) -> String {
        if text.utf8.count + suffix.utf8.count <= longest { return text + suffix }
        var kept = ""
        for character in text {
            guard kept.utf8.count + character.utf8.count + 3 + suffix.utf8.count <= longest else { break }
            kept.append(character)
        }
        return kept + "..." + suffix
    }

    /// Printable ASCII without the double quote, so that the text comes back from the kernel as it was given.
    private static func clean(_ text: String) -> String {
        String(text.map { $0.isASCII && !$0.isNewline && $0 != "\"" && $0 >= " " ? $0 : "?" })
    }
}
