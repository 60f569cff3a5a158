import NIOCore
import ProxyModel

/// Stands where a client would for a copy of a request: nobody reads the answer. Confined to the worker's loop.
final class ShadowDownstream: HTTPDownstream {
    let downstream: DownstreamConnection
    let counters: HTTPCounters
    let version: HTTPProtocol
    let isDraining = false
    let isWritable = true

    /// `original` is the client's end of the stream whose request is copied.
    init(_ original: any HTTPDownstream) {
        downstream = original.downstream
        counters = original.counters
        version = original.version
    }

    func write(_ head: HTTPResponseHead, ended: Bool, closes: Bool) {}
    func write(_ bytes: ByteBuffer) {}
    func writeEnd(_ trailers: HTTPFields?) {}
    func writeContinue() {}
    func canKeepAlive(_ head: HTTPResponseHead, ended: Bool) -> Bool { true }
    func flush() {}
    func flushIfIdle() {}
    func resumeReading() {}
    func streamEnded(keepAlive: Bool, broken: Bool) {}
}

/// The copies that a route wants of a request: complete, and apart from what becomes of the request itself.
struct RequestShadow {
    /// As with Envoy's buffer: of longer bodies there is no copy.
    private static let bodyLimit = 1 << 20

    private let clusters: [String]
    private var body: [ByteBuffer] = []
    private var bodyBytes = 0

    /// nil where no copy is wanted.
    init?(_ policies: [RequestMirrorPolicy]?) {
        clusters = (policies ?? []).filter { FaultInjection.happens($0.perMillion) }.map(\.cluster)
        if clusters.isEmpty { return nil }
    }

    mutating func append(_ bytes: ByteBuffer) {
        bodyBytes += bytes.readableBytes
        if bodyBytes <= Self.bodyLimit { body.append(bytes) } else { body = [] }
    }

    /// Sends the copies; `context` is that of the request.
    func send(
        _ head: HTTPRequestHead, _ context: HeaderRewriting.RequestContext, from connection: any HTTPDownstream,
        worker: ProxyWorker
    ) {
        guard bodyBytes <= Self.bodyLimit else { return }
        var head = head
        head.authority = head.authority.map(Self.shadowed)
        head.fields.set("x-envoy-internal", "true")
        if let address = worker.snapshot?.model.node.address {
            let before = head.fields.first("x-forwarded-for").map { "\($0)," } ?? ""
            head.fields.set("x-forwarded-for", before + address)
        }
        var context = context
        context.action.retries = nil
        for name in clusters {
            guard let cluster = worker.clusters[name] else { continue }
            let stream = HTTPStream(
                connection: ShadowDownstream(connection), worker: worker, manager: context.manager, isShadow: true)
            stream.startShadow(head, body: body, context: context, cluster: cluster)
        }
    }

    /// `host-shadow:port` of `host:port`.
    private static func shadowed(_ authority: String) -> String {
        let parts = authority.split(separator: ":", omittingEmptySubsequences: false)
        return parts.count == 2 ? "\(parts[0])-shadow:\(parts[1])" : "\(authority)-shadow"
    }
}

extension ProxyNode {
    /// The second part of Istio's `sidecar~10.244.0.5~sleep-1.default~default.svc.cluster.local`.
    var address: String? {
        let parts = id.split(separator: "~", omittingEmptySubsequences: false)
        return parts.count > 1 && !parts[1].isEmpty ? String(parts[1]) : nil
    }
}
