import NIOCore
import NetworkAddresses
import ProxyModel

/// One request from its head to its record: which route it takes, and what the client gets (Envoy:
/// `ConnectionManagerImpl::ActiveStream`). Confined to the worker's loop.
final class HTTPStream: @unchecked Sendable {
    let connection: any HTTPDownstream
    let worker: ProxyWorker
    let startedAt = NIODeadline.now()
    /// A copy of another stream's request: nobody reads its answer and no log has it.
    let isShadow: Bool
    let body = RequestBody()
    var record: AccessLogRecord

    let manager: HTTPConnectionManager
    private var request: HTTPRequest?
    /// The route, as soon as there is one, and the cluster that was drawn of its.
    private var route: (compiled: CompiledRoute, cluster: WeightedCluster?)?
    /// nil until the route forwards the request.
    private var router: Router?
    private var delayTimer: Scheduled<Void>?
    private var durationTimer: Scheduled<Void>?
    /// nil where the route has no policy for other origins, or the request comes from none.
    private var crossOrigin: CrossOrigin?
    /// The answer is not the router's: the route's changes are not for it.
    private var isPreflight = false
    /// What an authorizer adds to the response.
    var responseFields: [HTTPFields.Field] = []
    private var sentHead = false
    private var responseEnded = false
    private var keepAlive = false
    private(set) var isFinished = false

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
    var isWhole: Bool { body.isEnded && responseEnded }

    // MARK: From the client

    /// Begins the request; with `endOfRequest` nothing follows the head.
    func start(_ head: HTTPRequestHead, keepsAlive: Bool, upgrade: String?, endOfRequest: Bool) {
        if endOfRequest { body.endWithHead() }
        record.method = head.method
        record.protocol = head.version.rawValue
        note(head)
        do throws(LocalReply) {
            var request = try HTTPRequest(
                head, keepsAlive: keepsAlive, upgrade: upgrade, normalization: manager.pathNormalization ?? .base)
            let downstream = connection.downstream
            HeaderRewriting.mutate(
                &request.head, manager: manager, tls: downstream.tls, source: downstream.source.address)
            self.request = request
            note(request.head)
            if head.method == "CONNECT" { throw .connectRefused }
            route(request)
        } catch {
            var error = error
            if request == nil {
                noteRoute(ofRefused: head)
                error.closes = error.closes || !keepsAlive
            }
            reply(error)
        }
    }

    /// Sends a complete copy of a request.
    func startShadow(
        _ head: HTTPRequestHead, body parts: [ByteBuffer], context: HeaderRewriting.RequestContext,
        cluster: ClusterRuntime
    ) {
        guard let request = try? HTTPRequest(head, keepsAlive: false, upgrade: nil) else { return finish(broken: true) }
        self.request = request
        body.fill(parts)
        record.requestID = request.header("x-request-id")
        let router = Router(self, cluster: cluster, head: head, context: context, asksForUpgrade: false)
        self.router = router
        router.start()
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
        if let router { router.receiveBody(bytes) } else { body.keep(bytes) }
    }

    func receiveRequestEnd(_ trailers: HTTPFields?) {
        guard !isFinished, !body.isEnded else { return }
        body.end(trailers)
        router?.requestEnded()
    }

    func flushUpstream() { router?.flush() }
    func resumeUpstream() { router?.resumeReading() }

