import NIOSSL
import ProxyModel

/// What is known of a connection's TLS: filled in while it is made. Confined to the worker's loop.
final class TLSSession: @unchecked Sendable {
    let localURISAN: String?
    var peer: PeerCertificate?
    /// Why the peer's certificate was not accepted.
    var certificateFailure: CertificateFailure?
    /// `TLSv1.2`, `TLSv1.3`; known from the server's first flight on.
    var version: String?
    var applicationProtocol: String?
    var failureReason: String?

    init(localURISAN: String?) { self.localURISAN = localURISAN }

    /// Adds what Envoy logs of a downstream connection's TLS.
    func describe(_ record: inout AccessLogRecord) {
        record.downstreamTLSVersion = version
        record.downstreamPeerURISAN = peer.flatMap(\.joinedURIs)
        record.downstreamPeerSubject = peer.flatMap { $0.subject.isEmpty ? nil : $0.subject }
        record.downstreamLocalURISAN = peer == nil ? nil : localURISAN
        record.downstreamTransportFailureReason = failureReason ?? record.downstreamTransportFailureReason
    }

    /// Adds what Envoy logs of an upstream connection's TLS.
    func describeUpstream(_ record: inout AccessLogRecord) {
        record.upstreamTLSVersion = version
        record.upstreamPeerURISAN = peer.flatMap(\.joinedURIs)
    }
}

extension PeerCertificate {
    /// The URIs as the access log prints them; nil without any.
    var joinedURIs: String? { uris.isEmpty ? nil : uris.joined(separator: ",") }
}

extension TLSVersion {
    /// As Envoy names it in logs and statistics.
    var envoyName: String {
        switch self {
        case .tlsv1: "TLSv1"
        case .tlsv11: "TLSv1.1"
        case .tlsv12: "TLSv1.2"
        case .tlsv13: "TLSv1.3"
        }
    }
}
