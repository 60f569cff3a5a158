import NIOCore
import NIOHTTP1
import NetworkAddresses
import ProxyModel

/// One request from its head to its record. Confined to the worker's loop.
final class HTTPStream: @unchecked Sendable {
    /// How much of a request's body is kept for retries, as Envoy's per-connection buffer limit.
    private static let replayLimit = 1 << 20
    /// How much of a body is taken while there is no upstream connection yet.
    private static let waitingLimit = 65_536

    let connection: HTTPConnectionHandler
    private let worker: ProxyWorker
    private let manager: HTTPConnectionManager
    private var record: AccessLogRecord
    private let startedAt = NIODeadline.now()

    private var request: IncomingRequest?
    private var rewriting: HeaderRewriting.RequestContext?
    private var cluster: ClusterRuntime?

    private var upstream: HTTPUpstreamConnection?
    private var host: UpstreamHost?
    private var pendingConnect: (any Channel)?
    private var retries = 0
    private var failedHosts: Set<IPEndpoint> = []

    private var body: [ByteBuffer] = []
    private var bodyBytes = 0
    private var canReplay = false
    private var trailers: HTTPHeaders?
    private var requestEnded = false
    private var requestEndedAt: NIODeadline?

    private var sentHead = false
    private var responseEnded = false
    private var framing = HeaderRewriting.ResponseFraming.noBody
    private var keepAlive = false
    private(set) var isFinished = false

    private var routeTimer: Scheduled<Void>?
    private var tryTimer: Scheduled<Void>?
    private var retryTimer: Scheduled<Void>?

    init(connection: HTTPConnectionHandler, worker: ProxyWorker, manager: HTTPConnectionManager) {
        self.connection = connection
        self.worker = worker
        self.manager = manager
        record = connection.downstream.makeRecord(
            .http, streamID: worker.nextStreamID(), startTime: WallClock.now())
        connection.counters.requests.add()
    }

    // MARK: From the client

    /// Begins the request; with `endOfRequest` nothing follows the head.
    func start(_ head: HTTPRequestHead, endOfRequest: Bool) {
        requestEnded = endOfRequest
        describe(head)
        do {
            var request = try IncomingRequest(head, acceptsHTTP10: manager.acceptsHTTP10)
            if connection.downstream.tls != nil { request.scheme = "https" }
            self.request = request
            record.authority = request.authority.isEmpty ? nil : request.authority
            record.path = request.path
            route(request, expectsContinue: head.headers.first(name: "expect")?.lowercased() == "100-continue")
        } catch {
            reply(error)
        }
    }

    /// Answers bytes that are no request.
    func fail(_ reply: LocalReply) {
        guard !isFinished else { return }
        if sentHead {
            abortResponse(flag: "DPE", details: reply.details)
        } else {
            self.reply(reply)
        }
    }

    func receiveBody(_ bytes: ByteBuffer) {
        guard !isFinished else { return }
        record.bytesReceived += UInt64(bytes.readableBytes)
        if upstream == nil || canReplay {
            body.append(bytes)
            bodyBytes += bytes.readableBytes
            if canReplay, bodyBytes > Self.replayLimit {
                canReplay = false
                if upstream != nil { dropBody() }
            }
        }
        upstream?.write(.body(.byteBuffer(bytes)))
    }

    func receiveRequestEnd(_ trailers: HTTPHeaders?) {
        guard !isFinished, !requestEnded else { return }
        requestEnded = true
        requestEndedAt = .now()
        self.trailers = trailers
        upstream?.write(.end(trailers))
        startTimers()
    }

    func flushUpstream() { upstream?.flush() }
    func resumeUpstream() { upstream?.resumeReading() }

    /// Whether more of the request's body may be read.
    var takesBody: Bool { upstream.map(\.isWritable) ?? (bodyBytes < Self.waitingLimit) }

    /// The client is gone.
    func abort() {
        guard !isFinished else { return }
        record.responseFlags = ["DC"]
        record.responseCodeDetails = "downstream_remote_disconnect"
        finish()
    }

