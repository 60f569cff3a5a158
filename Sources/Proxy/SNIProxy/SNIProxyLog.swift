import NetworkAddresses
package import ProxyModel

/// The access log of the documents' nginx:
/// `$remote_addr [$time_local] $protocol [$ssl_preread_server_name]$status $bytes_sent $bytes_received $session_time`.
package enum SNIProxyLog {
    /// The line of one record: `127.0.0.1 [01/Aug/2018:15:32:02 +0000] TCP [en.wikipedia.org]200 81513 280 0.600`.
    ///
    /// A handshake without a server name has an empty one, what is no handshake has `-`.
    package static func line(for record: AccessLogRecord) -> String {
        let remote = record.downstreamRemoteAddress.map { "\($0.address)" } ?? "-"
        // nginx writes the line, and the time, when the session has ended.
        let end = record.startTime + Double(record.durationMs) / 1000
        let time = UTCTime.formatted(end, as: "%d/%b/%Y:%H:%M:%S +0000")
        let fraction = String(record.durationMs % 1000)
        let duration =
            "\(record.durationMs / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
        return "\(remote) [\(time)] TCP [\(record.requestedServerName ?? "-")]\(record.responseCode)"
            + " \(record.bytesSent) \(record.bytesReceived) \(duration)"
    }
}
