internal import Crypto
internal import DNS
internal import Glibc
package import NIOCore
internal import NIOPosix
package import NetworkAddresses

/// An exchange under way: resolves, tries address after address, speaks, and says what it saw.
///
/// All state is confined to the event loop; the methods may be called from anywhere.
package final class ClientExchange: @unchecked Sendable {
    /// Never fails: what went wrong is in the result.
    package let result: EventLoopFuture<ClientResult>

    let request: ClientRequest
    let site: ClientSite
    let tls: ClientTLS
    let ports: SourcePorts
    let loop: any EventLoop
    let hold: Bool
    /// How much of an answer is kept.
    private static let bodyLimit = 65_536

    private let onEvent: @Sendable (ClientEvent) -> Void
    private let promise: EventLoopPromise<ClientResult>
    private let began = NIODeadline.now()
    private var seen = ClientResult()
    /// Of what was received, from where it no longer fits into the result.
    private var digest: SHA256?
    private var isDone = false
    private var deadline: Scheduled<Void>?
    private var lookup: DNSLookup?
    /// The addresses still to be tried, the next one last.
    private var addresses: [IPAddress] = []
    /// Counts attempts: what a given-up attempt still reports is ignored.
    private var attempt = 0
    private var tuple: FiveTuple?
    private var isConnected = false
    private var channel: (any Channel)?

    init(
        _ request: ClientRequest, site: ClientSite, tls: ClientTLS, ports: SourcePorts, loop: any EventLoop, hold: Bool,
        onEvent: @escaping @Sendable (ClientEvent) -> Void
    ) {
        self.request = request
        self.site = site
        self.tls = tls
        self.ports = ports
        self.loop = loop
        self.hold = hold
        self.onEvent = onEvent
        promise = loop.makePromise(of: ClientResult.self)
        result = promise.futureResult
    }

    /// Ends the exchange as `cancelled`, unless it has ended; closes its connection either way.
    ///
    /// An exchange in progress ends with a reset: after a FIN a proxy would go on trying to reach the destination.
    package func cancel() {
        onLoop { exchange in
            if exchange.isDone { return exchange.shut() }
            exchange.finish(ClientFailure(.cancelled))
            exchange.reset()
        }
    }

    /// Closes a connection that was held; before the exchange has ended it does nothing.
    package func close() {
        onLoop { if $0.isDone { $0.shut() } }
    }

    /// Says that the first packet of this attempt, or the query of this lookup, was dropped on its way.
    ///
    /// A connection attempt ends as if it had timed out, and the next address is tried; a lookup or a datagram's
    /// exchange ends with a timeout.
    package func attemptDropped(_ tuple: FiveTuple) {
        onLoop { exchange in
            exchange.lookup?.attemptDropped(tuple)
            guard !exchange.isDone, exchange.tuple == tuple, !exchange.isConnected else { return }
            exchange.failed(
                ClientFailure(exchange.request.kind.isDatagram ? .timeout : .connectTimeout, "dropped"),
                exchange.attempt)
        }
    }

    private func onLoop(_ body: @escaping @Sendable (ClientExchange) -> Void) {
        if loop.inEventLoop {
            body(self)
        } else {
            loop.execute { body(self) }
        }
    }

    // MARK: Resolving

    func start() {
        deadline = loop.scheduleTask(in: .milliseconds(Int64(request.timeoutMs))) { [self] in
            let isEstablished = isConnected || request.kind.isDatagram
            finish(ClientFailure(isEstablished || lookup != nil ? .timeout : .connectTimeout))
            shut()
        }
        switch request.target {
        case .addresses(let addresses): begin(addresses)
        case .name(let name):
            if let address = IPAddress(name) { return begin([address]) }
            if let known = site.resolver.hosts[name.lowercased()] { return begin(known) }
            resolve(name)
        }
    }

    private func resolve(_ name: String) {
        let resolver = site.resolver
        guard !resolver.nameservers.isEmpty else { return finish(ClientFailure(.resolution, "no nameserver")) }
        let client = DNSClient(
            in: site.context,
            configuration: DNSClientConfiguration(
                nameservers: resolver.nameservers, searchDomains: resolver.searchDomains, ndots: resolver.ndots))
        let families: [IPFamily] = request.family.map { [$0] } ?? [.ipv6, .ipv4]
        let lookup = client.lookup(name, families: families, on: loop) { [onEvent] tuple in
            onEvent(.attempting(tuple, purpose: .resolve))
        }
        self.lookup = lookup
        lookup.result.whenComplete { [self] outcome in
            self.lookup = nil
            guard !isDone else { return }
            switch outcome {
            case .success(let resolution):
                onEvent(.resolved(name: name, addresses: resolution.addresses, failure: nil))
                begin(resolution.addresses)
            case .failure(let error):
                let failure =
                    (error as? DNSFailure).flatMap { ResolutionFailure(rawValue: $0.rawValue) } ?? .unreachable
                onEvent(.resolved(name: name, addresses: [], failure: failure))
                finish(ClientFailure(.resolution, "\(name): \(failure.rawValue)"))
            }
        }
    }

    private func begin(_ all: [IPAddress]) {
        let wanted = all.filter { request.family == nil || $0.family == request.family }
        // IPv6 first, as curl does; within a family the order that was given. Name servers are asked in their order.
        let ordered =
            request.kind == .dns
            ? wanted : wanted.filter { $0.family == .ipv6 } + wanted.filter { $0.family == .ipv4 }
        addresses = ordered.reversed()
        guard !addresses.isEmpty else {
            return finish(ClientFailure(.resolution, "no \(request.family?.rawValue ?? "") address"))
        }
        nextAddress()
    }

    // MARK: Attempts

    private func nextAddress() {
        guard !isDone, let address = addresses.popLast() else { return }
        attempt += 1
        isConnected = false
        tuple = nil
        let endpoint = IPEndpoint(address, request.port)
        switch request.kind {
        case .http, .https, .tcp, .tls: ClientConnection(self, attempt: attempt, to: endpoint).open()
        case .udp, .icmp, .sctp: ClientDatagram(self, attempt: attempt, to: endpoint).open()
        case .dns: ask(endpoint)
        }
    }

    private func ask(_ server: IPEndpoint) {
        let configuration = DNSClientConfiguration(nameservers: [server], attempts: 1)
        let families: [IPFamily] = request.family.map { [$0] } ?? [.ipv6, .ipv4]
        let name = request.path.hasPrefix("/") ? String(request.path.dropFirst()) : request.path
        let number = attempt
        let lookup = DNSClient(in: site.context, configuration: configuration)
            .lookup(name.hasSuffix(".") ? name : name + ".", families: families, on: loop) { [self] in
                attempting($0, number)
            }
        self.lookup = lookup
        lookup.result.whenComplete { [self] outcome in
            self.lookup = nil
            guard !isDone, number == attempt else { return }
            switch outcome {
            case .success(let resolution):
                let text = resolution.addresses.map { "\($0)\n" }.joined()
                received(Array(text.utf8), number)
                completed(number)
            case .failure(DNSFailure.timeout): failed(ClientFailure(.timeout), number)
            case .failure(DNSFailure.unreachable): failed(ClientFailure(.unreachable), number)
            case .failure(let error):
                failed(ClientFailure(.resolution, (error as? DNSFailure)?.rawValue ?? "\(error)"), number)
            }
        }
    }

    // MARK: What attempts report

    func isCurrent(_ number: Int) -> Bool { !isDone && number == attempt }

    func opened(_ channel: any Channel, _ number: Int) {
        guard isCurrent(number) else { return channel.close(promise: nil) }
        self.channel = channel
    }

    func attempting(_ tuple: FiveTuple, _ number: Int) {
        guard isCurrent(number) else { return }
        self.tuple = tuple
        seen.attempts.append(tuple)
        onEvent(.attempting(tuple, purpose: .exchange))
    }

    func connected(_ number: Int) {
        guard isCurrent(number), let tuple else { return }
        isConnected = true
        onEvent(.connected(tuple))
    }

    func authenticated(_ names: [String], _ number: Int) {
        if isCurrent(number) { seen.peerCertificateNames = names }
    }

    func answered(status: Int, version: String, headers: [(name: String, value: String)], _ number: Int) {
        guard isCurrent(number) else { return }
        (seen.status, seen.httpVersion, seen.headers) = (status, version, headers)
    }

    func received(_ bytes: some Collection<UInt8>, _ number: Int) {
        guard isCurrent(number) else { return }
        seen.bytesReceived += bytes.count
        let room = Self.bodyLimit - seen.body.count
        if digest == nil, bytes.count > room {
            digest = SHA256()
            digest?.update(data: seen.body)
        }
        digest?.update(data: Array(bytes))
        seen.body += bytes.prefix(max(0, room))
    }

    func completed(_ number: Int) {
        guard isCurrent(number) else { return }
        finish(nil)
        if !hold { shut() }
    }

    /// An attempt ended; before it was connected, the next address is tried.
    func failed(_ failure: ClientFailure, _ number: Int) {
        guard isCurrent(number) else { return }
        // Closing makes the attempt report once more, at once: that is no news.
        attempt += 1
        shut()
        if !isConnected, failure.stage != .resolution, !addresses.isEmpty { return nextAddress() }
        finish(failure)
    }

    private func shut() {
        channel?.close(promise: nil)
        channel = nil
        lookup?.cancel()
    }

    /// Gives the connection up without the handlers' farewells (TLS would wait for the peer's).
    private func reset() {
        lookup?.cancel()
        guard let channel else { return }
        self.channel = nil
        let options = channel as? any SocketOptionProvider
        options?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).whenFailure { _ in }
        let head = try? channel.pipeline.syncOperations.context(handlerType: AnnouncingConnect.self)
        if let head { head.close(promise: nil) } else { channel.close(promise: nil) }
    }

    private func finish(_ failure: ClientFailure?) {
        guard !isDone else { return }
        isDone = true
        deadline?.cancel()
        seen.failure = failure
        if digest == nil, String(validating: seen.body, as: UTF8.self) == nil {
            digest = SHA256()
            digest?.update(data: seen.body)
        }
        seen.bodyDigest = digest?.finalize().map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
        seen.durationMs = Double((NIODeadline.now() - began).nanoseconds) / 1_000_000
        promise.succeed(seen)
    }
}
