import NIOCore

/// How much memory a connection's reads take.
enum ReceiveBuffers {
    /// NIO keeps a connection's receive buffers as long as it lives: most connections of a proxy are idle most of the
    /// time, so they start small and grow with what comes.
    private static let allocator = AdaptiveRecvByteBufferAllocator(minimum: 256, initial: 256, maximum: 65_536)
    /// The buffers kept, and filled before others get their turn.
    private static let count: UInt = 2

    /// Sets the sizes of a new channel; must be called on its loop.
    static func limit(_ channel: any Channel) throws {
        guard let options = channel.syncOptions else { return }
        try options.setOption(.recvAllocator, value: allocator)
        try options.setOption(.maxMessagesPerRead, value: count)
    }
}
