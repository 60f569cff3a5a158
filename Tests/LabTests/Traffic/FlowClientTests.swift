import DNS
import Glibc
import Lab
import Manifests
import NIOConcurrencyHelpers
import NIOCore
import NIOPosix
import NetworkAddresses
import Proxy
import Testing

/// An internet on loopback: undeclared ports serve anything.
private struct Bench {
    let loop = MultiThreadedEventLoopGroup.singleton.next()
    let authority: LabCertificateAuthority
    let internet: InternetServer
    let client: FlowClient
    let arrivals = NIOLockedValueBox<[Arrival]>([])
    let events = NIOLockedValueBox<[ClientEvent]>([])

    init(hosts: [InternetHost] = [], records: [String: [IPAddress]] = [:]) throws {
        authority = try LabCertificateAuthority()
        client = try FlowClient(trusting: authority.root)
        internet = try InternetServer(
            hosts: hosts, records: records, authority: authority, in: CurrentNetworkContext(), on: loop, tcpPort: 0,
            udpPort: 0, dnsPort: 0
        ) { [arrivals] arrival in arrivals.withLockedValue { $0.append(arrival) } }
    }

    func start(_ request: ClientRequest, hold: Bool = false, source: [IPAddress] = []) -> ClientExchange {
        let nameserver = IPEndpoint(.loopbackIPv4, internet.dnsPort)
        let site = ClientSite(
            context: CurrentNetworkContext(), resolver: ClientResolverConfiguration(nameservers: [nameserver]),
            sourceAddresses: source)
        return client.run(request, at: site, on: loop, hold: hold) { [events] event in
            events.withLockedValue { $0.append(event) }
        }
    }

    func run(_ request: ClientRequest) async throws -> ClientResult { try await start(request).result.get() }

    var attempts: [FiveTuple] {
        events.withLockedValue { events in
            events.compactMap { event in
                if case .attempting(let tuple, purpose: .exchange) = event { tuple } else { nil }
            }
        }
    }
}

/// Answers the first bytes with a line and closes.
private final class OneReply: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let reply: String

    init(_ reply: String) { self.reply = reply }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: reply))).whenComplete { _ in
            bound.value.close(promise: nil)
        }
    }
}

extension ClientResult {
    fileprivate var text: String { String(decoding: body, as: UTF8.self) }
}

@Suite("Clients and servers")
struct FlowClientTests {
    private let local = IPAddress.loopbackIPv4

    @Test("HTTP: the name is resolved, the request answered, and both ends tell the same tuple")
    func http() async throws {
        let bench = try Bench(records: ["httpbin.test": [local]])
        defer { bench.internet.close() }
        let result = try await bench.run(
            ClientRequest(kind: .http, target: .name("httpbin.test"), port: bench.internet.tcpPort, path: "/headers"))
        #expect(result.failure == nil && result.status == 200)
        #expect(result.text.contains("\"User-Agent\": \"egress-lab\""))
        #expect(result.headers.contains { $0.name == "server" && $0.value == "egress-lab" })
        let request = bench.arrivals.withLockedValue { $0.first { $0.stage == .request } }
        #expect(request?.tuple == result.attempts.first && request?.path == "/headers")
        #expect(bench.attempts == result.attempts)
    }

    @Test("Of a long answer the beginning is kept, and a digest that tells the rest apart")
    func longAnswer() async throws {
        let bench = try Bench()
        defer { bench.internet.close() }
        func answer(_ body: String) async throws -> ClientResult {
            try await bench.run(
                ClientRequest(
                    kind: .http, target: .addresses([local]), port: bench.internet.tcpPort, path: "/post",
                    method: "POST", body: body))
        }
        let long = String(repeating: "a", count: 100_000)
        let (first, again, other) = try await (answer(long + "1"), answer(long + "1"), answer(long + "2"))
        #expect(first.body.count == 65_536 && first.bytesReceived > 100_000)
        #expect(first.bodyDigest?.count == 64 && first.bodyDigest == again.bodyDigest)
        #expect(first.body == other.body && first.bodyDigest != other.bodyDigest)
        #expect(try await answer("short").bodyDigest == nil)
    }

