/// Names of statistics: Istio's raw ones and ours.
package enum StatisticName {
    /// `cluster.NAME.upstream_cx_total` of `cluster.NAME;.upstream_cx_total`; likewise for `http.`.
    package static func plain(_ name: some StringProtocol) -> String {
        var plain = ""
        var previous: Character?
        for character in name {
            if character == ".", previous == ";" { plain.removeLast() }
            plain.append(character)
            previous = character
        }
        return plain
    }
}
