import Glibc
import Netlink
import NetworkAddresses
import TestSupport
import Testing

@Suite struct SocketDiagnosticsKernelTests {
    @Test(
        "The kernel names the socket at the other end of a connection, before anybody has accepted it", .requiresRoot,
        arguments: [IPAddress.loopbackIPv4, .loopbackIPv6])
    func connection(address: IPAddress) throws {
        try withScratchNamespace { namespace in
            let listener = try namespace.enter(as: 1337, gid: 1337) { try ProbeSocket(address.family, SOCK_STREAM) }
            let client = try namespace.enter { try ProbeSocket(address.family, SOCK_STREAM) }
            try listener.bind(to: IPEndpoint(address, 0))
            try listener.listen()
            let server = IPEndpoint(address, listener.localPort)
            let sockets = try namespace.enter { try SocketDiagnostics() }

            let unspecified = IPEndpoint(address.family == .ipv4 ? .anyIPv4 : .anyIPv6, 0)
            let waiting = try sockets.tcp(from: server, to: unspecified)
            #expect(waiting?.isListening == true && waiting?.uid == 1337)

            try client.connect(to: server)
            let peer = IPEndpoint(address, client.localPort)
            #expect(try sockets.tcp(from: server, to: peer)?.isConnected == true)
            // A stranger would get the listener, which is no connection.
            let stranger = IPEndpoint(address, peer.port ^ 1)
            #expect(try sockets.tcp(from: server, to: stranger)?.isConnected != true)
            #expect(try sockets.tcp(from: IPEndpoint(address, 1), to: peer) == nil)
        }
    }
}