    /// The proxy stops.
    func shutDown() {
        guard !isFinished else { return }
        finish()
    }

    // MARK: Routing

    private func describe(_ head: HTTPRequestHead) {
        record.method = head.method.rawValue
        record.path = head.uri
        record.protocol = "HTTP/\(head.version.major).\(head.version.minor)"
        record.authority = head.headers.first(name: "host")
        record.userAgent = head.headers.first(name: "user-agent")
        record.requestID = head.headers.first(name: "x-request-id")
        if manager.generatesRequestID, record.requestID == nil { record.requestID = RequestID.make() }
        record.xForwardedFor = head.headers.first(name: "x-forwarded-for")
        if manager.usesRemoteAddress {
            let peer = connection.downstream.source.address.description
            record.xForwardedFor = record.xForwardedFor.map { "\($0),\(peer)" } ?? peer
        }
    }

    private func route(_ request: IncomingRequest, expectsContinue: Bool) {
        let table = worker.snapshot?.routes[manager.routeConfiguration]
        guard let virtualHost = table?.virtualHost(forAuthority: request.authority),
            let route = virtualHost.route(for: request)
        else {
            connection.counters.noRoute.add()
            reply(.routeNotFound)
            return
        }
        record.routeName = route.name
        record.origin = route.origin ?? virtualHost.model.origin ?? record.origin
        switch route.action {
        case .directResponse(let status, let body): reply(.direct(status: status, body: body))
        case .forward(let action):
            rewriting = HeaderRewriting.RequestContext(
                manager: manager, virtualHost: virtualHost.model, route: route, action: action,
                source: connection.downstream.source, requestID: record.requestID, tls: connection.downstream.tls)
            guard let name = action.clusters.randomCluster(), let cluster = worker.clusters[name] else {
                reply(.clusterNotFound)
                return
            }
            self.cluster = cluster
            record.upstreamCluster = name
            canReplay = (action.retries?.numRetries ?? 0) > 0
            if expectsContinue, !requestEnded {
                // Envoy answers itself and does not pass the expectation on.
                connection.writeContinue()
            }
            if requestEnded { startTimers() }
            cluster.whenReady { [weak self] in self?.attempt() }
        }
    }

    // MARK: Attempts

    private func attempt() {
        guard !isFinished, let cluster else { return }
        let destination = connection.downstream.destination
        guard let host = cluster.pick(for: destination, avoiding: failedHosts) else {
            cluster.counters.noneHealthy.add()
            reply(.noHealthyUpstream)
            return
        }
        self.host = host
        host.active += 1
        record.upstreamHost = host.endpoint
        let transport = worker.transport(of: cluster, to: host, authority: request?.authority)
        if let kept = host.takeIdle(serverName: transport?.serverName) {
            worker.reportConnecting(
                connection.downstream, local: kept.local, to: host.endpoint, cluster: cluster.model.name,
                request: record.requestID, isReused: true)
            send(on: kept)
        } else {
            connect(to: host, cluster, transport)
        }
    }

    private func connect(to host: UpstreamHost, _ cluster: ClusterRuntime, _ transport: UpstreamTransport?) {
        let made = HTTPUpstreamConnection(cluster: cluster, host: host, transport: transport)
        let dialled = worker.dialer.dial(
            host.endpoint, from: cluster.sourceAddress(for: host.endpoint.address.family),
            timeoutMs: cluster.model.connectTimeoutMs, allowsHalfClosure: false, transport: transport
        ) { try made.install(in: $0) }
        pendingConnect = dialled.channel
        worker.reportConnecting(
            connection.downstream, local: dialled.local, to: host.endpoint, cluster: cluster.model.name,
            request: record.requestID)
        made.begin()
        let isImmediate = NIOLoopBoundBox(true, eventLoop: worker.loop)
        dialled.connected.whenComplete { result in
            self.pendingConnect = nil
            switch result {
            case .success(let channel):
                made.connected(channel)
                if self.isFinished || self.host !== host { made.close() } else { self.send(on: made) }
            case .failure(let error):
                made.failed(error)
                guard !self.isFinished, self.host === host else { return }
                cluster.counters.pendingFailures.add()
                let failure = ConnectFailure(error, immediate: isImmediate.value)
                self.attemptFailed(
                    failure.isTimeout ? .connectTimeout : .connectFailure(reason: failure.reason))
            }
        }
        isImmediate.value = false
    }

