import Proxy

/// What Envoy answers to `GET /stats`.
struct EnvoyStatisticsPage: Sendable {
    /// Counters and gauges, by names without the `;` of Istio's raw names.
    private(set) var numbers: [String: UInt64] = [:]
    /// Statistics that are texts: versions.
    private(set) var texts: [String: String] = [:]

    init(_ page: String) {
        for line in page.split(separator: "\n") {
            // Values have no colon, names may.
            guard let colon = line.lastIndex(of: ":") else { continue }
            let value = line[line.index(after: colon)...].drop { $0 == " " }
            let name = StatisticName.plain(line[..<colon])
            if let number = UInt64(value) {
                numbers[name] = number
            } else if value.hasPrefix("\""), value.hasSuffix("\""), value.count > 1 {
                texts[name] = String(value.dropFirst().dropLast())
            }
        }
    }

    /// As Envoy writes a name where colons part words.
    static func sanitized(_ name: String) -> String { name.replacing(":", with: "_") }
}
