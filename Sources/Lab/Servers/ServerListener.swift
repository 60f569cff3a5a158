internal import DNS
internal import Glibc
internal import NIOCore
internal import NIOPosix
internal import NetworkAddresses
internal import Proxy

/// A listening socket whose connections are served by what their dialled address and port say.
enum ServerListener {
    struct Configuration: Sendable {
        var site: Arrival.Site
        var authority: LabCertificateAuthority
        /// True where nftables redirects every connection to the one listener.
        var isRedirected = false
        var port: @Sendable (IPEndpoint) -> ServedPort
        var sink: @Sendable (Arrival) -> Void
    }

    /// Binds `endpoint` in `context`; waits for the loop, so it isn't to be called on one.
    static func open(
        at endpoint: IPEndpoint, in context: any NetworkContext, on loop: any EventLoop,
        _ configuration: Configuration
    ) throws -> any Channel {
        let descriptor = try BoundSocket.listener(at: endpoint, in: context)
        return try ServerBootstrap(group: loop)
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        ServerConnectionHandler { accept($0, configuration) })
                }
            }
            .withBoundSocket(descriptor).wait()
    }

    private static func accept(_ channel: any Channel, _ configuration: Configuration) -> ServerConnection? {
        guard let peer = channel.remoteAddress?.ipEndpoint, var dialled = channel.localAddress?.ipEndpoint else {
            return nil
        }
        if configuration.isRedirected, let original = originalDestination(of: channel, peer.address.family) {
            dialled = original
        }
        return ServerConnection(
            site: configuration.site, port: configuration.port(dialled),
            tuple: FiveTuple(.tcp, from: peer, to: dialled), authority: configuration.authority,
            sink: configuration.sink)
    }

    /// The corresponding C call is `getsockopt` with `SO_ORIGINAL_DST` or `IP6T_SO_ORIGINAL_DST` (both 80).
    private static func originalDestination(of channel: any Channel, _ family: IPFamily) -> IPEndpoint? {
        let pipeline = channel.pipeline.syncOperations
        let found = try? pipeline.withUnsafeTransportIfAvailable(of: NIOBSDSocket.Handle.self) {
            descriptor -> IPEndpoint? in
            var storage = sockaddr_storage()
            var size = socklen_t(MemoryLayout<sockaddr_storage>.size)
            // A dual-stack listener has IPv4 peers too; for those the IPv4 option is the one that answers.
            let level = CInt(family == .ipv4 ? IPPROTO_IP : IPPROTO_IPV6)
            guard getsockopt(descriptor, level, 80, &storage, &size) == 0 else { return nil }
            return IPEndpoint(storage)
        }
        return found ?? nil
    }
}
