import ProxyModel

/// The time limit that clients of gRPC send, which holds on routes without one (Envoy: `grpc_timeout_header_max`, which
/// Istio sets to 0, for no maximum, where the timeout is 0).
enum GRPCTimeout {
    static let header = "grpc-timeout"

    /// The limit that a request brings along; nil when there is none, or `action` has one of its own.
    static func milliseconds(of head: HTTPRequestHead, by action: ForwardAction) -> Int? {
        action.timeoutMs > 0 ? nil : head.fields.first(header).flatMap(milliseconds)
    }

    /// `1S`, `100m`, …; at most eight digits and a unit.
    static func milliseconds(_ text: String) -> Int? {
        guard (2...9).contains(text.utf8.count), let unit = text.last, let value = Int(text.dropLast()), value >= 0
        else { return nil }
        switch unit {
        case "H": return value * 3_600_000
        case "M": return value * 60_000
        case "S": return value * 1000
        case "m": return value
        case "u": return (value + 999) / 1000
        case "n": return (value + 999_999) / 1_000_000
        default: return nil
        }
    }

    /// In the smallest unit that fits, from milliseconds up.
    static func text(milliseconds: Int) -> String {
        let limit = 99_999_999
        if milliseconds <= limit { return "\(milliseconds)m" }
        if milliseconds / 1000 <= limit { return "\(milliseconds / 1000)S" }
        if milliseconds / 60_000 <= limit { return "\(milliseconds / 60_000)M" }
        return "\(min(milliseconds / 3_600_000, limit))H"
    }
}
