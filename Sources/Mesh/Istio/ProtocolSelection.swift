import Manifests
import NetworkAddresses

/// Which protocol Istio takes a port for (outbound.md §2 "Protocol comes from").
struct ProtocolSelection {
    /// False in compatibility with 1.0, where a port without a known name is TCP.
    let isSniffing: Bool

    /// Ports whose servers speak first: detection would wait for bytes that never come.
    private static let serverFirstPorts: Set<UInt16> = [25, 53, 3306, 27017]

    /// `appProtocol`, else the name up to the first `-`, else the well-known port.
    func protocolOf(_ port: Service.Port) -> PortProtocol {
        guard port.transport == .tcp else { return .udp }
        if let text = port.appProtocol, let known = Self.named(text) { return known }
        if let known = Self.named(port.name) { return known == .udp ? detected : known }
        return Self.serverFirstPorts.contains(port.number) ? .tcp : detected
    }

    /// Only what `protocol` says; the name never counts.
    func protocolOf(_ port: ServiceEntry.Port) -> PortProtocol {
        port.protocol == .unspecified ? detected : port.protocol
    }

    private var detected: PortProtocol { isSniffing ? .unspecified : .tcp }

    private static func named(_ text: String) -> PortProtocol? {
        let lower = text.lowercased()
        if lower == "grpc-web" || lower.hasPrefix("grpc-web-") { return .grpcWeb }
        switch lower.prefix(while: { $0 != "-" }) {
        case "http", "kubernetes.io/ws": return .http
        case "http2", "kubernetes.io/h2c": return .http2
        case "https", "kubernetes.io/wss": return .https
        case "tcp": return .tcp
        case "tls": return .tls
        case "grpc": return .grpc
        case "mongo": return .mongo
        case "mysql": return .mysql
        case "redis": return .redis
        case "udp": return .udp
        default: return nil
        }
    }
}
