import ProxyModel

/// A request that passed the connection manager's checks: what routing looks at and what goes upstream.
struct HTTPRequest: RoutableRequest {
    var head: HTTPRequestHead
    /// Whether the client may use its connection for another request.
    let keepsAlive: Bool
    /// `websocket` when the connection shall go on with that protocol.
    let upgrade: String?

    var method: String { head.method }
    var scheme: String { head.scheme ?? "http" }
    let authority: String
    let path: String
    var isHead: Bool { head.method == "HEAD" }
    var isGRPC: Bool { Self.isGRPC(head.fields) }

    /// Throws the connection manager's answer to a request that it does not route.
    init(
        _ head: HTTPRequestHead, keepsAlive: Bool, upgrade: String?, normalization: PathNormalizationMode = .base
    ) throws(LocalReply) {
        self.keepsAlive = keepsAlive
        self.upgrade = upgrade
        guard let authority = head.authority else { throw .missingHost }
        self.authority = authority
        if head.method == "CONNECT", head.path == nil {
            self.head = head
            path = ""
            return
        }
        guard let target = head.path, target.utf8.first == UInt8(ascii: "/") else { throw .absolutePathRejected }
        guard let normal = PathNormalization.normalized(target, normalization) else { throw .pathNormalizationFailed }
        self.head = head
        self.head.path = normal
        path = normal
    }

    /// A request that did not pass, as it came; nil when it names no host or no path.
    init?(refused head: HTTPRequestHead) {
        guard let authority = head.authority, let path = head.path else { return nil }
        self.head = head
        keepsAlive = false
        upgrade = nil
        self.authority = authority
        self.path = path
    }

    func header(_ name: String) -> String? { head.fields.joined(name) }

    static func isGRPC(_ fields: HTTPFields) -> Bool {
        guard let type = fields.first("content-type"), type.hasPrefix("application/grpc") else { return false }
        let rest = type.dropFirst("application/grpc".count)
        return rest.isEmpty || rest.first == "+"
    }
}
