/// How names appear in Envoy's statistics.
enum EnvoyStatistics {
    /// Istio ends the part of a statistic's name that is a cluster or a listener with a semicolon, since the part may
    /// have dots.
    static func rawName(_ name: String) -> String { name + ";" }
}
