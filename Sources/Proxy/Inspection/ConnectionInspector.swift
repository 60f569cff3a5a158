import ProxyModel

/// A listener's filters at work on a connection's first bytes.
struct ConnectionInspector {
    /// What the filters found out.
    struct Findings: Equatable {
        var serverName: String?
        var transportProtocol: FilterChainMatch.TransportProtocol?
        var applicationProtocols: [String] = []
    }

    private var tls: ClientHelloParser?
    private var http: HTTPInspector?
    private var findings = Findings()

    /// nil without filters: nothing to wait for.
    init?(_ filters: [Listener.ListenerFilter]) {
        if filters.isEmpty { return nil }
        if filters.contains(.tlsInspector) { tls = ClientHelloParser() }
        if filters.contains(.httpInspector) { http = HTTPInspector() }
    }

    /// What is known when the wait is cut short.
    var findingsSoFar: Findings { findings }

    /// Takes the next bytes; nil while a filter wants more.
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
