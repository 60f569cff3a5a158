package import NIOCore
package import NetworkAddresses
internal import Proxy

/// A lookup under way: candidate names in order, for each the servers in turn.
///
/// All state is confined to the event loop; the methods may be called from anywhere.
package final class DNSLookup: @unchecked Sendable {
    /// Fails with a `DNSFailure`.
    package let result: EventLoopFuture<DNSResolution>

    private let promise: EventLoopPromise<DNSResolution>
    private let loop: any EventLoop
    private let context: any NetworkContext
    private let configuration: DNSClientConfiguration
    private let families: [IPFamily]
    private let onAttempt: @Sendable (FiveTuple) -> Void
    private var candidates: [String]
    private var isDone = false
    private var exchange: DNSExchange?
    /// The servers still to be asked about the present candidate.
    private var servers: [IPEndpoint] = []
    /// Failures of the present candidate's servers, and of earlier candidates.
    private var serverFailures: [DNSFailure] = []
    private var candidateFailures: [DNSFailure] = []

    init(
        name: String, families: [IPFamily], context: any NetworkContext, configuration: DNSClientConfiguration,
        loop: any EventLoop, onAttempt: @escaping @Sendable (FiveTuple) -> Void
    ) {
        promise = loop.makePromise(of: DNSResolution.self)
        result = promise.futureResult
        candidates = configuration.candidates(for: name).reversed()
        self.families = families
        self.context = context
        self.configuration = configuration
        self.loop = loop
        self.onAttempt = onAttempt
    }

    /// Ends the lookup with `cancelled`, unless it has ended.
    package func cancel() {
        onLoop { $0.finish(.failure(.cancelled)) }
    }

    /// Says that the query with these addresses was dropped: the lookup ends with `timeout`.
    package func attemptDropped(_ tuple: FiveTuple) {
        onLoop { lookup in
            guard lookup.exchange?.tuples.contains(tuple) == true else { return }
            lookup.finish(.failure(.timeout))
        }
    }

    func start() { nextCandidate() }

    private func onLoop(_ body: @escaping @Sendable (DNSLookup) -> Void) {
        if loop.inEventLoop {
            body(self)
        } else {
            loop.execute { body(self) }
        }
    }

    private func nextCandidate() {
        guard !isDone else { return }
        guard candidates.last != nil else {
            // glibc: "exists without addresses" outweighs "a server failed", and that "doesn't exist".
            let order: [DNSFailure] = [.noData, .serverFailure, .refused, .nameError]
            return finish(.failure(order.first(where: candidateFailures.contains) ?? .nameError))
        }
        servers = (0..<configuration.attempts).flatMap { _ in configuration.nameservers }.reversed()
        serverFailures = []
        nextServer()
    }

    private func nextServer() {
        guard !isDone, let name = candidates.last else { return }
        guard let server = servers.popLast() else {
            let order: [DNSFailure] = [.serverFailure, .refused, .timeout]
            return candidateFailed(order.first(where: serverFailures.contains) ?? .unreachable)
        }
        let exchange = DNSExchange(
            name: name, families: families, server: server, context: context, loop: loop,
            timeout: configuration.timeout, onAttempt: onAttempt
        ) { [self] outcome in
            // Holds the lookup until its exchange has ended: a caller may keep just the future.
            answered(outcome)
        }
        self.exchange = exchange
        exchange.start()
    }

    private func answered(_ outcome: Result<[DNSResponse], DNSFailure>) {
        exchange = nil
        guard !isDone else { return }
        switch outcome {
        case .failure(let failure):
            serverFailures.append(failure)
            nextServer()
        case .success(let responses):
            let addresses = families.flatMap { family in
                responses.filter { $0.type == DNSRecordType(family) }.flatMap(\.addresses)
            }
            if let name = candidates.last, !addresses.isEmpty {
                let alias = responses.lazy.compactMap(\.canonicalName).first
                return finish(
                    .success(
                        DNSResolution(
                            addresses: addresses, ttlSeconds: responses.compactMap(\.ttlSeconds).min(),
                            name: alias ?? name)))
            }
            let exists = responses.contains { $0.code == .noError }
            candidateFailed(exists ? .noData : .nameError)
        }
    }

    private func candidateFailed(_ failure: DNSFailure) {
        // Silence ends the search: the next candidate would meet the same servers.
        if failure == .timeout || failure == .unreachable { return finish(.failure(failure)) }
        candidateFailures.append(failure)
        candidates.removeLast()
        nextCandidate()
    }

    private func finish(_ outcome: Result<DNSResolution, DNSFailure>) {
        guard !isDone else { return }
        isDone = true
        exchange?.cancel()
        exchange = nil
        promise.completeWith(outcome.mapError { $0 })
    }
}
