import NIOCore
import NetworkAddresses
import ProxyModel

/// One request from its head to its record. Confined to the worker's loop.
final class HTTPStream: @unchecked Sendable {
    /// How much of a request's body is kept for retries, as Envoy's per-connection buffer limit.
    private static let replayLimit = 1 << 20
    /// How much of a body is taken while there is no upstream connection yet.
    private static let waitingLimit = 65_536

    let connection: any HTTPDownstream
    private let worker: ProxyWorker
    private let manager: HTTPConnectionManager
    private var record: AccessLogRecord
    private let startedAt = NIODeadline.now()

    private var request: HTTPRequest?
    private var rewriting: HeaderRewriting.RequestContext?
    /// The route, as soon as there is one, and the cluster that was drawn of its.
    private var route: (compiled: CompiledRoute, cluster: WeightedCluster?)?
    /// What goes upstream, the route's changes made.
    private var upstreamHead: HTTPRequestHead?
    private var shadow: RequestShadow?
    /// A copy of another stream's request: nobody reads its answer and no log has it.
    private let isShadow: Bool
    private var cluster: ClusterRuntime?

    private var upstream: (any HTTPUpstream)?
    private var host: UpstreamHost?
    private var pendingConnect: (any Channel)?
    private var retries = 0
    private var failedHosts: Set<IPEndpoint> = []
    /// What the stream counts for in its cluster's and its host's load.
    private var isPending = false
    private var isActive = false
    private var isRequest = false
    private var isRetry = false

    private var body: [ByteBuffer] = []
    private var bodyBytes = 0
    private var canReplay = false
    private var trailers: HTTPFields?
    private var requestEnded = false
    /// Known from the request's head.
    private var isHeadOnly = false
    private var requestEndedAt: NIODeadline?

    private var sentHead = false
    private var responseEnded = false
    /// The connection goes on with the protocol that the client asked for.
    private var isUpgraded = false
    private var keepAlive = false
    private(set) var isFinished = false

    private var routeTimer: Scheduled<Void>?
    private var tryTimer: Scheduled<Void>?
    private var retryTimer: Scheduled<Void>?
    private var delayTimer: Scheduled<Void>?

    init(
        connection: any HTTPDownstream, worker: ProxyWorker, manager: HTTPConnectionManager, isShadow: Bool = false
    ) {
        self.isShadow = isShadow
        self.connection = connection
        self.worker = worker
        self.manager = manager
        record = connection.downstream.makeRecord(
            .http, streamID: worker.nextStreamID(), startTime: WallClock.now())
        record.protocol = connection.version.rawValue
        if !isShadow { connection.counters.requests.add() }
    }

    /// An upstream has answered all of the request.
    var isWhole: Bool { requestEnded && responseEnded }

    // MARK: From the client

    /// Begins the request; with `endOfRequest` nothing follows the head.
    func start(_ head: HTTPRequestHead, keepsAlive: Bool, upgrade: String?, endOfRequest: Bool) {
        requestEnded = endOfRequest
        isHeadOnly = endOfRequest
        record.method = head.method
        record.path = head.path
        record.protocol = head.version.rawValue
        record.authority = head.authority
        record.userAgent = head.fields.first("user-agent")
        record.xForwardedFor = head.fields.first("x-forwarded-for")
        record.requestID = head.fields.first("x-request-id")
        do throws(LocalReply) {
            var request = try HTTPRequest(head, keepsAlive: keepsAlive, upgrade: upgrade)
            let downstream = connection.downstream
            if downstream.tls != nil { request.head.scheme = "https" }
            HeaderRewriting.mutate(
                &request.head.fields, manager: manager, tls: downstream.tls, source: downstream.source.address)
            self.request = request
            record.path = request.header("x-envoy-original-path") ?? request.head.path
            record.requestID = request.header("x-request-id")
            record.xForwardedFor = request.header("x-forwarded-for")
            if head.method == "CONNECT" { throw .connectRefused }
            route(request)
        } catch {
            reply(error)
        }
    }

