extension Double {
    /// A fixed number of decimals, without the C library's locale.
    package func formatted(decimals: Int) -> String {
        guard isFinite, abs(self) < 1e15 else { return "0" }
        var scale = 1
        for _ in 0..<decimals { scale *= 10 }
        let scaled = Int((abs(self) * Double(scale)).rounded())
        let sign = self < 0 && scaled != 0 ? "-" : ""
        guard decimals > 0 else { return "\(sign)\(scaled)" }
        let fraction = String(scaled % scale)
        return "\(sign)\(scaled / scale)." + String(repeating: "0", count: decimals - fraction.count)
            + fraction
    }

    /// Milliseconds for programs: one decimal.
    var formattedMilliseconds: String { formatted(decimals: 1) }

    /// Milliseconds for people: `0.4 ms`, `85 ms`, `3.2 s`.
    package var asDuration: String {
        switch abs(self) {
        case ..<9.95: "\(formatted(decimals: 1)) ms"
        case ..<999.5: "\(formatted(decimals: 0)) ms"
        default: "\((self / 1000).formatted(decimals: 1)) s"
        }
    }
}

extension String {
    /// One line without control characters: what a server or a program said must not drive the reader's terminal.
    package var printable: String {
        guard unicodeScalars.contains(where: \.isControl) else { return self }
        var result = ""
        for scalar in unicodeScalars {
            switch scalar {
            case "\n": result += "\\n"
            case "\r": result += "\\r"
            case "\t": result += "\\t"
            case _ where scalar.isControl: result += "\\u{\(String(scalar.value, radix: 16))}"
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    /// Padded with spaces; a longer text stays as it is.
    func padded(to width: Int) -> String {
        count < width ? self + String(repeating: " ", count: width - count) : self
    }

    /// The words in lines of at most `width` characters; a longer word stays whole.
    func wrapped(to width: Int) -> [String] {
        var lines: [String] = []
        for word in split(separator: " ") {
            if let last = lines.last, last.count + 1 + word.count <= width {
                lines[lines.count - 1] = last + " " + word
            } else {
                lines.append(String(word))
            }
        }
        return lines
    }
}

/// `1 flow`, `2 flows`.
func counted(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }

extension Unicode.Scalar {
    /// C0, DEL, C1, and the marks that turn the direction of writing.
    fileprivate var isControl: Bool {
        value < 0x20 || (0x7f...0x9f).contains(value) || (0x202a...0x202e).contains(value)
            || (0x2066...0x2069).contains(value)
    }
}
