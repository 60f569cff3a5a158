import Foundation
import NIOSSL
import NetworkAddresses
import Proxy
import ProxyModel
import TestSupport
import Testing

/// Handshakes as they should not come.
@Suite struct TLSHandshakeTests {
    private let site: TLSAuthority.Identity

    init() throws { site = try TLSAuthority().issue(dns: ["api.example"]) }

    private func configuration(
        at address: IPEndpoint, origin: IPEndpoint, timeoutMs: Int? = nil, minimum: TLSProtocolVersion = .tls12
    ) -> ProxyConfiguration {
        let chain = FilterChain(
            name: "secure", match: FilterChainMatch(transportProtocol: .tls),
            filter: .tcpProxy(TCPProxy(cluster: "target")),
            transportSocket: DownstreamTLSContext(tlsCertificate: "site", minimumVersion: minimum),
            transportSocketConnectTimeoutMs: timeoutMs)
        return ProxyConfiguration(
            node: ProxyConfiguration.testNode,
            listeners: [
                Listener(
                    name: "test", addresses: [address], trafficDirection: .outbound, bindToPort: true,
                    listenerFilters: [.tlsInspector], filterChains: [chain])
            ], clusters: [.fixed([origin])], secrets: [site.secret("site")])
    }

    private func statistic(_ bench: TestBench, _ name: String) -> UInt64? {
        bench.proxy.statistic("listener.127.0.0.1_\(bench.address.port).\(name)")
    }

    /// The records of a ClientHello, cut anew into records of `size` bytes.
    private func cut(_ hello: [UInt8], into size: Int) -> [UInt8] {
        var result: [UInt8] = []
        var rest = hello.dropFirst(5)
        while !rest.isEmpty {
            let part = rest.prefix(size)
            result += [22, 3, 1, UInt8(part.count >> 8), UInt8(part.count & 255)] + part
            rest = rest.dropFirst(part.count)
        }
        return result
    }

