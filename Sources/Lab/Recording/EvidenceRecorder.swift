package import Evidence
import NIOConcurrencyHelpers
package import NIOCore
package import NetworkAddresses

/// Collects what all observers of a lab see, and tells those who wait for it.
package final class EvidenceRecorder: Sendable {
    private struct State {
        var log: ObservationLog
        var watches: [SocketKey: [UInt64: @Sendable (Observation) -> Void]] = [:]
        var nextWatch: UInt64 = 0
        /// Those who wait until proxies have written all about connections that are not among theirs.
        var settling: [UInt64: (known: Set<ProxyConnection>, done: CheckedContinuation<Void, Never>)] = [:]
    }

    private let state: NIOLockedValueBox<State>
    /// Told of everything in the log's place.
    private let observer: (@Sendable (Observation) -> Void)?
    private let clock = ContinuousClock()
    private let start: ContinuousClock.Instant

    /// With an `observer` nothing is kept.
    package init(
        clusterRanges: IPPrefixSet, nodeAddresses: [IPAddress] = [], usesComeFirst: Bool = false,
        observer: (@Sendable (Observation) -> Void)? = nil
    ) {
        self.observer = observer
        state = NIOLockedValueBox(
            State(
                log: ObservationLog(
                    clusterRanges: clusterRanges, nodeAddresses: nodeAddresses, usesComeFirst: usesComeFirst)))
        start = clock.now
    }

    /// The cluster has grown.
    func setCluster(ranges: IPPrefixSet, nodes: [IPAddress]) {
        state.withLockedValue { ($0.log.clusterRanges, $0.log.nodeAddresses) = (ranges, nodes) }
    }

    /// Milliseconds since the lab began.
    package var nowMs: Double { (clock.now - start) / .milliseconds(1) }

    package func record(_ observation: Observation) {
        observer?(observation)
        let (concerned, earlier) = state.withLockedValue { state in
            if observer == nil { state.log.add(observation) }
            guard !state.watches.isEmpty else { return ([@Sendable (Observation) -> Void](), [Observation]()) }
            let watches = state.log.roots(of: observation).flatMap { state.watches[$0].map { Array($0.values) } ?? [] }
            // The node may drop a packet before the proxy has told whose it is: now it is known whom that concerns.
            guard !watches.isEmpty, case .proxyConnecting(let use) = observation else { return (watches, []) }
            return (watches, state.log.earlyDrops(of: use).map(Observation.drop))
        }
        for watch in concerned {
            watch(observation)
            earlier.forEach(watch)
        }
        switch observation {
        case .proxyClosed, .proxyRecord: endSettling()
        default: break
        }
    }

    /// The connections that proxies hold at the moment.
    package var openConnections: Set<ProxyConnection> { state.withLockedValue { $0.log.open } }

    /// Returns when all about connections that are not in `known` has been written, or when the time is over.
    package func settle(except known: Set<ProxyConnection>, within time: TimeAmount, on loop: any EventLoop) async {
        let number = state.withLockedValue { state in
            state.nextWatch += 1
            return state.nextWatch
        }
        let end = loop.scheduleTask(in: time) { self.stopSettling(number) }
        await withCheckedContinuation { done in
            let isSettled = state.withLockedValue { state in
                if state.log.isSettled(except: known) { return true }
                state.settling[number] = (known, done)
                return false
            }
            if isSettled { done.resume() }
        }
        end.cancel()
    }

    private func stopSettling(_ number: UInt64) {
        state.withLockedValue { $0.settling.removeValue(forKey: number) }?.done.resume()
    }

    private func endSettling() {
        let settled = state.withLockedValue { state in
            state.settling.filter { state.log.isSettled(except: $0.value.known) }.keys
        }
        for number in settled { stopSettling(number) }
    }

    package func recordLoss(_ count: Int) { state.withLockedValue { $0.log.addLoss(count) } }

    package var lostMessages: Int { state.withLockedValue { $0.log.lostMessages } }

    package func setTranslations(_ translations: [IPEndpoint: Set<IPEndpoint>]) {
        state.withLockedValue { state in
            // Older targets stay: connections made before a change still end there.
            state.log.translations.merge(translations) { $0.union($1) }
        }
    }

    /// True when a proxy has told of the connection whose first packet had this tuple, seen at `sinceMs`.
    func isTold(_ tuple: FiveTuple, sinceMs: Double) -> Bool {
        state.withLockedValue { $0.log.isTold(tuple, sinceMs: sinceMs) }
    }

    /// Where packets for `destination` may arrive.
    func targets(of destination: IPEndpoint) -> [IPEndpoint] {
        state.withLockedValue { $0.log.targets(of: destination) }
    }

    /// True when a packet for `destination` may have become one for `target` on its way.
    func leads(from destination: IPEndpoint, to target: IPEndpoint) -> Bool {
        state.withLockedValue { $0.log.leads(from: destination, to: target) }
    }

    package func hop(for tuple: FiveTuple, sinceMs: Double) -> Hop {
        state.withLockedValue { $0.log.hop(for: tuple, sinceMs: sinceMs) }
    }

    /// Calls `body` for every observation of the chains that begin with the socket of `tuple`, until `unwatch`.
    package func watch(_ tuple: FiveTuple, _ body: @escaping @Sendable (Observation) -> Void) -> Watch {
        state.withLockedValue { state in
            state.nextWatch += 1
            let key = SocketKey(tuple)
            state.watches[key, default: [:]][state.nextWatch] = body
            return Watch(key: key, number: state.nextWatch)
        }
    }

    package func unwatch(_ watch: Watch) {
        state.withLockedValue { state in
            state.watches[watch.key]?[watch.number] = nil
            if state.watches[watch.key]?.isEmpty == true { state.watches[watch.key] = nil }
        }
    }

    /// Names a registration.
    package struct Watch: Sendable {
        fileprivate let key: SocketKey
        fileprivate let number: UInt64
    }
}

extension ObservationLog {
    /// The sockets at the beginning of the chains that an observation belongs to.
    fileprivate func roots(of observation: Observation) -> Set<SocketKey> {
        switch observation {
        case .packet(let seen): roots(of: seen.tuple)
        case .drop(let seen): roots(of: seen.tuple)
        case .served(let seen): roots(of: seen.tuple)
        case .nameServed(let seen): roots(of: seen.tuple)
        case .agent(let seen): roots(of: seen.tuple)
        case .proxyAccepted(let seen): roots(of: seen.tuple)
        case .proxyConnecting(let seen): roots(of: seen.connection)
        case .proxyLookup(let seen): roots(of: seen.tuple)
        case .proxyRecord(let seen): roots(of: seen.connection)
        case .proxyClosed(let connection): roots(of: connection)
        }
    }
}
