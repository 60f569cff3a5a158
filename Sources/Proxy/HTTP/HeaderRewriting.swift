import NetworkAddresses
import ProxyModel

/// What a proxy changes in message heads on their way. Fields keep the places that Envoy gives them.
enum HeaderRewriting {
    /// Everything about a request that is not in the request itself.
    struct RequestContext {
        var manager: HTTPConnectionManager
        var virtualHost: VirtualHost
        var route: CompiledRoute
        var action: ForwardAction
        /// The one that was drawn.
        var cluster: WeightedCluster
        /// Of the whole request; 0 is none.
        var timeoutMs: Int
    }

    /// Envoy: `ConnectionManagerUtility::mutateRequestHeaders`.
    ///
    /// No address counts as internal, as with Envoy's default `internal_address_config`.
    static func mutate(
        _ head: inout HTTPRequestHead, manager: HTTPConnectionManager, tls: TLSSession?, source: IPAddress
    ) {
        mutate(&head.fields, manager: manager, tls: tls, source: source)
        // What the proxies before this one say counts, not this connection: theirs may have had TLS.
        let forwarded = head.fields.first("x-forwarded-proto")?.lowercased()
        head.scheme = head.scheme ?? (forwarded == "http" || forwarded == "https" ? forwarded : scheme(tls))
    }

    private static func scheme(_ tls: TLSSession?) -> String { tls == nil ? "http" : "https" }

    private static func mutate(
        _ fields: inout HTTPFields, manager: HTTPConnectionManager, tls: TLSSession?, source: IPAddress
    ) {
        let isEdge = manager.usesRemoteAddress
        let scheme = scheme(tls)
        let received = fields.joined(ForwardedClientCertificate.headerName).map { [$0] } ?? []
        fields.removeAll { internalFields.contains($0) || isEdge && edgeFields.contains($0) }
        if isEdge {
            let peer = source.description
            fields.set("x-forwarded-for", fields.first("x-forwarded-for").map { "\($0),\(peer)" } ?? peer)
            fields.set("x-forwarded-proto", scheme)
            fields.set("x-envoy-external-address", peer)
        } else if fields.first("x-forwarded-proto")?.isEmpty ?? true {
            fields.set("x-forwarded-proto", scheme)
        }
        if let told = ForwardedClientCertificate.value(
            manager.clientCertificateForwarding, received: received, session: tls)
        {
            fields.set(ForwardedClientCertificate.headerName, told)
        }
        // Also at the edge: `preserve_external_request_id` is on.
        if let existing = fields.first("x-request-id"), !existing.isEmpty { return }
        if manager.generatesRequestID { fields.set("x-request-id", RequestID.make()) }
    }

    /// Of clients that are not trusted, these tell the router nothing.
    private static let internalFields: Set<String> = [
        "x-envoy-internal", "x-envoy-expected-rq-timeout-ms", "x-envoy-max-retries", "x-envoy-retry-on",
        "x-envoy-retry-grpc-on", "x-envoy-upstream-alt-stat-name", "x-envoy-upstream-rq-timeout-ms",
        "x-envoy-upstream-rq-per-try-timeout-ms", "x-envoy-upstream-rq-timeout-alt-response",
        "x-envoy-upstream-stream-duration-ms", "x-envoy-force-trace", "x-envoy-ip-tags",
        "x-envoy-hedge-on-per-try-timeout", "x-envoy-retriable-status-codes", "x-envoy-retriable-header-names",
        "x-forwarded-client-cert",
    ]

    private static let edgeFields: Set<String> = [
        "x-envoy-decorator-operation", "x-envoy-downstream-service-cluster", "x-envoy-downstream-service-node",
        "x-envoy-original-path", "x-envoy-original-host",
    ]

