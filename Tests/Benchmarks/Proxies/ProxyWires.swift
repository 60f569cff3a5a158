import Foundation
import Glibc
import LoadGenerator
import Netlink
import NetworkAddresses

/// Client, sidecar and internet, each a namespace, with what the client sends redirected to the sidecar's proxy.
struct ProxyWires {
    /// Ports of the origin; the proxy listens for each on `15000 + its last digit`.
    enum Service: UInt16, CaseIterable {
        case tcp = 9001
        case sni = 9002
        case http = 9003
        case flood = 9004

        var proxyPort: UInt16 { rawValue + 6000 }
    }

    /// Reached through the proxy.
    static let origin = IPAddress(203, 0, 113, 10)
    /// The same server, to which packets are routed without a redirect.
    static let direct = IPAddress(203, 0, 113, 11)
    static let serverName = "svc.example.test"

    let client: NetworkNamespace
    let sidecar: NetworkNamespace
    let internet: NetworkNamespace

    init() throws {
        client = try NetworkNamespace.create()
        sidecar = try NetworkNamespace.create()
        internet = try NetworkNamespace.create()
        try connect()
        try tune()
        try redirect()
        try serve()
    }

    private func connect() throws {
        let client = client
        let internet = internet
        let (inside, outside) = (IPAddress(10, 0, 0, 1), IPAddress(203, 0, 113, 1))
        try sidecar.enter {
            var batch = RouteBatch()
            batch.setLink(index: 1, isUp: true)
            batch.addVeth(.init(name: "down", index: 10), peer: .init(name: "eth0", index: 11), in: client)
            batch.addVeth(.init(name: "up", index: 12), peer: .init(name: "eth0", index: 13), in: internet)
            batch.addAddress(inside, prefixLength: 24, to: 10)
            batch.addAddress(outside, prefixLength: 24, to: 12)
            try RouteConnection().send(batch)
        }
        try client.enter {
            var batch = RouteBatch()
            batch.setLink(index: 11, isUp: true)
            batch.addAddress(IPAddress(10, 0, 0, 2), prefixLength: 24, to: 11)
            if let all = IPPrefix("0.0.0.0/0") { batch.addRoute(all, via: inside, link: 11) }
            try RouteConnection().send(batch)
        }
        try internet.enter {
            var batch = RouteBatch()
            batch.setLink(index: 13, isUp: true)
            batch.addAddress(Self.origin, prefixLength: 24, to: 13)
            batch.addAddress(Self.direct, prefixLength: 24, to: 13)
            if let pods = IPPrefix("10.0.0.0/24") { batch.addRoute(pods, via: outside, link: 13) }
            try RouteConnection().send(batch)
        }
    }

    /// Tens of thousands of connections a second would otherwise fill ports and the table of tracked connections.
    private func tune() throws {
        for namespace in [client, sidecar] {
            try namespace.enter { try Sysctl.write("net/ipv4/ip_local_port_range", "20000 65000") }
        }
        try sidecar.enter {
            try Sysctl.write("net/ipv4/ip_forward", "1")
            try Sysctl.write("net/ipv4/tcp_max_tw_buckets", "1000")
        }
    }

    private func redirect() throws {
        let rules = Service.allCases.map {
            "ip daddr \(Self.origin) tcp dport \($0.rawValue) redirect to :\($0.proxyPort)"
        }
        let text = """
            table ip bench {
                chain prerouting {
                    type nat hook prerouting priority dstnat
                    \(rules.joined(separator: "\n        "))
                }
            }

            """
        var specification = BenchmarkLab.shell("nft -f -")
        specification.namespace = sidecar
        let output = try ChildProcess.run(specification, input: text, timeout: .seconds(5))
        guard output.status.isSuccess else { throw BenchmarkError(output.standardError) }
        // They exist once connections are tracked.
        try sidecar.enter {
            try Sysctl.write("net/netfilter/nf_conntrack_tcp_timeout_close", "1")
            try Sysctl.write("net/netfilter/nf_conntrack_tcp_timeout_time_wait", "1")
        }
    }

    /// The origin works on a thread of its own, as long as the process lives.
    private func serve() throws {
        let ports = load_ports(
            answer: Service.tcp.rawValue, sni: Service.sni.rawValue, http: Service.http.rawValue,
            flood: Service.flood.rawValue)
        let origin = try internet.enter {
            let origin = load_origin_listen(ports)
            guard origin >= 0 else {
                throw BenchmarkError("the origin can't listen: \(String(cString: strerror(errno)))")
            }
            return origin
        }
        Thread.detachNewThread { load_origin_serve(origin) }
    }
}

extension ProxyWires {
    /// One exchange with a service, through the proxy or straight. `body` runs with the exchange, in the client.
    func exchange<T>(_ service: Service, direct: Bool = false, _ body: (UnsafePointer<load_exchange>) -> T) throws -> T
    {
        let request: [UInt8]
        switch service {
        case .tcp, .flood: request = [UInt8](repeating: 0x61, count: 64)
        case .sni: request = Self.clientHello
        case .http: request = Array("GET / HTTP/1.1\r\nHost: \(Self.serverName)\r\n\r\n".utf8)
        }
        let ending = service == .http ? Array(LOAD_HTTP_BODY.utf8) : []
        let address = direct ? Self.direct : Self.origin
        return try client.enter {
            request.withUnsafeBytes { request in
                ending.withUnsafeBytes { ending in
                    var exchange = load_exchange()
                    exchange.target.sin_family = sa_family_t(AF_INET)
                    exchange.target.sin_port = service.rawValue.bigEndian
                    exchange.target.sin_addr.s_addr = address.bytes.reduce(0) { $0 << 8 | UInt32($1) }.bigEndian
                    exchange.request = request.baseAddress
                    exchange.request_length = request.count
                    exchange.ending = ending.baseAddress
                    exchange.ending_length = ending.count
                    return withUnsafePointer(to: exchange) { body($0) }
                }
            }
        }
    }

    /// A ClientHello of TLS 1.3 with a server name; nobody goes on with the handshake.
    private static let clientHello: [UInt8] = {
        func u16(_ value: Int) -> [UInt8] { [UInt8(value >> 8), UInt8(value & 255)] }
        let name = Array(serverName.utf8)
        let entry = [0] + u16(name.count) + name
        let extensions: [UInt8] =
            u16(0) + u16(entry.count + 2) + u16(entry.count) + entry
            // supported_versions: TLS 1.3
            + u16(43) + u16(3) + [2, 3, 4]
        let body: [UInt8] =
            [3, 3] + [UInt8](repeating: 7, count: 32) + [32] + [UInt8](repeating: 9, count: 32)
            + u16(2) + [0x13, 0x01] + [1, 0] + u16(extensions.count) + extensions
        let message = [1, 0] + u16(body.count) + body
        return [22, 3, 1] + u16(message.count) + message
    }()
}
