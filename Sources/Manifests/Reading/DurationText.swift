/// Durations as Go and Istio write them: `3s`, `500ms`, `1h30m`, `1.5s`.
enum DurationText {
    private static let units: [(name: String, milliseconds: Double)] = [
        ("ns", 1e-6), ("us", 1e-3), ("µs", 1e-3), ("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000),
    ]

    /// nil when the text is no duration; negative ones are none here.
    static func milliseconds(_ text: String) -> Double? {
        if text == "0" { return 0 }
        var rest = Substring(text)
        guard !rest.isEmpty else { return nil }
        var total = 0.0
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
            guard let value = Double(digits) else { return nil }
            rest = rest.dropFirst(digits.count)
            let name = rest.prefix { !($0.isNumber || $0 == ".") }
            guard let unit = units.first(where: { $0.name == name }) else { return nil }
            total += value * unit.milliseconds
            rest = rest.dropFirst(name.count)
        }
        return total < 1e12 ? total : nil
    }
}