    /// Sends a complete copy of a request.
    func startShadow(
        _ head: HTTPRequestHead, body: [ByteBuffer], context: HeaderRewriting.RequestContext, cluster: ClusterRuntime
    ) {
        guard let request = try? HTTPRequest(head, keepsAlive: false, upgrade: nil) else { return }
        self.request = request
        self.body = body
        requestEnded = true
        isHeadOnly = body.isEmpty
        record.requestID = request.header("x-request-id")
        rewriting = context
        upstreamHead = head
        self.cluster = cluster
        startTimers()
        cluster.whenReady { self.attempt() }
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
        shadow?.append(bytes)
        if upstream == nil || canReplay || holdsBody {
            body.append(bytes)
            bodyBytes += bytes.readableBytes
            if canReplay, bodyBytes > Self.replayLimit {
                canReplay = false
                if upstream != nil, !holdsBody { dropBody() }
            }
        }
        if !holdsBody { upstream?.write(bytes) }
    }

    /// Bytes after a request to upgrade wait for the upstream to agree.
    private var holdsBody: Bool { request?.upgrade != nil && !isUpgraded }

    func receiveRequestEnd(_ trailers: HTTPFields?) {
        guard !isFinished, !requestEnded else { return }
        requestEnded = true
        requestEndedAt = .now()
        self.trailers = trailers
        upstream?.writeEnd(trailers)
        startTimers()
        sendShadow()
    }

    func flushUpstream() { upstream?.flush() }
    func resumeUpstream() { upstream?.resumeReading() }

    /// Whether more of the request's body may be read.
    var takesBody: Bool {
        if holdsBody { return bodyBytes < Self.waitingLimit }
        return upstream.map { $0.isWritable } ?? (bodyBytes < Self.waitingLimit)
    }

    /// The client is gone.
    func abort(flag: String = "DC", details: String = "downstream_remote_disconnect") {
        guard !isFinished else { return }
        record.responseFlags.append(flag)
        record.responseCodeDetails = details
        finish()
    }

    /// The proxy stops.
    func shutDown() {
        guard !isFinished else { return }
        finish()
    }

    // MARK: Routing

    private func route(_ request: HTTPRequest) {
        let table = worker.snapshot?.routes[manager.routeConfiguration]
        let virtualHost = table?.virtualHost(forAuthority: request.authority)
        let compiled = virtualHost?.route(for: request)
        var drawn: WeightedCluster?
        if let compiled {
            let route = compiled.model
            if case .forward(let action) = route.action { drawn = action.clusters.randomCluster() }
            self.route = (compiled, drawn)
            record.routeName = route.name
            record.origin = route.origin ?? virtualHost?.model.origin ?? record.origin
            if let upgrade = request.upgrade, upgrade.lowercased() != "websocket" {
                record.upstreamCluster = drawn?.name
                reply(.upgradeFailed)
                return
            }
        }
        authorize(request) {
            guard let compiled, let virtualHost else {
                self.connection.counters.noRoute.add()
                self.reply(.routeNotFound)
                return
            }
            self.fault(request, compiled, drawn, in: virtualHost.model)
        }
    }

    /// Goes on with `next` if the chain's filters let the request through.
    private func authorize(_ request: HTTPRequest, next: @escaping () -> Void) {
        guard let authorization = connection.downstream.currentAuthorization(worker) else { return next() }
        let subject = AuthorizationSubject(connection.downstream, request: request)
        for case .rbac(let rbac) in authorization.request {
            let counters = worker.rbacCounters("http.\(manager.statPrefix).", rbac.shadowRulesStatPrefix)
            guard let denial = rbac.check(subject, counters) else { continue }
            if let origin = denial.origin { record.origin = origin }
            noteCluster()
            reply(.accessDenied(denial.details))
            return
        }
        next()
    }

    /// The cluster is in the log even if what comes before the router leaves it nothing to do.
    private func noteCluster() {
        if let drawn = route?.cluster, worker.clusters[drawn.name] != nil { record.upstreamCluster = drawn.name }
    }

