import NIOCore
import NetworkAddresses
import ProxyModel

/// The filter's headers made ready for comparison.
struct CompiledExternalAuthorization: Sendable {
    let model: ExternalAuthorization
    let allowedHeaders: [CompiledStringMatch]
    let allowedUpstreamHeaders: [CompiledStringMatch]
    let allowedClientHeaders: [CompiledStringMatch]
    let allowedClientHeadersOnSuccess: [CompiledStringMatch]
    let route: CompiledRoute

    init(_ model: ExternalAuthorization) throws {
        func compiled(_ list: [StringMatch]) throws -> [CompiledStringMatch] {
            try list.map { try CompiledStringMatch($0, ignoresCase: true) }
        }
        self.model = model
        allowedHeaders = try compiled(model.allowedHeaders)
        allowedUpstreamHeaders = try compiled(model.allowedUpstreamHeaders)
        allowedClientHeaders = try compiled(model.allowedClientHeaders)
        allowedClientHeadersOnSuccess = try compiled(model.allowedClientHeadersOnSuccess)
        route = try CompiledRoute(
            Route(
                action: .forward(
                    ForwardAction(clusters: [WeightedCluster(name: model.cluster)], timeoutMs: model.timeoutMs))))
    }
}

/// What an external authorizer says of a request.
enum AuthorizationAnswer {
    /// With fields for the request, and for the client's response.
    case allowed(upstream: [HTTPFields.Field], client: [HTTPFields.Field])
    case denied(LocalReply)
    /// There is no answer, and the filter lets pass what it can't ask about.
    case failedOpen
}

/// Stands where a client would for the question to an external authorizer. Confined to the worker's loop.
final class AuthorizationQuery: HTTPDownstream {
    /// As in Envoy these always belong to a refusal.
    private static let ownClientFields: Set<String> = ["content-length", "location", "www-authenticate", "set-cookie"]
    /// These are of the authorizer's message and not of its answer.
    private static let messageFields: Set<String> = [
        "content-length", "connection", "keep-alive", "transfer-encoding", "date", "server", "upgrade",
    ]

    let downstream: DownstreamConnection
    let counters: HTTPCounters
    let version: HTTPProtocol
    let isDraining = false
    let isWritable = true
    private let filter: CompiledExternalAuthorization
    private var head: HTTPResponseHead?
    private var body = ByteBuffer()
    private var completion: ((AuthorizationAnswer) -> Void)?

    /// `original` is the client's end of the stream that is asked about.
    init(
        _ filter: CompiledExternalAuthorization, _ original: any HTTPDownstream,
        completion: @escaping (AuthorizationAnswer) -> Void
    ) {
        self.filter = filter
        self.completion = completion
        downstream = original.downstream
        counters = original.counters
        version = original.version
    }

    /// The question about a request.
    func head(for request: HTTPRequest, from node: ProxyNode?) -> HTTPRequestHead {
        var head = request.head
        head.path = filter.model.pathPrefix + request.path
        head.fields.removeAll { name in
            name != "authorization" && !filter.allowedHeaders.contains { $0.matches(name[...]) }
        }
        for field in filter.model.headersToAdd { head.fields.set(field.name.lowercased(), field.value) }
        head.fields.set("content-length", "0")
        head.fields.set("x-envoy-internal", "true")
        if let address = node?.address { head.fields.set("x-forwarded-for", address) }
        head.fields.set("x-envoy-expected-rq-timeout-ms", String(filter.model.timeoutMs))
        return head
    }

    func write(_ head: HTTPResponseHead, ended: Bool, closes: Bool) { self.head = head }
    func write(_ bytes: ByteBuffer) { body.writeImmutableBuffer(bytes) }
    func writeEnd(_ trailers: HTTPFields?) {}
    func writeContinue() {}
    func canKeepAlive(_ head: HTTPResponseHead, ended: Bool) -> Bool { true }
    func flush() {}
    func flushIfIdle() {}
    func resumeReading() {}

    func streamEnded(keepAlive: Bool, broken: Bool) {
        let completion = completion
        self.completion = nil
        completion?(broken ? unanswered : answer)
    }

    private var answer: AuthorizationAnswer {
        guard let head, head.status < 500 else { return unanswered }
        if head.status == 200 {
            return .allowed(
                upstream: fields(of: head, filter.allowedUpstreamHeaders),
                client: fields(of: head, filter.allowedClientHeadersOnSuccess))
        }
        var reply = LocalReply(
            status: head.status, body: String(buffer: body), flags: ["UAEX"], details: "ext_authz_denied")
        let isAll = filter.allowedClientHeaders.isEmpty
        for field in head.fields.fields where !Self.messageFields.contains(field.name) {
            let isAllowed = filter.allowedClientHeaders.contains { $0.matches(field.name[...]) }
            if isAll || isAllowed || Self.ownClientFields.contains(field.name) {
                reply.fields.append(field.name, field.value)
            }
        }
        return .denied(reply)
    }

    private var unanswered: AuthorizationAnswer {
        if filter.model.failureModeAllow { return .failedOpen }
        return .denied(LocalReply(status: filter.model.statusOnError, flags: ["UAEX"], details: "ext_authz_error"))
    }

    private func fields(of head: HTTPResponseHead, _ allowed: [CompiledStringMatch]) -> [HTTPFields.Field] {
        head.fields.fields.filter { field in allowed.contains { $0.matches(field.name[...]) } }
    }
}

/// The counters of external authorization under `http.PREFIX.`.
struct ExternalAuthorizationCounters {
    let ok: Counter
    let denied: Counter
    let error: Counter
    let failureModeAllowed: Counter

    init(_ statistics: ProxyStatistics, prefix: String) {
        ok = statistics.counter("\(prefix)ext_authz.ok")
        denied = statistics.counter("\(prefix)ext_authz.denied")
        error = statistics.counter("\(prefix)ext_authz.error")
        failureModeAllowed = statistics.counter("\(prefix)ext_authz.failure_mode_allowed")
    }
}
