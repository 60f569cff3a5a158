package import NetworkAddresses

/// One exchange that a client in the lab carries out, everything resolved but names.
package struct ClientRequest: Sendable {
    package enum Kind: Sendable, Equatable {
        /// HTTP/1.x in plain TCP.
        case http
        /// HTTP/1.1 inside TLS, the lab's CA trusted, the name verified.
        case https
        /// Bytes over TCP.
        case tcp
        /// Bytes inside TLS.
        case tls
        case udp
        /// An echo request.
        case icmp
        /// The first packet of an association.
        case sctp
        /// A question to a DNS server.
        case dns

        /// True where there is no connection to be made: what is sent first is all that is sent.
        var isDatagram: Bool { self == .udp || self == .icmp || self == .sctp }
    }

    package enum Target: Sendable, Equatable {
        /// Resolved by the client as its pod would: search domains, then both families.
        case name(String)
        case addresses([IPAddress])
    }

    package var kind: Kind
    package var target: Target
    package var port: UInt16
    /// HTTP: path and query. dns: the name asked for.
    package var path: String
    package var method: String
    package var headers: [(name: String, value: String)]
    /// HTTP: the request's body. tcp, tls, udp: what is sent; nil sends a line of our own, empty sends nothing and
    /// waits for the server to speak first.
    package var body: String?
    /// `1.0` or `1.1`.
    package var httpVersion: String
    /// What SNI says; nil: the target's name; empty: none.
    package var serverName: String?
    /// What Host says; nil: the target's name or address with a port that isn't the scheme's own.
    package var hostHeader: String?
    /// nil: both, as curl does.
    package var family: IPFamily?
    /// The client gives up after this long.
    package var timeoutMs: Int

    package init(
        kind: Kind, target: Target, port: UInt16, path: String = "/", method: String = "GET",
        headers: [(name: String, value: String)] = [], body: String? = nil, httpVersion: String = "1.1",
        serverName: String? = nil, hostHeader: String? = nil, family: IPFamily? = nil, timeoutMs: Int = 60_000
    ) {
        self.kind = kind
        self.target = target
        self.port = port
        self.path = path
        self.method = method
        self.headers = headers
        self.body = body
        self.httpVersion = httpVersion
        self.serverName = serverName
        self.hostHeader = hostHeader
        self.family = family
        self.timeoutMs = timeoutMs
    }
}

/// What a client reports while it works, in order. Called on the event loop that carries the exchange.
package enum ClientEvent: Sendable {
    /// A socket is bound and about to send its first packet: for DNS queries and for each connection attempt.
    case attempting(FiveTuple, purpose: Purpose)
    /// A name's lookup ended.
    case resolved(name: String, addresses: [IPAddress], failure: ResolutionFailure?)
    case connected(FiveTuple)

    package enum Purpose: Sendable, Equatable { case resolve, exchange }
}

/// Why a name gave no address.
package enum ResolutionFailure: String, Sendable, Error {
    case nameError = "NXDOMAIN"
    case noData = "NODATA"
    case serverFailure = "SERVFAIL"
    case refused = "REFUSED"
    case timeout
    case unreachable
}

/// What the client saw in the end: one witness among others.
package struct ClientResult: Sendable {
    /// Every tuple tried for the exchange itself, in order; the last is the one that `status` or `error` is about.
    package var attempts: [FiveTuple] = []
    /// HTTP status; for dns the answer's response code is in `error` when it isn't NOERROR.
    package var status: Int?
    package var httpVersion: String?
    package var headers: [(name: String, value: String)] = []
    /// At most the first 64 KiB.
    package var body: [UInt8] = []
    package var bytesReceived = 0
    /// SHA-256 in hexadecimal of all that was received; nil where `body` is all of it, and text.
    package var bodyDigest: String?
    /// DNS names in the peer's certificate, for https and tls.
    package var peerCertificateNames: [String] = []
    /// nil: the exchange was completed. One of `ClientFailure`'s words and detail otherwise.
    package var failure: ClientFailure?
    package var durationMs: Double = 0

    package init() {}
}

/// How an exchange broke, in the order in which it can.
package struct ClientFailure: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Stage: String, Sendable {
        /// The name gave no address.
        case resolution = "could not resolve host"
        case refused = "connection refused"
        case unreachable = "unreachable"
        case connectTimeout = "connection timed out"
        /// Any other error of connect or of the socket itself.
        case connect = "could not connect"
        case tls = "TLS handshake failed"
        /// Closed or reset before any byte of an answer.
        case emptyReply = "closed without an answer"
        case reset = "connection reset"
        case malformed = "malformed answer"
        case timeout = "no answer in time"
        /// Ended by the lab: evidence had already settled the matter.
        case cancelled = "ended early"

        /// Somebody may have taken the connection.
        var mayHaveArrived: Bool {
            switch self {
            case .resolution, .refused, .unreachable, .connectTimeout, .connect: false
            case .tls, .emptyReply, .reset, .malformed, .timeout, .cancelled: true
            }
        }
    }

    package var stage: Stage
    package var detail: String

    package init(_ stage: Stage, _ detail: String = "") {
        self.stage = stage
        self.detail = detail
    }

    package var description: String { detail.isEmpty ? stage.rawValue : "\(stage.rawValue): \(detail)" }
}
