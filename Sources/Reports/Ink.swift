/// Colours of the text report: ANSI sequences, or nothing.
struct Ink {
    enum Color: String {
        case red = "31"
        case green = "32"
        case yellow = "33"
        case magenta = "35"
        case dim = "2"
        case bold = "1"
        case alarm = "1;31"
    }

    var isOn: Bool

    func callAsFunction(_ text: String, _ color: Color) -> String {
        isOn ? "\u{1b}[\(color.rawValue)m\(text)\u{1b}[0m" : text
    }
}
