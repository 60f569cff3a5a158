/// The access-log records of two results of one flow, held against each other proxy by proxy.
struct RecordComparison {
    let left: FlowResult
    let right: FlowResult
    let choices: [[String]]

    private typealias Fields = [String: String]

    /// True when a proxy on the way drew different lots: another host of a cluster, another cluster of a route. What
    /// comes behind it is then another place.
    var tookOtherWays: Bool {
        pairs.contains { _, left, right in
            zip(left, right).contains { left, right in
                ["upstream_host", "upstream_cluster"].contains { field in
                    left[field] != right[field] && isChoice(left[field], right[field])
                }
            }
        }
    }

    func compare(_ fields: inout FieldComparison) {
        let tookOtherWays = tookOtherWays
        for (proxy, left, right) in pairs {
            // Behind different lots stand different proxies.
            if tookOtherWays, left.isEmpty || right.isEmpty { continue }
            if left.count != right.count {
                fields.differ("access-log[\(proxy)]", counted(left.count), counted(right.count))
            }
            for (number, (left, right)) in zip(left, right).enumerated() {
                let place = "access-log[\(proxy)\(number == 0 ? "" : " #\(number + 1)")]"
                compare(left, right, place, behindOthers: tookOtherWays, &fields)
            }
        }
    }

    // MARK: Records

    /// Each proxy's records on both sides, in the order of the way; of proxies that stand for one another, by place.
    private var pairs: [(proxy: String, left: [Fields], right: [Fields])] {
        let (left, right) = (records(left), records(right))
        let proxies = left.map(\.proxy) + right.map(\.proxy).filter { name in !left.contains { $0.proxy == name } }
        return proxies.map { name in
            (name, left.first { $0.proxy == name }?.records ?? [], right.first { $0.proxy == name }?.records ?? [])
        }
    }

    private func records(_ flow: FlowResult) -> [(proxy: String, records: [Fields])] {
        var result: [(proxy: String, records: [Fields])] = []
        for item in flow.evidence where item.kind == .accessLog {
            if let index = result.firstIndex(where: { $0.proxy == item.at }) {
                result[index].records.append(item.detail)
            } else {
                result.append((item.at, [item.detail]))
            }
        }
        return result
    }

    /// - Parameter behindOthers: a proxy before this one drew different lots, perhaps this one's pod.
    private func compare(
        _ left: Fields, _ right: Fields, _ place: String, behindOthers: Bool, _ fields: inout FieldComparison
    ) {
        // The proxy's own end is of the family of the host that was drawn.
        let drewOthers =
            left["upstream_host"] != right["upstream_host"]
            && isChoice(left["upstream_host"], right["upstream_host"])
        for name in Set(left.keys).union(right.keys).sorted() where !drewOthers || name != "upstream_local_address" {
            let (left, right) = (value(name, left), value(name, right))
            if VolatileText.RecordField.sizes.contains(name), isTLS || differsByServiceTime(left, right) { continue }
            if isChoice(left, right) { continue }
            if behindOthers, VolatileText.RecordField.hostOnly[name] != nil, areDrawnHosts(left, right) { continue }
            fields.compare("\(place).\(name)", left, right)
        }
    }

    private func value(_ name: String, _ record: Fields) -> String? {
        guard let value = record[name] else { return nil }
        if VolatileText.RecordField.presenceOnly[name] != nil { return "some" }
        if VolatileText.RecordField.hostOnly[name] != nil { return host(of: value) }
        return value
    }

    /// `10.244.0.5:41234` without its port.
    private func host(of endpoint: String) -> String {
        endpoint.lastIndex(of: ":").map { String(endpoint[..<$0]) } ?? endpoint
    }

    /// TLS from end to end: what the client speaks passes unopened.
    private var isTLS: Bool { left.to.hasPrefix("https:") || left.to.hasPrefix("tls:") }

    /// Bytes that pass as TCP hold the time that a proxy further on took, whose digits differ in number.
    private func differsByServiceTime(_ left: String?, _ right: String?) -> Bool {
        guard let left = left.flatMap(Int.init), let right = right.flatMap(Int.init) else { return false }
        return left - right == serviceTimeLength(self.left) - serviceTimeLength(self.right)
    }

    private func serviceTimeLength(_ flow: FlowResult) -> Int {
        let name = "x-envoy-upstream-service-time"
        if let header = flow.observed.headers?.first(where: { $0.name.lowercased() == name }) {
            return header.value.count
        }
        let body = flow.observed.body?.text ?? ""
        return body.firstMatch(of: /(?i)x-envoy-upstream-service-time: *(\d+)/)?.output.1.count ?? 0
    }

    private func isChoice(_ left: String?, _ right: String?) -> Bool {
        guard let left, let right else { return false }
        return choices.contains { $0.contains(left) && $0.contains(right) }
    }

    /// Whether the addresses are those of hosts of which a proxy may take any.
    private func areDrawnHosts(_ left: String?, _ right: String?) -> Bool {
        guard let left, let right else { return false }
        return choices.contains { choice in
            let hosts = choice.map { host(of: $0) }
            return hosts.contains(left) && hosts.contains(right)
        }
    }

    private func counted(_ number: Int) -> String { "\(number) record\(number == 1 ? "" : "s")" }
}
