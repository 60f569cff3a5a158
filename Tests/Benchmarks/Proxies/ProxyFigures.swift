/// What is measured of a proxy.
enum ProxyFigure: String, CaseIterable, Codable, CodingKeyRepresentable {
    case tcpRate, tcpCPU, sniRate, sniCPU, requestRate, requestCPU, throughput, throughputCPU
    case tcpP50, tcpP99, sniP50, sniP99, keptP50, keptP99, httpP50, httpP99
    case startUp, idleMemory, connectionMemory, crowdMemory

    var title: String {
        switch self {
        case .tcpRate: "new TCP connections, 1/s"
        case .tcpCPU: "  its CPU for one, µs"
        case .sniRate: "new TLS-SNI connections, 1/s"
        case .sniCPU: "  its CPU for one, µs"
        case .requestRate: "HTTP/1.1 requests, kept, 1/s"
        case .requestCPU: "  its CPU for one, µs"
        case .throughput: "TCP throughput, Gbit/s"
        case .throughputCPU: "  its CPU for one GB, ms"
        case .tcpP50: "added by a new TCP connection, p50 µs"
        case .tcpP99: "  p99"
        case .sniP50: "added by a new SNI connection, p50 µs"
        case .sniP99: "  p99"
        case .keptP50: "added to a round trip, p50 µs"
        case .keptP99: "  p99"
        case .httpP50: "added to an HTTP request, p50 µs"
        case .httpP99: "  p99"
        case .startUp: "start until the first answer, ms"
        case .idleMemory: "memory, idle, MiB"
        case .connectionMemory: "  for 1000 open TCP connections"
        case .crowdMemory: "  with 9500 idle HTTP clients"
        }
    }

    /// What the bundled proxy wants to reach, as a part of Envoy's figure of the same run.
    var reach: Limit? {
        switch self {
        case .tcpRate, .sniRate, .requestRate, .throughput: .atLeast(1)
        case .tcpP50, .tcpP99, .sniP50, .sniP99, .keptP50, .keptP99, .httpP50, .httpP99: .atMost(1)
        case .startUp: .atMost(0.1)
        case .idleMemory, .connectionMemory: .atMost(0.2)
        case .tcpCPU, .sniCPU, .requestCPU, .throughputCPU, .crowdMemory: nil
        }
    }
}

typealias ProxyFigures = [ProxyFigure: Double]
