/// The time limit that gRPC clients send (Envoy: `max_grpc_timeout`, which Istio sets to the route's timeout).
enum GRPCTimeout {
    /// The limit of a request: the client's own, no longer than the route's. 0 is none.
    static func timeoutMs(of request: HTTPRequest, routeTimeoutMs: Int) -> Int {
        guard request.isGRPC, let text = request.head.fields.first("grpc-timeout"),
            let asked = milliseconds(text)
        else { return routeTimeoutMs }
        return routeTimeoutMs > 0 ? min(asked, routeTimeoutMs) : asked
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
