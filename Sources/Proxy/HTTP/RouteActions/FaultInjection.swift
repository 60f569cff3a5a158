import ProxyModel

/// The decisions of Envoy's fault filter.
enum FaultInjection {
    /// How long a request waits first; nil for not at all.
    static func delayMs(_ fault: HTTPFault) -> Int? {
        guard let delay = fault.delay, delay.fixedDelayMs > 0, happens(delay.perMillion) else { return nil }
        return delay.fixedDelayMs
    }

    /// The answer in place of the route's.
    static func reply(_ fault: HTTPFault) -> LocalReply? {
        guard let abort = fault.abort, happens(abort.perMillion) else { return nil }
        var reply = LocalReply(
            status: 200, body: "fault filter abort", flags: ["FI"], details: "fault_filter_abort")
        switch abort.status {
        case .http(let status): reply.status = status
        // Clients that speak no gRPC get it as a success.
        case .grpc(let status): reply.grpcStatus = status
        }
        return reply
    }

    /// True for so many of a million; none and all are exact.
    static func happens(_ perMillion: Int) -> Bool {
        perMillion > 0 && (perMillion >= 1_000_000 || Int.random(in: 0..<1_000_000) < perMillion)
    }
}