    private func send(on upstream: HTTPUpstreamConnection) {
        guard let request, let rewriting else { return }
        guard upstream.attach(self) else {
            attemptFailed(.connectionTermination)
            return
        }
        self.upstream = upstream
        record.upstreamLocalAddress = upstream.local
        upstream.transport?.session.describeUpstream(&record)
        upstream.write(.head(HeaderRewriting.upstreamHead(of: request, rewriting, attempt: retries + 1)))
        for bytes in body { upstream.write(.body(.byteBuffer(bytes))) }
        if requestEnded {
            upstream.write(.end(trailers))
            startTryTimer()
        }
        if !canReplay { dropBody() }
        upstream.flush()
        connection.resumeReading()
    }

    private func dropBody() {
        body = []
        bodyBytes = 0
    }

    /// The attempt gave no response.
    private func attemptFailed(_ reset: UpstreamReset) {
        releaseHost()
        switch decision(after: reset.outcome) {
        case .retry: retry()
        case .doNotRetry, .limitExceeded:
            let exceeded = decision(after: reset.outcome) == .limitExceeded
            if let reason = reset.transportFailureReason { record.upstreamTransportFailureReason = reason }
            if case .connectionTermination = reset {} else { record.upstreamLocalAddress = nil }
            reply(reset.reply(retried: retries > 0, retriesExceeded: exceeded))
        }
    }

    private func decision(after outcome: AttemptOutcome) -> RetryDecision {
        guard let policy = rewriting?.action.retries, canReplay else { return .doNotRetry }
        return policy.decision(after: outcome, retries: retries)
    }

    private func retry() {
        tryTimer?.cancel()
        if let host { failedHosts.insert(host.endpoint) }
        host = nil
        upstream = nil
        retries += 1
        cluster?.counters.retries.add()
        // Envoy: a random part of base * (2^n - 1), at most ten times the base.
        let base = max(rewriting?.action.retries?.baseIntervalMs ?? 25, 1)
        let ceiling = min(base * ((1 << min(retries, 10)) - 1), base * 10)
        retryTimer = worker.loop.scheduleTask(in: .milliseconds(Int64(Int.random(in: 0..<max(ceiling, 1))))) {
            self.attempt()
        }
    }

    private func releaseHost() {
        host?.active -= 1
    }

    // MARK: From the upstream

    func receive(_ head: HTTPResponseHead) {
        guard !isFinished, let request else { return }
        tryTimer?.cancel()
        let status = Int(head.status.code)
        if status == 101 {
            // No upgrade was asked for; what follows is not HTTP.
            let upstream = upstream
            self.upstream = nil
            attemptFailed(.protocolError)
            upstream?.close()
            return
        }
        switch decision(after: .response(status: status)) {
        case .retry:
            let upstream = upstream
            releaseHost()
            cluster?.counters.responses.count(status)
            retry()
            upstream?.close()
            return
        case .limitExceeded: record.responseFlags = ["URX"]
        case .doNotRetry: break
        }
        canReplay = false
        dropBody()
        let serviceTime = (requestEndedAt ?? startedAt).millisecondsAgo
        record.upstreamServiceTimeMs = serviceTime
        record.responseCode = status
        record.responseCodeDetails = "via_upstream"
        cluster?.counters.responses.count(status)
        keepAlive = request.isKeepAlive && requestEnded && !connection.isDraining
        let (downstreamHead, framing) = HeaderRewriting.downstreamHead(
            of: head, to: request, manager: manager, serviceTimeMs: serviceTime, keepAlive: keepAlive)
        self.framing = framing
        if framing == .untilClose { keepAlive = false }
        sentHead = true
        connection.write(.head(downstreamHead))
    }

