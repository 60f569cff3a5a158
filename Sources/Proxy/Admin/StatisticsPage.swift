import ProxyModel
import RegularExpressions

/// The proxy's statistics as `/stats` and `/stats/prometheus` show them.
struct StatisticsPage {
    private let worker: ProxyWorker

    init(_ worker: ProxyWorker) { self.worker = worker }

    func answer(_ request: AdminRequest) -> AdminAnswer {
        if request.query["format"] == "prometheus" { return prometheus(request) }
        do {
            let chosen = try chosen(request)
            guard request.query["format"] == "json" else {
                return AdminAnswer(chosen.map { "\($0.name): \($0.value)\n" }.joined())
            }
            let members = chosen.map { #"{"name":\#(JSONText.quoted($0.name)),"value":\#($0.value)}"# }
            return AdminAnswer(type: "application/json", #"{"stats":[\#(members.joined(separator: ","))]}"#)
        } catch {
            return AdminAnswer(status: 400, "Invalid re2 regex: \(error)")
        }
    }

    func prometheus(_ request: AdminRequest) -> AdminAnswer {
        do {
            let tags = StatisticTags(worker.snapshot?.model)
            var exposition = PrometheusText()
            for (name, value) in try chosen(request) {
                let (metric, labels) = tags.metric(of: name)
                exposition.add(metric, ProxyStatistics.isGauge(name) ? .gauge : .counter, labels, "\(value)")
            }
            return AdminAnswer(exposition.text)
        } catch {
            return AdminAnswer(status: 400, "Invalid re2 regex: \(error)")
        }
    }

    /// Sorted. A filter may be written for names with or without the `;` that ends the cluster's part in today's Istio.
    private func chosen(_ request: AdminRequest) throws -> [(name: String, value: UInt64)] {
        let all = worker.statistics.snapshot().sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) }
        let filter = try request.query["filter"].map { try RegularExpression(searching: $0) }
        let tags = StatisticTags(worker.snapshot?.model)
        return all.filter { name, value in
            if request.query["usedonly"] != nil, value == 0 { return false }
            switch request.query["type"]?.lowercased() {
            case "counters" where ProxyStatistics.isGauge(name): return false
            case "gauges" where !ProxyStatistics.isGauge(name): return false
            case "histograms", "textreadouts": return false
            default: break
            }
            return filter.map { $0.matchesWhole(name) || $0.matchesWhole(tags.rawName(of: name)) } ?? true
        }
    }
}

/// Which part of a statistic's name is a name of the configuration: Envoy's tags.
struct StatisticTags {
    private let prefixes: [String: [String]]
    private static let labels = [
        "cluster": "cluster_name", "http": "http_conn_manager_prefix", "listener": "listener_address",
        "tcp": "tcp_prefix",
    ]

    init(_ model: ProxyConfiguration?) {
        var prefixes: [String: Set<String>] = [:]
        for cluster in model?.clusters ?? [] { prefixes["cluster", default: []].insert(cluster.name) }
        for listener in model?.listeners ?? [] {
            // `listener.0.0.0.0_80.` without its first word and its dot.
            prefixes["listener", default: []].insert(
                String(listener.statisticsPrefix.dropFirst("listener.".count).dropLast()))
            for chain in listener.filterChains + [listener.defaultFilterChain].compactMap(\.self) {
                switch chain.filter {
                case .tcpProxy(let proxy): prefixes["tcp", default: []].insert(proxy.statPrefix)
                case .httpConnectionManager(let manager): prefixes["http", default: []].insert(manager.statPrefix)
                }
            }
        }
        // The longest first, because names may begin with others.
        self.prefixes = prefixes.mapValues { $0.sorted { ($1.count, $0) < ($0.count, $1) } }
    }

    /// `cluster`, the name that stands in between, and the rest.
    private func parts(of name: String) -> (kind: String, subject: String, rest: Substring)? {
        guard let dot = name.firstIndex(of: ".") else { return nil }
        let kind = String(name[..<dot])
        let rest = name[name.index(after: dot)...]
        if let subject = prefixes[kind]?.first(where: { rest.hasPrefix($0 + ".") }) {
            return (kind, subject, rest.dropFirst(subject.count + 1))
        }
        // Of what has left the configuration: no counter of a cluster has a dot in its own name.
        guard kind == "cluster", let last = rest.lastIndex(of: ".") else { return nil }
        return (kind, String(rest[..<last]), rest[rest.index(after: last)...])
    }

    /// With the `;` that ends a name of clusters and connection managers in today's Istio.
    func rawName(of name: String) -> String {
        guard let (kind, subject, rest) = parts(of: name), kind == "cluster" || kind == "http" else { return name }
        return "\(kind).\(subject);.\(rest)"
    }

    /// As Envoy's Prometheus page names it.
    func metric(of name: String) -> (name: String, labels: [(String, String)]) {
        guard let (kind, subject, rest) = parts(of: name), let label = Self.labels[kind] else {
            return ("envoy_\(name)", [])
        }
        var labels = [(label, subject)]
        var metric = String(rest)
        // `upstream_rq_503` and `upstream_rq_5xx`.
        if let cut = metric.lastRange(of: "_rq_") {
            let code = metric[cut.upperBound...]
            if code.count == 3, code.hasSuffix("xx"), let digit = code.first, digit.isNumber {
                labels.insert(("response_code_class", String(digit)), at: 0)
                metric = metric[..<cut.lowerBound] + "_rq_xx"
            } else if code.count == 3, Int(code) != nil {
                labels.insert(("response_code", String(code)), at: 0)
                metric = metric[..<cut.lowerBound] + "_rq"
            }
        }
        return ("envoy_\(kind)_\(metric)", labels)
    }
}

extension String {
    fileprivate func lastRange(of text: String) -> Range<Index>? { ranges(of: text).last }
}