    /// Whether more of the request's body may be read.
    var takesBody: Bool { router?.takesBody ?? body.takesMore }

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
        let virtualHost = findRoute(of: request)
        if route != nil, let upgrade = request.upgrade, upgrade.lowercased() != "websocket" {
            record.upstreamCluster = route?.cluster?.name
            reply(.upgradeFailed)
            return
        }
        limitDuration(of: request)
        guard let authorization = connection.downstream.currentAuthorization(worker) else {
            return goOn(request, in: virtualHost)
        }
        authorize(request, authorization.request[...], shadowPolicy: nil) { request in
            self.goOn(request, in: virtualHost)
        }
    }

    /// Has the time that the client itself sets for its request run out some time.
    private func limitDuration(of request: HTTPRequest) {
        guard case .forward(let action)? = route?.compiled.model.action,
            let limit = GRPCTimeout.milliseconds(of: request.head, by: action)
        else { return }
        durationTimer = worker.loop.scheduleTask(in: .milliseconds(Int64(limit))) {
            let reply = LocalReply.maximumDuration(isRequestComplete: self.body.isEnded)
            if self.sentHead {
                self.abortResponse(details: reply.details)
            } else {
                self.reply(reply)
            }
            self.connection.flush()
        }
    }

    /// Past the filters comes the router.
    private func goOn(_ request: HTTPRequest, in virtualHost: CompiledVirtualHost?) {
        guard let route, let virtualHost else {
            connection.counters.noRoute.add()
            reply(.routeNotFound)
            return
        }
        fault(request, route.compiled, route.cluster, in: virtualHost.model)
    }

    /// Notes the route that `request` takes, if there is one; returns the virtual host that was asked for it.
    private func findRoute(of request: HTTPRequest) -> CompiledVirtualHost? {
        let table = worker.snapshot?.routes[manager.routeConfiguration]
        let virtualHost = table?.virtualHost(forAuthority: request.authority)
        guard let compiled = virtualHost?.route(for: request) else { return virtualHost }
        let model = compiled.model
        var drawn: WeightedCluster?
        if case .forward(let action) = model.action { drawn = action.clusters.randomCluster() }
        route = (compiled, drawn)
        record.routeName = model.name
        record.origin = model.origin ?? virtualHost?.model.origin ?? record.origin
        return virtualHost
    }

    /// Envoy routes what it refuses, too, for its log. It skips requests without `x-forwarded-proto`, which it adds
    /// later itself, so only a client that brought its own finds its route named.
    private func noteRoute(ofRefused head: HTTPRequestHead) {
        guard !(head.fields.first("x-forwarded-proto") ?? "").isEmpty,
            let refused = HTTPRequest(refused: head), findRoute(of: refused) != nil
        else { return }
        noteCluster()
    }

    /// The cluster is in the log even if what comes before the router leaves it nothing to do.
    func noteCluster() {
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
        crossOrigin = route.cors.flatMap { CrossOrigin($0, request.head) }
        if let crossOrigin {
            (crossOrigin.origin == nil ? connection.counters.originInvalid : connection.counters.originValid).add()
            if let preflight = crossOrigin.preflight {
                noteCluster()
                isPreflight = true
                return reply(preflight)
            }
        }
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
                timeoutMs: action.timeoutMs)
            record.upstreamCluster = drawn.name
            let head = HeaderRewriting.upstreamHead(of: request, context, record: record)
            note(head)
            let router = Router(
                self, cluster: cluster, head: head, context: context, asksForUpgrade: request.upgrade != nil)
            guard manager.hasDynamicForwardProxy == true, cluster.model.discovery == .dynamicForwardProxy else {
                self.router = router
                router.start()
                return
            }
            let name = DynamicHostName(authority: request.authority, defaultPort: cluster.defaultPort)
            cluster.resolve(name) {
                guard !self.isFinished else { return }
                guard cluster.isResolved(name) else {
                    self.reply(.resolutionFailed(cluster.resolutionFailure(of: name)))
                    self.connection.flush()
                    return
                }
                self.router = router
                router.start()
                self.flushUpstream()
            }
        }
    }

    /// The log shows requests as they went on, but for their path.
    private func note(_ head: HTTPRequestHead) {
        func field(_ name: String) -> String? { head.fields.first(name).map(FieldText.readable) }
        record.path = field("x-envoy-original-path") ?? head.path
        record.authority = head.authority
        record.userAgent = field("user-agent")
        record.requestID = field("x-request-id")
        record.xForwardedFor = field("x-forwarded-for")
        guard let needed = worker.snapshot?.logNeeds.requestHeaders, !needed.isEmpty else { return }
        var headers = Self.fields(named: needed, of: head.fields)
        if needed.contains(":path") { headers[":path"] = head.path }
        if needed.contains(":method") { headers[":method"] = head.method }
        if needed.contains(":authority") { headers[":authority"] = head.authority }
        if needed.contains("host") { headers["host"] = head.authority }
        if needed.contains(":scheme") { headers[":scheme"] = head.scheme }
        record.requestHeaders = headers
    }

    private func note(_ head: HTTPResponseHead) {
        guard let needed = worker.snapshot?.logNeeds.responseHeaders, !needed.isEmpty else { return }
        record.responseHeaders = Self.fields(named: needed, of: head.fields)
        if needed.contains(":status") { record.responseHeaders?[":status"] = "\(head.status)" }
    }

    private static func fields(named names: Set<String>, of fields: HTTPFields) -> [String: String] {
        var result: [String: String] = [:]
        for name in names { result[name] = fields.first(name).map(FieldText.readable) }
        return result
    }

    // MARK: From the upstream

    /// `ended`: the response is its head alone.
    func respond(_ head: HTTPResponseHead, ended: Bool) {
        guard !isFinished, let request, let router else { return }
        let status = head.status
        record.responseCode = status
        record.responseCodeDetails = "via_upstream"
        record.responseDurationMs = startedAt.millisecondsAgo
        var head = head
        var ended = ended
        for cookie in router.setCookies { head.fields.append("set-cookie", cookie) }
        let serviceTime = body.isEnded ? (body.endedAt ?? startedAt).millisecondsAgo : nil
        if request.upgrade != nil, (200..<300).contains(status) {
            // An answer to the wrong question: the client asked for another protocol.
            record.responseCodeDetails = "websocket_handshake_unsuccessful"
            head.fields.removeAll { $0 == "content-length" || $0 == "transfer-encoding" }
            ended = true
        }
        HeaderRewriting.mutate(
            &head, manager: manager, serviceTimeMs: serviceTime, keepsUpgrade: router.isUpgraded,
            mutate: mutateResponse)
        record.upstreamServiceTimeMs = head.fields.first("x-envoy-upstream-service-time").flatMap(UInt64.init)
        keepAlive =
            request.keepsAlive && body.isEnded && !connection.isDraining && request.upgrade == nil
            && connection.canKeepAlive(head, ended: ended)
        sentHead = true
        note(head)
        connection.write(head, ended: ended, closes: !keepAlive)
        if ended, !router.isUpgraded {
            responseEnded = true
            finish()
        }
    }

    func respond(_ bytes: ByteBuffer) {
        guard !isFinished, sentHead else { return }
        record.bytesSent += UInt64(bytes.readableBytes)
        connection.write(bytes)
    }

    func respondEnd(_ trailers: HTTPFields?) {
        guard !isFinished, sentHead else { return }
        responseEnded = true
        if let trailers, let needed = worker.snapshot?.logNeeds.responseTrailers, !needed.isEmpty {
            record.responseTrailers = Self.fields(named: needed, of: trailers)
        }
        connection.writeEnd(trailers)
        finish()
    }

    // MARK: End

    func reply(_ reply: LocalReply) {
        guard !isFinished else { return }
        let isGRPC = request?.isGRPC ?? false
        let head = HeaderRewriting.head(of: reply, manager: manager, isGRPC: isGRPC, mutate: mutateResponse)
        record.responseCode = head.status
        record.responseFlags += reply.flags
        record.responseCodeDetails = reply.details
        // Envoy charges its own answers to the cluster that would have given one.
        router?.cluster.counters.responses.count(reply.status)
        let ended = reply.body.isEmpty || isGRPC
        // Envoy takes every 400 of its own for an answer to bytes that it did not understand.
        let closes = reply.closes || reply.status == 400
        keepAlive =
            (request?.keepsAlive ?? false) && body.isEnded && !closes && !connection.isDraining
            && request?.upgrade == nil && connection.canKeepAlive(head, ended: ended)
        // A request that was not understood so far leaves its connection as it was.
        if request == nil, !closes, body.isEnded, !connection.isDraining { keepAlive = true }
        sentHead = true
        note(head)
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
        defer { crossOrigin?.mutateResponse(&fields) }
        for field in responseFields { fields.append(field.name, field.value) }
        let mutations = isPreflight ? [] : HeaderRewriting.mutations(of: route?.compiled.model, route?.cluster)
        guard !mutations.isEmpty, let head = router?.head ?? request?.head else { return }
        HeaderMutator(record: record, request: head).mutateResponse(&fields, by: mutations)
    }

    /// The response can't be completed: the client must notice.
    func abortResponse(flag: String? = nil, details: String) {
        guard !isFinished else { return }
        if let flag { record.responseFlags.append(flag) }
        record.responseCodeDetails = details
        keepAlive = false
        finish(broken: true)
    }

    private func finish(broken: Bool = false) {
        isFinished = true
        delayTimer?.cancel()
        durationTimer?.cancel()
        let isUpgraded = router?.isUpgraded ?? false
        router?.end(isWhole: isWhole)
        router = nil
        body.drop()
        record.durationMs = startedAt.millisecondsAgo
        record.requestDurationMs = body.endedAt.map { end in
            UInt64(max(0, (end - startedAt).nanoseconds / 1_000_000))
        }
        if isShadow {
            connection.streamEnded(keepAlive: false, broken: broken)
            return
        }
        if record.responseCode > 0 { connection.counters.responses.count(record.responseCode) }
        worker.write(record, of: connection.downstream)
        connection.streamEnded(keepAlive: keepAlive && !isUpgraded, broken: broken)
    }
}
