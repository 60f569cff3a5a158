import NIOConcurrencyHelpers
import Synchronization

/// A counter or gauge that the proxy's loop writes and anyone reads.
final class Counter: Sendable {
    private let storage = Atomic<UInt64>(0)

    var value: UInt64 { storage.load(ordering: .relaxed) }
    func add(_ amount: Int = 1) { storage.wrappingAdd(UInt64(amount), ordering: .relaxed) }
    func reset() { storage.store(0, ordering: .relaxed) }
    func subtract() { storage.wrappingSubtract(1, ordering: .relaxed) }
}

/// All counters of a proxy by Envoy's names, without the `;` of Istio's raw names.
final class ProxyStatistics: Sendable {
    private let counters = NIOLockedValueBox<[String: Counter]>([:])

    /// The counter called `name`, made if it is new.
    func counter(_ name: String) -> Counter {
        counters.withLockedValue { table in
            if let counter = table[name] { return counter }
            let counter = Counter()
            table[name] = counter
            return counter
        }
    }

    /// Envoy's names end so where a statistic goes down, too.
    static func isGauge(_ name: String) -> Bool { name.hasSuffix("_active") }

    /// Counts anew, but for what is a state.
    func resetCounters() {
        counters.withLockedValue { table in
            for (name, counter) in table where !Self.isGauge(name) { counter.reset() }
        }
    }

    /// Forgets the counters of clusters that are gone, as Envoy does.
    ///
    /// - Parameter living: the names of the others: `a` may be gone while `a.b` is there.
    func forget(clusters gone: [String], living: [String]) {
        guard !gone.isEmpty else { return }
        let prefixes = gone.map { gone in
            (own: "cluster.\(gone).", others: living.filter { $0.hasPrefix("\(gone).") }.map { "cluster.\($0)." })
        }
        counters.withLockedValue { table in
            for name in table.keys where name.hasPrefix("cluster.") {
                let isGone = prefixes.contains { prefix in
                    name.hasPrefix(prefix.own) && !prefix.others.contains { name.hasPrefix($0) }
                }
                if isGone { table[name] = nil }
            }
        }
    }

    func snapshot() -> [String: UInt64] { counters.withLockedValue { $0.mapValues(\.value) } }

    /// Accepts `cluster.NAME;.upstream_cx_total` for `cluster.NAME.upstream_cx_total`, likewise for `http.`.
    func value(of name: String) -> UInt64? {
        let plain = StatisticName.plain(name)
        return counters.withLockedValue { $0[plain]?.value }
    }
}

/// Response-code counters under one prefix: `…_rq_200` and `…_rq_2xx`.
final class ResponseCounters {
    private let statistics: ProxyStatistics
    private let prefix: String
    private let countsCodes: Bool
    private var byCode: [Int: (Counter?, Counter)] = [:]

    init(_ statistics: ProxyStatistics, prefix: String, countsCodes: Bool) {
        self.statistics = statistics
        self.prefix = prefix
        self.countsCodes = countsCodes
    }

    func count(_ code: Int) {
        if let known = byCode[code] {
            known.0?.add()
            known.1.add()
            return
        }
        let made = (
            countsCodes ? statistics.counter("\(prefix)\(code)") : nil, statistics.counter("\(prefix)\(code / 100)xx")
        )
        byCode[code] = made
        count(code)
    }
}
