import Glibc
import Manifests
import NIOCore
import NIOPosix
import NetworkAddresses
import Testing

@testable import Lab

@Suite struct ServerConnectionTransportTests {
    /// Sends `first`, reads to the end, sends more, and returns what reading then gives: 0 is an end, -1 an error.
    private func talk(to port: Int, _ first: [UInt8]) throws -> (received: Int, afterwards: Int) {
        let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        defer { close(socket) }
        var limit = timeval(tv_sec: 10, tv_usec: 0)
        setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size))
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = in_port_t(UInt16(port).bigEndian)
        address.sin_addr.s_addr = in_addr_t(INADDR_LOOPBACK).bigEndian
        let result = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        #expect(result == 0)
        var buffer = [UInt8](repeating: 0, count: 4096)
        #expect(send(socket, first, first.count, Int32(MSG_NOSIGNAL)) == first.count)
        var received = 0
        while case let count = recv(socket, &buffer, buffer.count, 0), count > 0 { received += count }
        // A reset would come in answer to the first and fail the second.
        for _ in 0..<2 { #expect(send(socket, first, first.count, Int32(MSG_NOSIGNAL)) == first.count) }
        return (received, recv(socket, &buffer, buffer.count, 0))
    }

    @Test(
        "A server that has had enough says so by an end, and never by a reset",
        arguments: [
            // TLS on a web server's port, and the web on a TLS server's.
            (InternetHost.PortKind.http, [UInt8]([0x16, 0x03, 0x01, 0x00, 0x05, 0x01, 0x00, 0x00, 0x01, 0x03]), true),
            (.https, Array("\u{7}nonsense\r\n\r\n".utf8), false),
            (.http, Array("GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".utf8), true),
        ])
    func lingers(kind: InternetHost.PortKind, bytes: [UInt8], answers: Bool) async throws {
        let authority = try LabCertificateAuthority()
        let group = MultiThreadedEventLoopGroup.singleton
        let server = try await ServerBootstrap(group: group)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let end = IPEndpoint(.loopbackIPv4, 80)
                    let handler = ServerConnectionHandler { _ in
                        ServerConnection(
                            site: .internet,
                            port: ServedPort(kind: kind, app: { _ in .httpbin }, certificateName: { _ in "a" }),
                            tuple: FiveTuple(.tcp, from: end, to: end), authority: authority, sink: { _ in })
                    }
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        let port = try #require(server.localAddress?.port)
        let (received, afterwards) = try talk(to: port, bytes)
        #expect((received > 0) == answers)
        #expect(afterwards == 0)
        try await server.close()
    }
}
