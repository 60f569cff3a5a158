/// A line of Envoy's own log.
enum EnvoyOwnLine {
    /// Envoy's default, without the places of its sources: date, thread, level, logger, text.
    static let format = "[%Y-%m-%d %T.%e][%t][%l][%n] %v"

    /// For those who read of one event: `warning config: text`. What is no such line stays as it is.
    static func shortened(_ line: String) -> String {
        let parts = line.split(separator: "]", maxSplits: 4, omittingEmptySubsequences: false)
        guard parts.count == 5, parts[..<4].allSatisfy({ $0.hasPrefix("[") }) else { return line }
        return "\(parts[2].dropFirst()) \(parts[3].dropFirst()):\(parts[4])"
    }
}