    func receive(_ bytes: ByteBuffer) {
        guard !isFinished, framing != .noBody else { return }
        record.bytesSent += UInt64(bytes.readableBytes)
        connection.write(.body(.byteBuffer(bytes)))
    }

    func receiveEnd(_ trailers: HTTPHeaders?) {
        guard !isFinished, sentHead else { return }
        // Without a body the encoder would still write a last chunk for a chunked HEAD response.
        responseEnded = true
        if framing != .noBody { connection.write(.end(framing == .chunked ? trailers : nil)) }
        finish()
    }

    /// The upstream connection ended before its response did.
    func upstreamFailed(_ reset: UpstreamReset) {
        guard !isFinished else { return }
        upstream = nil
        if sentHead {
            abortResponse(flag: reset.flag, details: reset.details("upstream_reset_after_response_started"))
        } else {
            attemptFailed(reset)
        }
    }

    // MARK: Time

    private func startTimers() {
        guard let action = rewriting?.action else { return }
        if action.timeoutMs > 0, routeTimer == nil {
            routeTimer = worker.loop.scheduleTask(in: .milliseconds(Int64(action.timeoutMs))) { self.timedOut() }
        }
        startTryTimer()
    }

    private func startTryTimer() {
        guard upstream != nil, let limit = rewriting?.action.retries?.perTryTimeoutMs, limit > 0 else { return }
        tryTimer?.cancel()
        tryTimer = worker.loop.scheduleTask(in: .milliseconds(Int64(limit))) { self.tryTimedOut() }
    }

    private func timedOut() {
        guard !isFinished else { return }
        cluster?.counters.timeouts.add()
        if sentHead {
            abortResponse(flag: "UT", details: "response_timeout")
        } else {
            reply(.timeout(details: "response_timeout"))
        }
        connection.flush()
    }

    private func tryTimedOut() {
        guard !isFinished, !sentHead else { return }
        cluster?.counters.timeouts.add()
        let decision = decision(after: .perTryTimeout)
        let upstream = upstream
        if decision == .retry {
            releaseHost()
            retry()
            upstream?.close()
        } else {
            reply(.timeout(details: "upstream_per_try_timeout", retriesExceeded: decision == .limitExceeded))
            connection.flush()
        }
    }

    // MARK: End

    private func reply(_ reply: LocalReply) {
        record.responseCode = reply.status
        record.responseFlags = reply.flags
        record.responseCodeDetails = reply.details
        // Envoy charges its own answers to the cluster that would have given one.
        if cluster != nil { cluster?.counters.responses.count(reply.status) }
        let isHead = request?.isHead ?? (record.method == "HEAD")
        keepAlive = (request?.isKeepAlive ?? false) && requestEnded && !reply.closes && !connection.isDraining
        sentHead = true
        connection.write(
            .head(HeaderRewriting.head(of: reply, manager: manager, request: request, keepAlive: keepAlive)))
        if !reply.body.isEmpty, !isHead {
            record.bytesSent += UInt64(reply.body.utf8.count)
            connection.write(.body(.byteBuffer(ByteBuffer(string: reply.body))))
        }
        connection.write(.end(nil))
        finish()
        connection.flushIfIdle()
    }

    /// The response can't be completed: the client must notice.
    private func abortResponse(flag: String, details: String) {
        record.responseFlags = [flag]
        record.responseCodeDetails = details
        keepAlive = false
        finish(broken: true)
    }

    private func finish(broken: Bool = false) {
        isFinished = true
        routeTimer?.cancel()
        tryTimer?.cancel()
        retryTimer?.cancel()
        let complete = requestEnded && responseEnded
        if let upstream {
            releaseHost()
            self.upstream = nil
            upstream.release(requestComplete: complete)
        } else if let pendingConnect {
            releaseHost()
            self.pendingConnect = nil
            pendingConnect.close(promise: nil)
        }
        host = nil
        dropBody()
        record.durationMs = startedAt.millisecondsAgo
        if record.responseCode > 0 { connection.counters.responses.count(record.responseCode) }
        worker.write(record, of: connection.downstream)
        connection.streamEnded(keepAlive: keepAlive, broken: broken)
    }
}
