import DNS
import Mesh
import NIOConcurrencyHelpers
import Netlink
import NetworkAddresses
import Nftables
import PolicyOracle

/// The addresses that pods learnt by lookups, for as long as their answers live (adminnetworkpolicy.md §5).
///
/// Rules on domain names match sets of the node; an address is in them before the pod sees the answer.
final class LearntNames: Sendable {
    private struct Key: Hashable {
        var pod: IPAddress
        var name: String
        var address: IPAddress
    }

    /// A node whose rules have sets.
    private struct Place {
        var sets: [NameSet]
        var rules: NftablesConnection?
    }

    /// When an address is known, in the lab's milliseconds.
    private struct Life {
        var since: Double
        var until: Double
    }

    private struct State {
        var lives: [Key: Life] = [:]
        var places: [String: Place] = [:]
    }

    private let state = NIOLockedValueBox(State())
    private let nowMs: @Sendable () -> Double
    private let failed: @Sendable (any Error) -> Void
    /// How long the shortest answer is remembered.
    private static let shortestMs = 1000.0
    /// How long it is remembered what was known once: no flow takes longer.
    private static let memoryMs = 300_000.0
    /// How much later than the packet its record may be.
    private static let latencyMs = 100.0

    /// `nowMs` is the clock of the evidence; `failed` is told where the kernel can't be.
    init(nowMs: @escaping @Sendable () -> Double, failed: @escaping @Sendable (any Error) -> Void) {
        self.nowMs = nowMs
        self.failed = failed
    }

    /// A node's rules, with what is known and alive in their sets; further answers will go there.
    func filled(_ ruleset: Ruleset, _ sets: [NameSet], at node: String) -> Ruleset {
        state.withLockedValue { state in
            state.places[node] = sets.isEmpty ? nil : Place(sets: sets, rules: state.places[node]?.rules)
            guard !sets.isEmpty, let table = ruleset.tables.firstIndex(where: { $0.name == NameSet.table }) else {
                return ruleset
            }
            var ruleset = ruleset
            for position in ruleset.tables[table].sets.indices {
                let name = ruleset.tables[table].sets[position].name
                guard let owner = sets.first(where: { $0.names.contains(name) }) else { continue }
                ruleset.tables[table].sets[position].elements = elements(of: name, in: owner, state.lives)
            }
            return ruleset
        }
    }

    /// Where a node's sets are filled.
    func use(_ rules: NftablesConnection, at node: String) { state.withLockedValue { $0.places[node]?.rules = rules } }

    /// Remembers an answer that its client is about to get.
    func learn(_ query: DNSServer.Query) {
        guard let question = query.question, !question.addresses.isEmpty else { return }
        let client = query.tuple.source.address
        do {
            try state.withLockedValue { state in
                let now = nowMs()
                state.lives = state.lives.filter { $0.value.until > now - Self.memoryMs }
                let until = now + max(Self.shortestMs, Double(question.ttlSeconds) * 1000)
                for address in question.addresses {
                    let key = Key(pod: client, name: question.name, address: address)
                    let since = state.lives[key].flatMap { $0.until > now ? $0.since : nil } ?? now
                    state.lives[key] = Life(since: since, until: max(until, state.lives[key]?.until ?? 0))
                }
                for place in state.places.values {
                    for owner in place.sets where owner.holds(question.name, askedBy: client) {
                        for (family, name) in zip(IPFamily.allCases, owner.names)
                        where question.addresses.contains(where: { $0.family == family }) {
                            try place.rules?.refill(
                                NamedSet(
                                    name: name, keys: [family == .ipv4 ? .ipv4Address : .ipv6Address], flags: .timeout,
                                    elements: elements(of: name, in: owner, state.lives)),
                                ofTable: NameSet.table)
                        }
                    }
                }
            }
        } catch {
            failed(error)
        }
    }

    private func elements(of name: String, in owner: NameSet, _ lives: [Key: Life]) -> [SetElement] {
        let family: IPFamily = name == owner.ipv4 ? .ipv4 : .ipv6
        let now = nowMs()
        var rest: [IPAddress: Double] = [:]
        for (key, life) in lives
        where key.address.family == family && life.until > now && owner.holds(key.name, askedBy: key.pod) {
            rest[key.address] = max(rest[key.address] ?? 0, life.until - now)
        }
        return rest.sorted { $0.key < $1.key }.map { SetElement(.address($0.key), timeout: .milliseconds($0.value)) }
    }

    /// What was known at the times of packets' records; another set where it was just then that something became known,
    /// or was forgotten.
    func known(at times: ClosedRange<Double>) -> [Set<PolicyWorld.LearntAddress>] {
        let lives = state.withLockedValue { $0.lives }
        var certain: Set<PolicyWorld.LearntAddress> = []
        var possible: Set<PolicyWorld.LearntAddress> = []
        for (key, life) in lives where life.since <= times.upperBound && life.until > times.lowerBound - 1000 {
            let learnt = PolicyWorld.LearntAddress(pod: key.pod, name: key.name, address: key.address)
            possible.insert(learnt)
            if life.since < times.lowerBound - Self.latencyMs, life.until > times.upperBound { certain.insert(learnt) }
        }
        return certain == possible ? [certain] : [certain, possible]
    }
}
