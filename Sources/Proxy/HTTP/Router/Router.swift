import NIOCore
import NetworkAddresses
import ProxyModel

/// Forwards a stream's request to a host of a cluster, as often as the route's policy allows, and gives the stream its
/// answer (Envoy: `Router::Filter`). Confined to the worker's loop.
final class Router: @unchecked Sendable {
    let stream: HTTPStream
    let cluster: ClusterRuntime
    /// What goes upstream, the route's changes made.
    let head: HTTPRequestHead
    private let context: HeaderRewriting.RequestContext
    private let body: RequestBody
    private let asksForUpgrade: Bool
    private let retryState: RetryState
    /// What chooses the host, in clusters that hash.
    private lazy var hash = makeHash()
    private var attempt: UpstreamRequest?
    private var shadow: RequestShadow?
    /// The connection goes on with the protocol that the client asked for.
    private(set) var isUpgraded = false
    private var hasAnswered = false
    private var isEnded = false
    private var routeTimer: Scheduled<Void>?
    private var tryTimer: Scheduled<Void>?
    private var retryTimer: Scheduled<Void>?

    /// - Parameter asksForUpgrade: bytes after the request wait for the upstream to agree.
    init(
        _ stream: HTTPStream, cluster: ClusterRuntime, head: HTTPRequestHead,
        context: HeaderRewriting.RequestContext, asksForUpgrade: Bool
    ) {
        self.stream = stream
        self.cluster = cluster
        self.head = head
        self.context = context
        self.asksForUpgrade = asksForUpgrade
        body = stream.body
        retryState = RetryState(context.action.retries, cluster: cluster)
    }

    func start() {
        // A copy has no copies.
        shadow = stream.isShadow ? nil : RequestShadow(context.action.requestMirrorPolicies)
        for bytes in body.parts { shadow?.append(bytes) }
        if body.isEnded { startTimers() }
        cluster.whenReady { [weak self] in self?.makeAttempt() }
        if body.isEnded { sendShadow() }
    }

    /// What the client is told to send from now on, so that it meets the same host.
    var setCookies: [String] { cluster.model.loadBalancing?.isConsistentHashing == true ? hash?.cookies ?? [] : [] }

    private func makeHash() -> RequestHash? {
        guard cluster.model.loadBalancing?.isConsistentHashing == true, let policies = context.action.hashPolicies
        else { return nil }
        let downstream = stream.connection.downstream
        return RequestHash(
            policies, head: head, source: (stream.record.downstreamRemoteAddress ?? downstream.source).address,
            connection: "\(downstream.source)\(downstream.destination)")
    }

    private var upstream: (any HTTPUpstream)? { attempt?.upstream }
    private var holdsBody: Bool { asksForUpgrade && !isUpgraded }

    // MARK: From the client

    func receiveBody(_ bytes: ByteBuffer) {
        shadow?.append(bytes)
        if upstream == nil || retryState.isPossible || holdsBody {
            body.keep(bytes)
            if retryState.isPossible, body.isTooLargeToReplay {
                retryState.ruleOut()
                if upstream != nil, !holdsBody { body.drop() }
            }
        }
        if !holdsBody { upstream?.write(bytes) }
    }

    func requestEnded() {
        upstream?.writeEnd(body.trailers)
        startTimers()
        sendShadow()
    }

    func flush() { upstream?.flush() }
    func resumeReading() { upstream?.resumeReading() }

    /// Whether more of the request's body may be read.
    var takesBody: Bool {
        if holdsBody { return body.takesMore }
        return upstream.map { $0.isWritable } ?? body.takesMore
    }

    private func sendShadow() {
        guard let shadow else { return }
        self.shadow = nil
        shadow.send(head, context, from: stream.connection, worker: stream.worker)
    }

    // MARK: Attempts

    private func makeAttempt() {
        guard !isEnded else { return }
        let destination = stream.connection.downstream.destination
        let picked = cluster.pick(
            for: destination, avoiding: retryState.failedHosts, hash: hash?.value, name: dynamicHost)
        guard let host = picked else {
            cluster.counters.noneHealthy.add()
            stream.reply(dynamicHost.map(cluster.isResolved) == true ? .resolvedUnhealthy : .noHealthyUpstream)
            return
        }
        stream.record.upstreamHost = host.endpoint
        stream.record.upstreamAttempts = (stream.record.upstreamAttempts ?? 0) + 1
        let attempt = UpstreamRequest(self, host: host, authority: head.authority)
        self.attempt = attempt
        attempt.start()
    }

    /// What the request asks for, where that is resolved.
    private var dynamicHost: DynamicHostName? {
        guard cluster.model.discovery == .dynamicForwardProxy else { return nil }
        return head.authority.map { DynamicHostName(authority: $0, defaultPort: cluster.defaultPort) }
    }

    /// Whether the request can be sent that way: servers of HTTP/2 end a connection that asks for another protocol.
    func mayUse(_ upstream: any HTTPUpstream) -> Bool {
        if !asksForUpgrade || upstream.takesUpgrades { return true }
        stream.record.upstreamLocalAddress = upstream.local
        return false
    }