    private func fault(
        _ request: HTTPRequest, _ compiled: CompiledRoute, _ drawn: WeightedCluster?, in host: VirtualHost
    ) {
        guard let fault = compiled.model.fault else { return act(on: request, compiled, in: host) }
        noteCluster()
        guard let delay = FaultInjection.delayMs(fault) else {
            return abortOrAct(fault, on: request, compiled, in: host)
        }
        record.responseFlags.append("DI")
        connection.counters.delaysInjected.add()
        delayTimer = worker.loop.scheduleTask(in: .milliseconds(Int64(delay))) {
            self.abortOrAct(fault, on: request, compiled, in: host)
            self.flushUpstream()
        }
    }

    private func abortOrAct(
        _ fault: HTTPFault, on request: HTTPRequest, _ route: CompiledRoute, in host: VirtualHost
    ) {
        guard !isFinished else { return }
        if let reply = FaultInjection.reply(fault) {
            connection.counters.abortsInjected.add()
            self.reply(reply)
        } else {
            act(on: request, route, in: host)
        }
    }

    private func act(on request: HTTPRequest, _ route: CompiledRoute, in virtualHost: VirtualHost) {
        switch route.model.action {
        case .directResponse(let status, let body):
            connection.counters.directResponses.add()
            reply(.direct(status: status, body: body, to: request.head))
        case .redirect(let action):
            connection.counters.directResponses.add()
            reply(.redirect(action, for: request.head))
        case .forward(let action):
            guard let drawn = self.route?.cluster, let cluster = worker.clusters[drawn.name] else {
                reply(.clusterNotFound)
                return
            }
            let context = HeaderRewriting.RequestContext(
                manager: manager, virtualHost: virtualHost, route: route, action: action, cluster: drawn,
                timeoutMs: GRPCTimeout.timeoutMs(of: request, routeTimeoutMs: action.timeoutMs))
            rewriting = context
            self.cluster = cluster
            record.upstreamCluster = drawn.name
            let head = HeaderRewriting.upstreamHead(of: request, context, record: record)
            upstreamHead = head
            note(head)
            shadow = RequestShadow(action.requestMirrorPolicies)
            for bytes in body { shadow?.append(bytes) }
            canReplay = (action.retries?.numRetries ?? 0) > 0
            if requestEnded { startTimers() }
            cluster.whenReady { [weak self] in self?.attempt() }
            if requestEnded { sendShadow() }
        }
    }

    /// The log shows requests as they went on, but for their path.
    private func note(_ head: HTTPRequestHead) {
        record.path = head.fields.first("x-envoy-original-path") ?? head.path
        record.authority = head.authority
        record.userAgent = head.fields.first("user-agent")
        record.requestID = head.fields.first("x-request-id")
        record.xForwardedFor = head.fields.first("x-forwarded-for")
    }

    private func sendShadow() {
        guard let shadow, let upstreamHead, let rewriting else { return }
        self.shadow = nil
        shadow.send(upstreamHead, rewriting, from: connection, worker: worker)
    }

    // MARK: Attempts

    private func attempt() {
        guard !isFinished, let cluster else { return }
        if request?.upgrade != nil, cluster.usesHTTP2(for: connection.version) {
            // HTTP/2 has no Upgrade; its extended CONNECT is not spoken.
            reply(.upgradeFailed)
            return
        }
        let destination = connection.downstream.destination
        guard let host = cluster.pick(for: destination, avoiding: failedHosts) else {
            cluster.counters.noneHealthy.add()
            reply(.noHealthyUpstream)
            return
        }
        self.host = host
        host.active += 1
        isActive = true
        record.upstreamHost = host.endpoint
        acquire(host, cluster, isWoken: false)
    }

    /// There may be a connection now, or room for one.
    func wake() {
        guard let host, let cluster else { return }
        worker.loop.execute {
            // Whoever has left in between passes the chance on.
            if self.isFinished { host.wakeWaiting() } else { self.acquire(host, cluster, isWoken: true) }
        }
    }

