import NIOHTTP1
import NetworkAddresses
import ProxyModel

/// What a proxy changes in message heads on their way.
enum HeaderRewriting {
    private static let hopByHop: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "upgrade", "transfer-encoding", "http2-settings",
    ]

    /// Everything about a request that is not in the request itself.
    struct RequestContext {
        var manager: HTTPConnectionManager
        var virtualHost: VirtualHost
        var route: Route
        var action: ForwardAction
        var source: IPEndpoint
        var requestID: String?
        /// nil where the proxy does not terminate TLS.
        var tls: TLSSession?
    }

    /// The head to send upstream on the given attempt (1 is the first). Names are lower case, as Envoy writes them.
    static func upstreamHead(
        of request: IncomingRequest, _ context: RequestContext, attempt: Int
    ) -> HTTPRequestHead {
        var fields: [(String, String)] = [("host", request.authority)]
        fields.reserveCapacity(request.headers.count + 8)
        let nominated = connectionOptions(of: request.headers)
        var forwardedProto: String?
        var forwardedFor: [String] = []
        var forwardedCertificates: [String] = []
        for (name, value) in request.headers {
            let name = name.lowercased()
            if hopByHop.contains(name) || nominated.contains(name) { continue }
            switch name {
            case "host", "content-length", "expect", "x-request-id": continue
            case "te" where value.lowercased() != "trailers": continue
            case "x-forwarded-proto": forwardedProto = value
            case "x-forwarded-for": forwardedFor.append(value)
            case ForwardedClientCertificate.headerName: forwardedCertificates.append(value)
            case "x-envoy-attempt-count", "x-envoy-expected-rq-timeout-ms", "x-envoy-internal",
                "x-envoy-external-address", "x-envoy-decorator-operation":
                continue
            default: fields.append((name, value))
            }
        }
        switch request.framing {
        case .none: break
        case .length(let length): fields.append(("content-length", length))
        case .chunked: fields.append(("transfer-encoding", "chunked"))
        }
        let manager = context.manager
        fields.append(
            ("x-forwarded-proto", manager.usesRemoteAddress ? request.scheme : forwardedProto ?? request.scheme))
        if let told = ForwardedClientCertificate.value(
            manager.clientCertificateForwarding, received: forwardedCertificates, session: context.tls)
        {
            fields.append((ForwardedClientCertificate.headerName, told))
        }
        if manager.usesRemoteAddress {
            let address = context.source.address
            forwardedFor.append(address.description)
            fields.append(
                isInternal(address)
                    ? ("x-envoy-internal", "true") : ("x-envoy-external-address", address.description))
        }
        if !forwardedFor.isEmpty { fields.append(("x-forwarded-for", forwardedFor.joined(separator: ","))) }
        if let id = context.requestID { fields.append(("x-request-id", id)) }
        if context.virtualHost.includesAttemptCount { fields.append(("x-envoy-attempt-count", String(attempt))) }
        let perTry = context.action.retries?.perTryTimeoutMs ?? 0
        let timeouts = [context.action.timeoutMs, perTry].filter { $0 > 0 }
        if let timeout = timeouts.min() { fields.append(("x-envoy-expected-rq-timeout-ms", String(timeout))) }
        if manager.propagatesDecorator, let operation = context.route.decorator {
            fields.append(("x-envoy-decorator-operation", operation))
        }
        for header in manager.requestHeadersToSet {
            let name = header.name.lowercased()
            fields.removeAll { $0.0 == name }
            fields.append((name, header.value))
        }
        return HTTPRequestHead(
            version: .http1_1, method: HTTPMethod(rawValue: request.method), uri: request.path,
            headers: HTTPHeaders(fields))
    }

    /// How the client learns where a response's body ends.
    enum ResponseFraming: Equatable {
        case noBody
        case length
        case chunked
        case untilClose
    }

    /// The head to send to the client, and the framing of what follows.
    static func downstreamHead(
        of response: HTTPResponseHead, to request: IncomingRequest, manager: HTTPConnectionManager,
        serviceTimeMs: UInt64, keepAlive: Bool
    ) -> (HTTPResponseHead, ResponseFraming) {
        var fields: [(String, String)] = []
        fields.reserveCapacity(response.headers.count + 4)
        let nominated = connectionOptions(of: response.headers)
        let code = response.status.code
        let mayHaveBody = !request.isHead && code != 204 && code != 304
        var hasLength = false
        var hasDate = false
        for (name, value) in response.headers {
            let name = name.lowercased()
            if hopByHop.contains(name) || nominated.contains(name) { continue }
            switch name {
            case "server" where manager.serverHeader == .overwrite: continue
            case "x-envoy-upstream-service-time": continue
            case "content-length" where code == 204: continue
            case "content-length": hasLength = true
            case "date": hasDate = true
            default: break
            }
            fields.append((name, value))
        }
        let framing: ResponseFraming =
            !mayHaveBody ? .noBody : hasLength ? .length : request.version.isBefore11 ? .untilClose : .chunked
        if framing == .chunked { fields.append(("transfer-encoding", "chunked")) }
        fields.append(("x-envoy-upstream-service-time", String(serviceTimeMs)))
        if !hasDate { fields.append(("date", HTTPDateCache.current())) }
        if manager.serverHeader == .overwrite { fields.append(("server", manager.serverName)) }
        addConnection(&fields, request, keepAlive: keepAlive && framing != .untilClose)
        return (
            HTTPResponseHead(
                version: version(for: request), status: response.status, headers: HTTPHeaders(fields)), framing
        )
    }

    /// The head of the proxy's own answer.
    static func head(
        of reply: LocalReply, manager: HTTPConnectionManager, request: IncomingRequest?, keepAlive: Bool
    ) -> HTTPResponseHead {
        var fields: [(String, String)] = [("content-length", String(reply.body.utf8.count))]
        if !reply.body.isEmpty { fields.append(("content-type", "text/plain")) }
        fields.append(("date", HTTPDateCache.current()))
        if manager.serverHeader == .overwrite { fields.append(("server", manager.serverName)) }
        addConnection(&fields, request, keepAlive: keepAlive)
        return HTTPResponseHead(
            version: version(for: request), status: HTTPResponseStatus(statusCode: reply.status),
            headers: HTTPHeaders(fields))
    }

    /// 10/8, 172.16/12, 192.168/16, loopback and fc00::/7: what Envoy calls internal.
    static func isInternal(_ address: IPAddress) -> Bool {
        if address.isLoopback { return true }
        if address.family == .ipv6 { return address.value >> 121 == 0x7e }
        return address.value >> 24 == 10 || address.value >> 20 == 0xac1 || address.value >> 16 == 0xc0a8
    }

    /// Clients of HTTP/1.0 are answered in their version where they are served.
    private static func version(for request: IncomingRequest?) -> HTTPVersion {
        request?.version.isBefore11 == true ? .http1_0 : .http1_1
    }

    private static func connectionOptions(of headers: HTTPHeaders) -> Set<String> {
        guard headers.contains(name: "connection") else { return [] }
        let listed = headers[canonicalForm: "connection"].map { $0.lowercased() }
        // Naming these would remove what the message needs.
        return Set(listed).subtracting(["host", "content-length", "te", "close"])
    }

    private static func addConnection(_ fields: inout [(String, String)], _ request: IncomingRequest?, keepAlive: Bool)
    {
        if !keepAlive {
            fields.append(("connection", "close"))
        } else if let request, request.version.isBefore11 {
            fields.append(("connection", "keep-alive"))
        }
    }
}
