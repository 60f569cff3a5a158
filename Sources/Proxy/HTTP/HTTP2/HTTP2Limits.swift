import NIOHTTP2

/// What the proxy's ends of HTTP/2 connections allow their peers.
enum HTTP2Limits {
    /// With more a connection is over, as in Envoy; a head of more than `HTTP1Parser.requestHeadLimit` only resets its
    /// stream.
    private static let headerListSize = 64 * 1024
    /// Room for a whole head: NIO takes heads in parts but sends each in one frame, and ends the connection where the
    /// peer takes only smaller ones.
    private static let frameSize = 2 * headerListSize
    private static let maxConcurrentStreams = 1024
    /// How much of a body may be on its way on one stream.
    private static let windowSize = 256 * 1024
    /// How much of a body waits for the peer before its source is asked to wait.
    private static let bufferSize = 64 * 1024

    static let connection: NIOHTTP2Handler.ConnectionConfiguration = {
        var configuration = NIOHTTP2Handler.ConnectionConfiguration()
        configuration.initialSettings = [
            HTTP2Setting(parameter: .maxConcurrentStreams, value: maxConcurrentStreams),
            HTTP2Setting(parameter: .maxHeaderListSize, value: headerListSize),
            HTTP2Setting(parameter: .maxFrameSize, value: frameSize),
            HTTP2Setting(parameter: .initialWindowSize, value: windowSize),
            HTTP2Setting(parameter: .enablePush, value: 0),
        ]
        // All streams share it: one that waits must not stop the others.
        configuration.targetWindowSize = 16 * windowSize
        return configuration
    }()

    static let stream: NIOHTTP2Handler.StreamConfiguration = {
        var configuration = NIOHTTP2Handler.StreamConfiguration()
        configuration.targetWindowSize = windowSize
        configuration.outboundBufferSizeHighWatermark = bufferSize
        configuration.outboundBufferSizeLowWatermark = bufferSize / 2
        return configuration
    }()
}