    @Test("HTTPS is verified against the lab's root and the name, and shown the certificate's names")
    func https() async throws {
        let bench = try Bench(records: ["a.test": [local]])
        defer { bench.internet.close() }
        let port = bench.internet.tcpPort
        let result = try await bench.run(
            ClientRequest(kind: .https, target: .name("a.test"), port: port, path: "/anything"))
        #expect(result.failure == nil && result.status == 200 && result.peerCertificateNames == ["a.test"])
        #expect(result.text.contains("https://a.test:\(port)/anything"))
        let hello = bench.arrivals.withLockedValue { $0.first { $0.stage == .clientHello } }
        #expect(hello?.serverName == "a.test")
        let address = try await bench.run(ClientRequest(kind: .https, target: .addresses([local]), port: port))
        #expect(address.failure == nil && address.peerCertificateNames == ["127.0.0.1"])
    }

    @Test("A declared address shows its own certificate, so another name fails as on the real internet")
    func wrongName() async throws {
        let host = InternetHost(hosts: ["real.test"], addresses: [local])
        let bench = try Bench(hosts: [host], records: ["real.test": [local], "evil.test": [local]])
        defer { bench.internet.close() }
        let port = bench.internet.tcpPort
        let wrong = try await bench.run(ClientRequest(kind: .https, target: .name("evil.test"), port: port))
        #expect(wrong.failure?.stage == .tls)
        let fronted = try await bench.run(
            ClientRequest(kind: .https, target: .name("real.test"), port: port, serverName: "evil.test"))
        #expect(fronted.failure == nil && fronted.status == 200)
        let none = try await bench.run(
            ClientRequest(kind: .https, target: .name("real.test"), port: port, serverName: ""))
        #expect(none.failure == nil && none.peerCertificateNames == ["real.test"])
        // A client that says another name than its target's knows whom it talks to.
        let other = try await bench.run(
            ClientRequest(kind: .https, target: .name("evil.test"), port: port, serverName: "real.test"))
        #expect(other.failure == nil && other.peerCertificateNames == ["real.test"])
        let neither = try await bench.run(
            ClientRequest(kind: .https, target: .name("evil.test"), port: port, serverName: "third.test"))
        #expect(neither.failure == ClientFailure(.tls, "the certificate is for real.test, not for evil.test"))
    }

    @Test("Why a handshake failed is said in plain words")
    func handshakeFailures() async throws {
        let bench = try Bench()
        defer { bench.internet.close() }
        let target = ClientRequest.Target.addresses([local])
        let stranger = try FlowClient(trusting: try LabCertificateAuthority().root)
        let untrusted = try await stranger.run(
            ClientRequest(kind: .https, target: target, port: bench.internet.tcpPort),
            at: ClientSite(context: CurrentNetworkContext()), on: bench.loop
        ).result.get()
        #expect(
            untrusted.failure == ClientFailure(.tls, "the certificate is not from the lab's CA, or has expired"))

