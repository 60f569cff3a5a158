import ProxyModel

/// A listener's filters at work on a connection's first bytes.
struct ConnectionInspector {
    /// What the filters found out.
    struct Findings: Equatable {
        var serverName: String?
        var transportProtocol: FilterChainMatch.TransportProtocol?
        var applicationProtocols: [String] = []
    }

    /// Envoy: `max_client_hello_size`.
    static let longestHello = 16_384

    private var tls: ClientHelloParser?
    private var http: HTTPInspector?
    private var findings = Findings()

    /// nil without filters: nothing to wait for.
    init?(_ filters: [Listener.ListenerFilter]) {
        if filters.isEmpty { return nil }
        if filters.contains(.tlsInspector) { tls = ClientHelloParser(limit: Self.longestHello) }
        if filters.contains(.httpInspector) { http = HTTPInspector() }
    }

    /// A hello goes on beyond what is looked at: the connection is not to be answered.
    private(set) var isHelloTooLarge = false

    /// What is known when the wait is cut short.
    var findingsSoFar: Findings { findings }

    /// Takes the next bytes; nil while a filter wants more, and where there is too much.
    mutating func feed(_ bytes: some Collection<UInt8>) -> Findings? {
        if tls != nil {
            switch tls?.feed(bytes) {
            case .needsMore: break
            case .hello(let hello):
                findings.transportProtocol = .tls
                findings.serverName = hello.serverName
                findings.applicationProtocols = hello.applicationProtocols
                // http_inspector leaves encrypted connections alone.
                (tls, http) = (nil, nil)
            case .tooLarge:
                isHelloTooLarge = true
                return nil
            case .notTLS, nil:
                findings.transportProtocol = .rawBuffer
                tls = nil
            }
        }
        if http != nil {
            switch http?.feed(bytes) {
            case .needsMore: break
            case .http(let version):
                findings.applicationProtocols = [version]
                http = nil
            case .notHTTP, nil: http = nil
            }
        }
        return tls == nil && http == nil ? findings : nil
    }
}