    /// Goes on with a kept connection, else with a new one, else waits for its turn.
    private func acquire(_ host: UpstreamHost, _ cluster: ClusterRuntime, isWoken: Bool) {
        let usesHTTP2 = cluster.usesHTTP2(for: connection.version)
        let transport = worker.transport(
            of: cluster, to: host, authority: upstreamHead?.authority, version: usesHTTP2 ? .http2 : .http11)
        if usesHTTP2 {
            multiplex(on: host, cluster, transport)
            return
        }
        if let kept = host.takeIdle(serverName: transport?.serverName) {
            reportConnecting(from: kept.local, to: host, cluster, isReused: true)
            send(on: kept)
            return
        }
        if !isPending {
            guard cluster.admitsPending else {
                cluster.counters.pendingOverflow.add()
                record.upstreamHost = nil
                attemptFailed(.overflow)
                return
            }
            isPending = true
            cluster.load.pending += 1
        }
        // A host without any connection gets one, or its requests would wait for nothing.
        if cluster.isFull, host.connections > 0 {
            if !isWoken { cluster.counters.connectionOverflow.add() }
            host.wait(self)
        } else {
            connect(to: host, cluster, transport)
        }
    }

    private func noLongerPending() {
        guard isPending else { return }
        isPending = false
        cluster?.load.pending -= 1
    }

    private func connect(to host: UpstreamHost, _ cluster: ClusterRuntime, _ transport: UpstreamTransport?) {
        let made = HTTPUpstreamConnection(cluster: cluster, host: host, transport: transport)
        let dialled = worker.dialer.dial(
            host.endpoint, from: cluster.sourceAddress(for: host.endpoint.address.family),
            timeoutMs: cluster.model.connectTimeoutMs, allowsHalfClosure: false, transport: transport
        ) { try made.install(in: $0) }
        pendingConnect = dialled.channel
        reportConnecting(from: dialled.local, to: host, cluster, isReused: false)
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

    /// As Envoy has it, a copy is no part of its request's way.
    private func reportConnecting(
        from local: IPEndpoint?, to host: UpstreamHost, _ cluster: ClusterRuntime, isReused: Bool
    ) {
        if isShadow { return }
        worker.reportConnecting(
            connection.downstream, local: local, to: host.endpoint, cluster: cluster.model.name,
            request: record.requestID, isReused: isReused)
    }

    /// Takes a stream of a connection to the host that many share.
    private func multiplex(on host: UpstreamHost, _ cluster: ClusterRuntime, _ transport: UpstreamTransport?) {
        let (shared, isNew) = host.multiplexed(of: cluster, transport, worker)
        reportConnecting(from: shared.local, to: host, cluster, isReused: !isNew)
        shared.whenConnected { [weak self] failure in
            guard let self, !self.isFinished, self.host === host else { return }
            if let failure {
                cluster.counters.pendingFailures.add()
                self.attemptFailed(failure)
            } else {
                self.send(on: shared.makeStream())
            }
        }
    }

    private func send(on upstream: any HTTPUpstream) {
        guard var head = upstreamHead, let rewriting, let cluster else { return }
        noLongerPending()
        guard cluster.admitsRequest else {
            cluster.counters.requestOverflow.add()
            // A stream of HTTP/2 that was not attached holds nothing.
            if let connection = upstream as? HTTPUpstreamConnection { host?.keep(connection) }
            attemptFailed(.overflow)
            return
        }
        guard upstream.attach(self) else {
            attemptFailed(.connectionTermination)
            return
        }
        self.upstream = upstream
        isRequest = true
        cluster.load.requests += 1
        record.upstreamLocalAddress = upstream.local
        upstream.transport?.session.describeUpstream(&record)
        if retries > 0 {
            let elapsed = requestEnded ? (requestEndedAt ?? startedAt).millisecondsAgo : 0
            HeaderRewriting.announce(attempt: retries + 1, elapsedMs: Int(elapsed), in: &head.fields, rewriting)
        }
        upstream.write(head, ended: isHeadOnly)
        if !holdsBody { for bytes in body { upstream.write(bytes) } }
        if requestEnded {
            if !isHeadOnly { upstream.writeEnd(trailers) }
            startTryTimer()
        }
        if !canReplay, !holdsBody { dropBody() }
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
        case .doNotRetry, .limitExceeded, .overflow:
            if decision(after: reset.outcome) == .overflow { retryOverflows() }
            let exceeded = decision(after: reset.outcome) == .limitExceeded
            if let reason = reset.transportFailureReason { record.upstreamTransportFailureReason = reason }
            if reset.outcome == .connectFailure { record.upstreamLocalAddress = nil }
            reply(reset.reply(retried: retries > 0, retriesExceeded: exceeded))
        }
    }