        // What a server does with the first bytes that it gets.
        func answer(_ reply: String) async throws -> ClientFailure? {
            let listener = try BoundSocket.listener(at: IPEndpoint(local, 0), in: CurrentNetworkContext())
            let port = try BoundSocket.localEndpoint(of: listener).port
            let server = try await ServerBootstrap(group: bench.loop)
                .childChannelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(OneReply(reply))
                    }
                }
                .withBoundSocket(listener).get()
            defer { server.close(promise: nil) }
            return try await bench.run(ClientRequest(kind: .tls, target: target, port: port)).failure
        }
        #expect(try await answer("") == ClientFailure(.tls, "the peer closed the connection during the handshake"))
        #expect(try await answer("220 ready\r\n") == ClientFailure(.tls, "the peer does not speak TLS"))
        // An alert record: fatal, unrecognized_name (RFC 8446, 6).
        #expect(
            try await answer("\u{15}\u{03}\u{03}\u{00}\u{02}\u{02}\u{70}")
                == ClientFailure(.tls, "the peer refused it: unrecognized name"))
    }

    @Test("A declared app answers, and plain HTTP on an HTTPS port is refused")
    func declaredPorts() async throws {
        let probe = try BoundSocket.listener(at: IPEndpoint(local, 0), in: CurrentNetworkContext())
        let port = try BoundSocket.localEndpoint(of: probe).port
        close(probe)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let authority = try LabCertificateAuthority()
        let other = IPAddress(127, 0, 0, 2)
        let server = try InternetServer(
            hosts: [
                InternetHost(
                    hosts: ["a.test"], addresses: [local],
                    ports: [.init(number: port, kind: .http, app: .redirectToHTTPS)]),
                InternetHost(
                    hosts: ["b.test"], addresses: [other],
                    ports: [.init(number: port, kind: .https, app: .httpbin)]),
            ], records: [:], authority: authority, in: CurrentNetworkContext(), on: loop, tcpPort: port, udpPort: 0,
            dnsPort: 0
        ) { _ in }
        defer { server.close() }
        let client = try FlowClient(trusting: authority.root)
        let site = ClientSite(context: CurrentNetworkContext())
        let redirect = try await client.run(
            ClientRequest(kind: .http, target: .addresses([local]), port: port, path: "/x", hostHeader: "a.test"),
            at: site, on: loop
        ).result.get()
        #expect(redirect.status == 301)
        #expect(redirect.headers.contains { $0.name == "location" && $0.value == "https://a.test/x" })
        let refused = try await client.run(
            ClientRequest(kind: .http, target: .addresses([other]), port: port), at: site, on: loop
        ).result.get()
        #expect(refused.status == 400)
    }

    @Test("TCP, TLS and UDP get their line back; a silent TCP client is spoken to")
    func lines() async throws {
        let bench = try Bench(records: ["a.test": [local]])
        defer { bench.internet.close() }
        let port = bench.internet.tcpPort
        let target = ClientRequest.Target.addresses([local])
        #expect(try await bench.run(ClientRequest(kind: .tcp, target: target, port: port)).text == "egress-lab\n")
        let tls = try await bench.run(ClientRequest(kind: .tls, target: .name("a.test"), port: port))
        #expect(tls.text == "egress-lab\n" && tls.peerCertificateNames == ["a.test"])
        let silent = try await bench.run(ClientRequest(kind: .tcp, target: target, port: port, body: ""))
        #expect(silent.text == "egress-lab\n")
        let udp = try await bench.run(ClientRequest(kind: .udp, target: target, port: bench.internet.udpPort))
        #expect(udp.failure == nil && udp.text == "egress-lab\n")
        let seen = bench.arrivals.withLockedValue { $0.last { $0.tuple.transport == .udp } }
        #expect(seen?.tuple == udp.attempts.first)
    }

    @Test("The app banner speaks first, then sends everything back")
    func banner() async throws {
        let listener = try BoundSocket.listener(at: IPEndpoint(local, 0), in: CurrentNetworkContext())
        let port = try BoundSocket.localEndpoint(of: listener).port
        close(listener)
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let authority = try LabCertificateAuthority()
        let host = InternetHost(
            hosts: ["mail.test"], addresses: [local], ports: [.init(number: port, kind: .tcp, app: .banner)])
        let server = try InternetServer(
            hosts: [host], records: [:], authority: authority, in: CurrentNetworkContext(), on: loop, tcpPort: port,
            udpPort: 0, dnsPort: 0
        ) { _ in }
        defer { server.close() }
        let client = try FlowClient(trusting: authority.root)
        let site = ClientSite(context: CurrentNetworkContext())
        let request = ClientRequest(kind: .tcp, target: .addresses([local]), port: port, body: "")
        #expect(try await client.run(request, at: site, on: loop).result.get().body == Array("220 ready\r\n".utf8))
    }

    @Test("A cancelled exchange ends with a reset, so that a proxy gives up at once")
    func cancelResets() async throws {
        let listener = try BoundSocket.listener(at: IPEndpoint(local, 0), in: CurrentNetworkContext())
        defer { close(listener) }
        _ = fcntl(listener, F_SETFL, 0)
        let bench = try Bench()
        defer { bench.internet.close() }
        for kind in [ClientRequest.Kind.http, .https, .tcp] {
            let request = ClientRequest(
                kind: kind, target: .addresses([local]), port: try BoundSocket.localEndpoint(of: listener).port)
            let exchange = bench.start(request)
            let descriptor = accept(listener, nil, nil)
            defer { close(descriptor) }
            var limit = timeval(tv_sec: 5, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            var buffer = [UInt8](repeating: 0, count: 4096)
            #expect(recv(descriptor, &buffer, buffer.count, 0) > 0)
            exchange.cancel()
            #expect(try await exchange.result.get().failure == ClientFailure(.cancelled))
            #expect(recv(descriptor, &buffer, buffer.count, 0) == -1 && errno == ECONNRESET)
        }
    }

    @Test("An answer that is no echo is taken whole, however its bytes fall into reads")
    func piecemeal() async throws {
        let listener = try BoundSocket.listener(at: IPEndpoint(local, 0), in: CurrentNetworkContext())
        defer { close(listener) }
        _ = fcntl(listener, F_SETFL, 0)
        let bench = try Bench()
        defer { bench.internet.close() }
        let exchange = bench.start(
            ClientRequest(
                kind: .tcp, target: .addresses([local]), port: try BoundSocket.localEndpoint(of: listener).port,
                body: "GET\n"))
        let descriptor = accept(listener, nil, nil)
        defer { close(descriptor) }
        #expect(send(descriptor, "HTTP/1.1 200 OK\r\n", 17, 0) == 17)
        // After the client's read of the first piece, and before it takes the silence for the end.
        bench.loop.scheduleTask(in: .milliseconds(10)) { _ = send(descriptor, "\r\nhello", 7, 0) }
        #expect(try await exchange.result.get().text == "HTTP/1.1 200 OK\r\n\r\nhello")
    }

    @Test("IPv6 comes first; a refused address is followed by the next")
    func families() async throws {
        let bench = try Bench()
        defer { bench.internet.close() }
        let refusing = IPAddress(127, 0, 0, 9)
        let pod = PodServer(
            pod: "default/a", hasIPv6: false, authority: bench.authority, in: CurrentNetworkContext(), on: bench.loop
        ) { _ in }
        defer { pod.close() }
        try pod.open(tcp: [0])
        let port = try #require(pod.tcpPorts.first)
        let result = try await bench.run(
            ClientRequest(kind: .http, target: .addresses([refusing, local, .loopbackIPv6]), port: port))
        #expect(result.status == 200)
        #expect(result.attempts.map(\.destination.address) == [.loopbackIPv6, refusing])
        let dead = try await bench.run(
            ClientRequest(kind: .tcp, target: .addresses([.loopbackIPv6]), port: port))
        #expect(dead.failure == ClientFailure(.refused) && dead.attempts.count == 1)
    }

    @Test("An unanswered attempt is told with its whole tuple beforehand, and ends when the lab saw it dropped")
    func dropped() async throws {
        // A listener whose queue is full answers no SYN, as if the packet had been dropped.
        let listener = try BoundSocket.listener(at: IPEndpoint(local, 0), in: CurrentNetworkContext())
        defer { close(listener) }
        _ = Glibc.listen(listener, 0)
        let full = try BoundSocket.localEndpoint(of: listener)
        let filler = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
        defer { close(filler) }
        let fullAddress = try SocketAddress(at: full)
        #expect(fullAddress.withSockAddr { connect(filler, $0, socklen_t($1)) } == 0)
        let bench = try Bench()
        defer { bench.internet.close() }
        let told = bench.loop.makePromise(of: FiveTuple.self)
        let site = ClientSite(context: CurrentNetworkContext(), sourceAddresses: [local])
        let exchange = bench.client.run(
            ClientRequest(kind: .tcp, target: .addresses([full.address]), port: full.port), at: site, on: bench.loop
        ) { event in
            if case .attempting(let tuple, purpose: .exchange) = event { told.succeed(tuple) }
        }
        let tuple = try await told.futureResult.get()
        #expect(tuple.source.address == local && tuple.source.port != 0 && tuple.destination == full)
        exchange.attemptDropped(tuple)
        let result = try await exchange.result.get()
        #expect(result.failure == ClientFailure(.connectTimeout, "dropped"))
        #expect(result.attempts == [tuple])
    }

    @Test("dns asks the server that is named; a negative answer is told by its code")
    func dns() async throws {
        let bench = try Bench(records: ["a.test": [IPAddress(192, 0, 2, 7)]])
        defer { bench.internet.close() }
        let port = bench.internet.dnsPort
        let found = try await bench.run(
            ClientRequest(kind: .dns, target: .addresses([local]), port: port, path: "/a.test"))
        #expect(found.failure == nil && found.text == "192.0.2.7\n" && found.attempts.count == 1)
        let missing = try await bench.run(
            ClientRequest(kind: .dns, target: .addresses([local]), port: port, path: "/b.test"))
        #expect(missing.failure == ClientFailure(.resolution, "NXDOMAIN"))
        let unresolved = try await bench.run(ClientRequest(kind: .http, target: .name("b.test"), port: 80))
        #expect(unresolved.failure?.stage == .resolution && unresolved.attempts.isEmpty)
    }

    @Test("An echo request is answered, and told with its identifier", .enabled(if: getuid() == 0))
    func icmp() async throws {
        let bench = try Bench()
        defer { bench.internet.close() }
        for address in [IPAddress.loopbackIPv4, .loopbackIPv6] {
            let result = try await bench.run(
                ClientRequest(kind: .icmp, target: .addresses([address]), port: 0, timeoutMs: 5000))
            #expect(result.failure == nil && result.text == "egress-lab\n")
            #expect(result.attempts.first?.destination == IPEndpoint(address, 0))
            #expect(result.attempts.first?.source.port != 0)
        }
    }

    @Test("A request whose sender has closed its side, in HTTP/1.0, 1.1 or a line of text, is still answered")
    func halfClosed() async throws {
        let bench = try Bench()
        defer { bench.internet.close() }
        let address = try SocketAddress(at: IPEndpoint(local, bench.internet.tcpPort))
        for (request, answer) in [
            ("GET /html HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK"),
            ("GET /html HTTP/1.1\r\nHost: a.test\r\n\r\n", "HTTP/1.1 200 OK"), ("hello\n", "hello\n"),
        ] {
            let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
            defer { close(descriptor) }
            var limit = timeval(tv_sec: 5, tv_usec: 0)
            setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
            #expect(address.withSockAddr { connect(descriptor, $0, socklen_t($1)) } == 0)
            #expect(send(descriptor, request, request.utf8.count, 0) == request.utf8.count)
            shutdown(descriptor, CInt(SHUT_WR))
            var received: [UInt8] = []
            var buffer = [UInt8](repeating: 0, count: 4096)
            var count = recv(descriptor, &buffer, buffer.count, 0)
            while count > 0 {
                received += buffer.prefix(count)
                count = recv(descriptor, &buffer, buffer.count, 0)
            }
            #expect(count == 0, "the server closes after its answer")
            #expect(String(decoding: received, as: UTF8.self).hasPrefix(answer))
        }
    }

    @Test("A held connection stays open until it is closed; a delayed answer can be cancelled")
    func holdAndCancel() async throws {
        let bench = try Bench()
        defer { bench.internet.close() }
        let target = ClientRequest.Target.addresses([local])
        let held = bench.start(
            ClientRequest(kind: .tcp, target: target, port: bench.internet.tcpPort), hold: true)
        #expect(try await held.result.get().failure == nil)
        #expect(bench.arrivals.withLockedValue { !$0.contains { $0.stage == .closed } })
        held.close()
        let slow = bench.start(
            ClientRequest(kind: .http, target: target, port: bench.internet.tcpPort, path: "/delay/10"))
        slow.cancel()
        #expect(try await slow.result.get().failure == ClientFailure(.cancelled))
    }

    @Test("HTTP/1.0, HEAD, a body and a short delay are served")
    func httpVariants() async throws {
        let bench = try Bench()
        defer { bench.internet.close() }
        let target = ClientRequest.Target.addresses([local])
        let port = bench.internet.tcpPort
        let old = try await bench.run(
            ClientRequest(kind: .http, target: target, port: port, path: "/get", httpVersion: "1.0"))
        #expect(old.status == 200 && old.failure == nil)
        let head = try await bench.run(
            ClientRequest(kind: .http, target: target, port: port, path: "/html", method: "HEAD"))
        #expect(head.status == 200 && head.body.isEmpty && head.failure == nil)
        let post = try await bench.run(
            ClientRequest(kind: .http, target: target, port: port, path: "/post", method: "POST", body: "hello"))
        #expect(post.text.contains("\"data\": \"hello\""))
        let delay = try await bench.run(
            ClientRequest(kind: .http, target: target, port: port, path: "/delay/0.05"))
        #expect(delay.status == 200 && delay.durationMs >= 50)
    }
}