    /// The attempt has its connection.
    func ready(_ upstream: any HTTPUpstream) {
        if let host = attempt?.host { cluster.report(.connected(isFinal: false), of: host) }
        stream.record.upstreamLocalAddress = upstream.local
        stream.record.upstreamProtocol = upstream.takesUpgrades ? "HTTP/1.1" : "HTTP/2"
        upstream.transport?.session.describeUpstream(&stream.record)
        var head = head
        if retryState.retries > 0 {
            let elapsed = body.isEnded ? (body.endedAt ?? stream.startedAt).millisecondsAgo : 0
            HeaderRewriting.announce(
                attempt: retryState.retries + 1, elapsedMs: Int(elapsed), in: &head.fields, context)
        }
        upstream.write(head, ended: body.isHeadOnly)
        if !holdsBody { for bytes in body.parts { upstream.write(bytes) } }
        if body.isEnded {
            if !body.isHeadOnly { upstream.writeEnd(body.trailers) }
            startTryTimer()
        }
        if !retryState.isPossible, !holdsBody { body.drop() }
        upstream.flush()
        stream.connection.resumeReading()
    }

    /// The attempt gave no response, or not all of it.
    func attemptFailed(_ reset: UpstreamReset) {
        let host = attempt?.host
        attempt = nil
        // What the cluster itself has no room for says nothing of the host.
        if let host, reset != .overflow { cluster.report(.connectFailed, of: host) }
        if hasAnswered {
            stream.abortResponse(flag: reset.flag, details: reset.details("upstream_reset_after_response_started"))
            return
        }
        let decision = retryState.decision(after: reset.outcome)
        switch decision {
        case .retry: retry(after: host)
        case .doNotRetry, .limitExceeded, .overflow:
            if decision == .overflow { retryOverflows() }
            if let reason = reset.transportFailureReason { stream.record.upstreamTransportFailureReason = reason }
            if reset.outcome == .connectFailure { stream.record.upstreamLocalAddress = nil }
            stream.reply(
                reset.reply(retried: retryState.retries > 0, retriesExceeded: decision == .limitExceeded))
        }
    }

    private func retryOverflows() {
        cluster.counters.retryOverflow.add()
        stream.record.responseFlags.append("UO")
    }

    private func retry(after host: UpstreamHost?) {
        tryTimer?.cancel()
        retryTimer = stream.worker.loop.scheduleTask(in: retryState.begin(after: host)) { self.makeAttempt() }
    }

    // MARK: From the upstream

    /// `ended`: the response is its head alone.
    func receive(_ head: HTTPResponseHead, ended: Bool) {
        tryTimer?.cancel()
        attempt?.host.noteResponse(head.status)
        let grpcStatus = head.fields.first("grpc-status").flatMap { Int($0) }
        if let host = attempt?.host { cluster.report(.response(status: head.status), of: host) }
        switch retryState.decision(after: .response(status: head.status, grpcStatus: grpcStatus)) {
        case .retry:
            let failed = attempt
            attempt = nil
            cluster.counters.responses.count(head.status)
            retry(after: failed?.host)
            if ended { failed?.release(requestComplete: body.isEnded) } else { failed?.cancel() }
            return
        case .limitExceeded: stream.record.responseFlags.append("URX")
        case .overflow: retryOverflows()
        case .doNotRetry: break
        }
        retryState.ruleOut()
        if !holdsBody { body.drop() }
        cluster.counters.responses.count(head.status)
        hasAnswered = true
        isUpgraded = asksForUpgrade && head.status == 101
        stream.respond(head, ended: ended)
        guard isUpgraded, !isEnded else { return }
        for bytes in body.parts { upstream?.write(bytes) }
        body.drop()
        upstream?.flush()
        stream.connection.resumeReading()
    }

    func receive(_ bytes: ByteBuffer) { stream.respond(bytes) }
    func receiveEnd(_ trailers: HTTPFields?) { stream.respondEnd(trailers) }

    // MARK: Time

    func startTimers() {
        if context.timeoutMs > 0, routeTimer == nil {
            routeTimer = stream.worker.loop.scheduleTask(in: .milliseconds(Int64(context.timeoutMs))) {
                self.timedOut()
            }
        }
        startTryTimer()
    }

    private func startTryTimer() {
        guard upstream != nil, retryState.perTryTimeoutMs > 0 else { return }
        tryTimer?.cancel()
        tryTimer = stream.worker.loop.scheduleTask(in: .milliseconds(Int64(retryState.perTryTimeoutMs))) {
            self.tryTimedOut()
        }
    }

    private func timedOut() {
        guard !isEnded else { return }
        cluster.counters.timeouts.add()
        attempt?.host.counted.timeouts += 1
        if let host = attempt?.host, !hasAnswered { cluster.report(.timedOut, of: host) }
        let connection = stream.connection
        if hasAnswered {
            stream.abortResponse(flag: "UT", details: "response_timeout")
        } else {
            stream.reply(.timeout(details: "response_timeout"))
        }
        connection.flush()
    }

    private func tryTimedOut() {
        guard !isEnded, !hasAnswered else { return }
        cluster.counters.timeouts.add()
        attempt?.host.counted.timeouts += 1
        if let host = attempt?.host { cluster.report(.timedOut, of: host) }
        let decision = retryState.decision(after: .perTryTimeout)
        if decision == .retry {
            let failed = attempt
            attempt = nil
            retry(after: failed?.host)
            failed?.cancel()
        } else {
            let connection = stream.connection
            stream.reply(
                .timeout(details: "upstream_per_try_timeout", retriesExceeded: decision == .limitExceeded))
            connection.flush()
        }
    }

    // MARK: End

    /// The stream needs nothing more. `isWhole`: the upstream has answered all of the request.
    func end(isWhole: Bool) {
        isEnded = true
        routeTimer?.cancel()
        tryTimer?.cancel()
        retryTimer?.cancel()
        let last = attempt
        attempt = nil
        retryState.end()
        last?.release(requestComplete: isWhole)
    }
}