    private func decision(after outcome: AttemptOutcome) -> RetryDecision {
        guard let policy = rewriting?.action.retries, canReplay else { return .doNotRetry }
        let decision = policy.decision(after: outcome, retries: retries)
        let isAdmitted = cluster?.admitsRetry(besides: isRetry ? 1 : 0) ?? true
        return decision == .retry && !isAdmitted ? .overflow : decision
    }

    private func retryOverflows() {
        cluster?.counters.retryOverflow.add()
        record.responseFlags.append("UO")
    }

    private func retry() {
        tryTimer?.cancel()
        if let host, rewriting?.action.retries?.avoidsPreviousHosts ?? true { failedHosts.insert(host.endpoint) }
        host = nil
        upstream = nil
        retries += 1
        if !isRetry { cluster?.load.retries += 1 }
        isRetry = true
        cluster?.counters.retries.add()
        // Envoy: a random part of base * (2^n - 1), at most ten times the base.
        let base = max(rewriting?.action.retries?.baseIntervalMs ?? 25, 1)
        let ceiling = min(base * ((1 << min(retries, 10)) - 1), base * 10)
        retryTimer = worker.loop.scheduleTask(in: .milliseconds(Int64(Int.random(in: 0..<max(ceiling, 1))))) {
            self.attempt()
        }
    }

    private func releaseHost() {
        noLongerPending()
        if isRequest { cluster?.load.requests -= 1 }
        isRequest = false
        if isActive { host?.active -= 1 }
        isActive = false
    }

    // MARK: From the upstream

    /// `ended`: the response is its head alone.
    func receive(_ head: HTTPResponseHead, ended: Bool) {
        guard !isFinished, let request else { return }
        tryTimer?.cancel()
        let status = head.status
        let grpcStatus = head.fields.first("grpc-status").flatMap { Int($0) }
        switch decision(after: .response(status: status, grpcStatus: grpcStatus)) {
        case .retry:
            let upstream = upstream
            releaseHost()
            cluster?.counters.responses.count(status)
            retry()
            if ended { upstream?.release(requestComplete: requestEnded) } else { upstream?.cancel() }
            return
        case .limitExceeded: record.responseFlags.append("URX")
        case .overflow: retryOverflows()
        case .doNotRetry: break
        }
        canReplay = false
        if !holdsBody { dropBody() }
        cluster?.counters.responses.count(status)
        record.responseCode = status
        record.responseCodeDetails = "via_upstream"
        var head = head
        var ended = ended
        let serviceTime = requestEnded ? (requestEndedAt ?? startedAt).millisecondsAgo : nil
        isUpgraded = request.upgrade != nil && status == 101
        if request.upgrade != nil, (200..<300).contains(status) {
            // An answer to the wrong question: the client asked for another protocol.
            record.responseCodeDetails = "websocket_handshake_unsuccessful"
            head.fields.removeAll { $0 == "content-length" || $0 == "transfer-encoding" }
            ended = true
        }
        HeaderRewriting.mutate(
            &head, manager: manager, serviceTimeMs: serviceTime, keepsUpgrade: isUpgraded, mutate: mutateResponse)
        record.upstreamServiceTimeMs = head.fields.first("x-envoy-upstream-service-time").flatMap(UInt64.init)
        keepAlive =
            request.keepsAlive && requestEnded && !connection.isDraining && request.upgrade == nil
            && connection.canKeepAlive(head, ended: ended)
        sentHead = true
        connection.write(head, ended: ended, closes: !keepAlive)
        if isUpgraded {
            for bytes in body { upstream?.write(bytes) }
            dropBody()
            upstream?.flush()
            connection.resumeReading()
        } else if ended {
            responseEnded = true
            finish()
        }
    }