    @Test("a ClientHello in many records, or byte by byte, is understood", arguments: [1, 40, 5000])
    func fragmented(_ size: Int) async throws {
        let origin = try Origin.echo()
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint) }) { bench in
            let socket = try bench.connect()
            let client = try TLSPeer.client(socket, serverName: "api.example")
            let hello = try #require(try client.takeOutput())
            let records = cut(hello, into: max(size, 20))
            for start in stride(from: 0, to: records.count, by: size) {
                try socket.send(Array(records[start..<min(start + size, records.count)]))
            }
            try client.handshake()
            try client.send("hello")
            #expect(try client.receive() == Array("hello".utf8))
        }
    }

    @Test("a ClientHello beyond what Envoy takes is reset without a word")
    func oversized() async throws {
        let origin = try Origin.echo()
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint) }) { bench in
            let socket = try bench.connect()
            try? socket.send(ClientHellos.make(serverName: "api.example", padding: 65_460))
            #expect(socket.receivesNothing)
            #expect(bench.becomes("tls_inspector.client_hello_too_large", 1))
            #expect(bench.proxy.statistic("listener.127.0.0.1_\(bench.address.port).no_filter_chain_match") == 0)
        }
    }

    @Test("no server name is fine where the chain asks for none")
    func noServerName() async throws {
        let origin = try Origin.echo()
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint) }) { bench in
            let client = try TLSPeer.client(bench.connect(), serverName: nil)
            try client.handshake()
            try client.send("x")
            #expect(try client.receive() == [UInt8(ascii: "x")])
        }
    }

    @Test("an encrypted ClientHello's outer name is the one that counts")
    func encryptedHello() {
        var parser = ClientHelloParser()
        // encrypted_client_hello (RFC 9849, 5): outer, HKDF-SHA256 with AES-128-GCM, config 1, no key, 32 bytes.
        let hello = ClientHellos.make(
            serverName: "public.example",
            extensions: [(0xfe0d, [0, 0, 1, 0, 1, 1, 0, 0, 0, 32] + [UInt8](repeating: 5, count: 32))])
        guard case .hello(let found) = parser.feed(hello) else {
            Issue.record("not understood")
            return
        }
        #expect(found.serverName == "public.example")
    }

    @Test("a version that is too old is refused with an alert")
    func oldVersion() async throws {
        let origin = try Origin.echo()
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint, minimum: .tls13) }) { bench in
            let client = try TLSPeer.client(bench.connect(), serverName: "api.example", maximum: .tlsv12)
            #expect(throws: (any Error).self) { try client.handshake() }
            #expect(
                bench.record()?.downstreamTransportFailureReason
                    == "TLS_error:|268435696:SSL_routines:OPENSSL_internal:UNSUPPORTED_PROTOCOL:TLS_error_end")
            #expect(statistic(bench, "ssl.connection_error") == 1)
        }
    }

    @Test("TLS 1.1 is never spoken")
    func ancient() async throws {
        let origin = try Origin.echo()
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint) }) { bench in
            let client = try TLSPeer.client(
                bench.connect(), serverName: "api.example", maximum: .tlsv11, minimum: .tlsv1)
            #expect(throws: (any Error).self) { try client.handshake() }
            #expect(bench.closed())
            #expect(statistic(bench, "ssl.connection_error") == 1)
        }
    }

    @Test("renegotiation is refused")
    func renegotiation() async throws {
        let origin = try Origin.echo()
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint) }) { bench in
            let process = Process()
            process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
            process.arguments = ["openssl", "s_client", "-connect", "\(bench.address)", "-tls1_2"]
            let (input, output) = (Pipe(), Pipe())
            process.standardInput = input
            process.standardOutput = output
            process.standardError = output
            try process.run()
            // The end of what it tells of the session: from then on it takes commands.
            var told = ""
            while !told.contains("Extended master secret") {
                let part = output.fileHandleForReading.availableData
                if part.isEmpty { break }
                told += String(decoding: part, as: UTF8.self)
            }
            try input.fileHandleForWriting.write(contentsOf: Data("R\n".utf8))
            _ = try output.fileHandleForReading.readToEnd()
            try? input.fileHandleForWriting.close()
            process.waitUntilExit()
            #expect(
                bench.record()?.downstreamTransportFailureReason
                    == "TLS_error:|268435638:SSL_routines:OPENSSL_internal:NO_RENEGOTIATION:TLS_error_end")
        }
    }

    @Test("a handshake that does not go on is given up in time, also one that trickles")
    func slow() async throws {
        let origin = try Origin.echo()
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint, timeoutMs: 100) }) { bench in
            let socket = try bench.connect()
            let client = try TLSPeer.client(socket, serverName: "api.example")
            try socket.send(try #require(try client.takeOutput()))
            _ = try? socket.receiveAll()
            #expect(bench.closed())
            #expect(statistic(bench, "downstream_cx_transport_socket_connect_timeout") == 1)
            #expect(statistic(bench, "ssl.connection_error") == 0)
        }
    }

    @Test("garbage after the ClientHello ends the handshake")
    func garbage() async throws {
        let origin = try Origin.echo()
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint) }) { bench in
            let socket = try bench.connect()
            let client = try TLSPeer.client(socket, serverName: "api.example")
            try socket.send(try #require(try client.takeOutput()))
            try socket.send([23, 3, 3, 0, 5] + Array("garba".utf8))
            _ = try? socket.receiveAll()
            #expect(bench.closed())
            #expect(statistic(bench, "ssl.connection_error") == 1)
        }
    }

    @Test("a client that leaves within its handshake leaves nothing behind")
    func leaves() async throws {
        let origin = try Origin.echo()
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint) }) { bench in
            let socket = try bench.connect()
            let client = try TLSPeer.client(socket, serverName: "api.example")
            try socket.send(try #require(try client.takeOutput()))
            _ = try socket.receive()
            socket.close()
            #expect(bench.closed())
            #expect(bench.becomes("cluster.target.upstream_cx_active", 0))
            #expect(statistic(bench, "ssl.connection_error") == 0)
        }
    }

    @Test("an end without goodbye still is the end of input")
    func ragged() async throws {
        let origin = try Origin { socket in
            let all = try socket.receiveAll()
            try socket.send("got \(all.count)")
        }
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint) }) { bench in
            let socket = try bench.connect()
            let client = try TLSPeer.client(socket, serverName: "api.example")
            try client.handshake()
            try client.send("12345")
            socket.finishSending()
            #expect(String(decoding: try client.receiveAll(), as: UTF8.self) == "got 5")
            #expect(bench.record()?.responseFlags == [])
        }
    }

    @Test("8 MB each way arrive whole through TLS on both sides of a slow reader")
    func bulk() async throws {
        let total = 8 << 20
        let origin = try Origin { socket in
            var count = 0
            while true {
                let part = try socket.receive(1 << 20)
                if part.isEmpty { break }
                count += part.count
            }
            try socket.send([UInt8](repeating: 3, count: count))
        }
        try await TestBench.run({ configuration(at: $0, origin: origin.endpoint) }) { bench in
            let client = try TLSPeer.client(bench.connect(), serverName: "api.example")
            try client.handshake()
            try client.send([UInt8](repeating: 4, count: total))
            try client.finishSending()
            #expect(try client.receiveAll().count == total)
            let record = try #require(bench.record())
            #expect(record.bytesReceived == UInt64(total) && record.bytesSent == UInt64(total))
        }
    }
}
