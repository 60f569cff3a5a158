import NIOCore
import NetworkAddresses
import ProxyModel

/// The client's end of one stream, whatever the version of HTTP. Confined to the worker's loop.
protocol HTTPDownstream: AnyObject {
    var downstream: DownstreamConnection { get }
    var counters: HTTPCounters { get }
    var version: HTTPProtocol { get }
    /// The connection's chain is out of date: it takes no further request.
    var isDraining: Bool { get }
    var isWritable: Bool { get }

    /// Writes a response's head; `ended`: nothing follows. `closes`: no request follows on the connection.
    func write(_ head: HTTPResponseHead, ended: Bool, closes: Bool)
    func write(_ bytes: ByteBuffer)
    /// Ends the response.
    func writeEnd(_ trailers: HTTPFields?)
    func writeContinue()
    /// Whether the response's head allows for another request on the connection.
    func canKeepAlive(_ head: HTTPResponseHead, ended: Bool) -> Bool
    func flush()
    /// Flushes what was not caused by reading, after which a flush follows anyway.
    func flushIfIdle()
    func resumeReading()
    /// The stream has written its record. `broken`: its response can't be completed.
    func streamEnded(keepAlive: Bool, broken: Bool)
}

/// The upstream's end of one stream. Confined to the worker's loop.
protocol HTTPUpstream: AnyObject {
    /// nil without TLS.
    var transport: UpstreamTransport? { get }
    var local: IPEndpoint? { get }
    var isWritable: Bool { get }
    /// Whether a request may ask to go on with another protocol.
    var takesUpgrades: Bool { get }

    /// Serves `request` from now on; false when the connection is gone already.
    func attach(_ request: UpstreamRequest) -> Bool
    func write(_ head: HTTPRequestHead, ended: Bool)
    func write(_ bytes: ByteBuffer)
    func writeEnd(_ trailers: HTTPFields?)
    func flush()
    func resumeReading()
    /// The stream needs nothing more: keep the connection if both messages are complete.
    func release(requestComplete: Bool)
    /// The stream gives up on the response.
    func cancel()
}