    func receive(_ bytes: ByteBuffer) {
        guard !isFinished, sentHead else { return }
        record.bytesSent += UInt64(bytes.readableBytes)
        connection.write(bytes)
    }

    func receiveEnd(_ trailers: HTTPFields?) {
        guard !isFinished, sentHead else { return }
        responseEnded = true
        connection.writeEnd(trailers)
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
        guard let timeout = rewriting?.timeoutMs else { return }
        if timeout > 0, routeTimer == nil {
            routeTimer = worker.loop.scheduleTask(in: .milliseconds(Int64(timeout))) { self.timedOut() }
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
            upstream?.cancel()
        } else {
            reply(.timeout(details: "upstream_per_try_timeout", retriesExceeded: decision == .limitExceeded))
            connection.flush()
        }
    }

    // MARK: End

    private func reply(_ reply: LocalReply) {
        let isGRPC = request?.isGRPC ?? false
        let head = HeaderRewriting.head(of: reply, manager: manager, isGRPC: isGRPC, mutate: mutateResponse)
        record.responseCode = head.status
        record.responseFlags += reply.flags
        record.responseCodeDetails = reply.details
        // Envoy charges its own answers to the cluster that would have given one.
        if cluster != nil { cluster?.counters.responses.count(reply.status) }
        let ended = reply.body.isEmpty || isGRPC
        // Envoy takes every 400 of its own for an answer to bytes that it did not understand.
        let closes = reply.closes || reply.status == 400
        keepAlive =
            (request?.keepsAlive ?? false) && requestEnded && !closes && !connection.isDraining
            && request?.upgrade == nil && connection.canKeepAlive(head, ended: ended)
        // A request that was not understood so far leaves its connection as it was.
        if request == nil, !closes, requestEnded, !connection.isDraining { keepAlive = true }
        sentHead = true
        connection.write(head, ended: ended, closes: !keepAlive)
        if !ended {
            if record.method != "HEAD" { record.bytesSent += UInt64(reply.body.utf8.count) }
            connection.write(ByteBuffer(string: reply.body))
            connection.writeEnd(nil)
        }
        finish()
        connection.flushIfIdle()
    }

    /// The route's changes hold for the proxy's own answers, too.
    private func mutateResponse(_ fields: inout HTTPFields) {
        let mutations = HeaderRewriting.mutations(of: route?.compiled.model, route?.cluster)
        guard !mutations.isEmpty, let head = upstreamHead ?? request?.head else { return }
        HeaderMutator(record: record, request: head).mutateResponse(&fields, by: mutations)
    }

    /// The response can't be completed: the client must notice.
    private func abortResponse(flag: String, details: String) {
        record.responseFlags.append(flag)
        record.responseCodeDetails = details
        keepAlive = false
        finish(broken: true)
    }

    private func finish(broken: Bool = false) {
        isFinished = true
        routeTimer?.cancel()
        tryTimer?.cancel()
        retryTimer?.cancel()
        delayTimer?.cancel()
        host?.stopWaiting(self)
        releaseHost()
        if isRetry { cluster?.load.retries -= 1 }
        isRetry = false
        if let upstream {
            self.upstream = nil
            upstream.release(requestComplete: isWhole)
        } else if let pendingConnect {
            self.pendingConnect = nil
            pendingConnect.close(promise: nil)
        }
        host = nil
        dropBody()
        record.durationMs = startedAt.millisecondsAgo
        if isShadow { return }
        if record.responseCode > 0 { connection.counters.responses.count(record.responseCode) }
        worker.write(record, of: connection.downstream)
        connection.streamEnded(keepAlive: keepAlive && !isUpgraded, broken: broken)
    }
}