    /// The head to send upstream at first.
    static func upstreamHead(
        of request: HTTPRequest, _ context: RequestContext, record: AccessLogRecord
    ) -> HTTPRequestHead {
        var head = request.head
        for header in context.manager.requestHeadersToSet { head.fields.set(header.name.lowercased(), header.value) }
        if let limit = GRPCTimeout.milliseconds(of: head, by: context.action) {
            head.fields.set(GRPCTimeout.header, GRPCTimeout.text(milliseconds: limit))
        }
        announce(attempt: 1, elapsedMs: 0, in: &head.fields, context)
        if context.manager.propagatesDecorator, let operation = context.route.model.decorator {
            head.fields.set("x-envoy-decorator-operation", operation)
        }
        let mutator = HeaderMutator(record: record, request: head)
        mutator.mutateRequest(&head.fields, by: mutations(of: context.route.model, context.cluster))
        if let host = context.cluster.hostRewrite { head.authority = host }
        if let host = context.action.hostRewrite {
            if let original = head.authority { head.fields.set("x-envoy-original-host", original) }
            head.authority = host
        }
        if let rewrite = context.route.pathRewrite, let path = head.path {
            head.fields.set("x-envoy-original-path", path)
            head.path = rewrite.rewritten(path)
        }
        return head
    }

    /// Tells the upstream the number of the attempt, and how long the client waits for it at most.
    static func announce(attempt: Int, elapsedMs: Int, in fields: inout HTTPFields, _ context: RequestContext) {
        let perTry = context.action.retries?.perTryTimeoutMs ?? 0
        let rest = context.timeoutMs > 0 ? max(context.timeoutMs - elapsedMs, 1) : 0
        if let timeout = [rest, perTry].filter({ $0 > 0 }).min() {
            fields.set("x-envoy-expected-rq-timeout-ms", String(timeout))
        }
        if context.virtualHost.includesAttemptCount { fields.set("x-envoy-attempt-count", String(attempt)) }
    }

    /// What a route changes in fields, the most specific first.
    static func mutations(of route: Route?, _ cluster: WeightedCluster?) -> [HeaderMutations] {
        [cluster?.headers, route?.headers].compactMap(\.self)
    }

    /// Makes an upstream's response one of the proxy.
    ///
    /// - Parameter serviceTimeMs: nil when the request was not complete, which leaves nothing to measure.
    static func mutate(
        _ head: inout HTTPResponseHead, manager: HTTPConnectionManager, serviceTimeMs: UInt64?, keepsUpgrade: Bool,
        mutate: (inout HTTPFields) -> Void
    ) {
        head.fields.mergeSingletons()
        head.fields.removeAll { name in
            switch name {
            case "connection", "upgrade": !keepsUpgrade
            case "keep-alive", "proxy-connection", "transfer-encoding", "http2-settings": true
            default: false
            }
        }
        if head.status == 204 || head.status == 101 { head.fields.remove("content-length") }
        if let serviceTimeMs {
            head.fields.set("x-envoy-upstream-service-time", String(serviceTimeMs))
        }
        mutate(&head.fields)
        if !head.fields.contains("date") { head.fields.append("date", HTTPDateCache.current()) }
        if manager.serverHeader == .overwrite { head.fields.set("server", manager.serverName) }
    }

    /// The head of the proxy's own answer.
    static func head(
        of reply: LocalReply, manager: HTTPConnectionManager, isGRPC: Bool, mutate: (inout HTTPFields) -> Void
    ) -> HTTPResponseHead {
        var fields = HTTPFields()
        fields.reserve(6)
        if reply.isOverloaded { fields.append("x-envoy-overloaded", "true") }
        if let location = reply.location { fields.append("location", location) }
        for field in reply.fields.fields { fields.append(field.name, field.value) }
        mutate(&fields)
        if isGRPC {
            fields.set("content-type", "application/grpc")
            fields.append("grpc-status", String(reply.grpcStatus ?? grpcStatus(of: reply.status)))
            if !reply.body.isEmpty { fields.append("grpc-message", reply.body) }
        } else if !reply.body.isEmpty {
            fields.set("content-length", String(reply.body.utf8.count))
            if !fields.contains("content-type") { fields.append("content-type", "text/plain") }
        } else {
            fields.removeAll { $0 == "content-length" || $0 == "content-type" }
        }
        if !fields.contains("date") { fields.append("date", HTTPDateCache.current()) }
        if manager.serverHeader == .overwrite { fields.set("server", manager.serverName) }
        return HTTPResponseHead(status: isGRPC ? 200 : reply.status, fields: fields)
    }

    /// Envoy: `Grpc::Utility::httpToGrpcStatus`.
    private static func grpcStatus(of status: Int) -> Int {
        switch status {
        case 400: 13
        case 401: 16
        case 403: 7
        case 404: 12
        case 429, 502, 503, 504: 14
        default: 2
        }
    }
}
