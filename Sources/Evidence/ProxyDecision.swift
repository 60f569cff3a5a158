/// What a proxy's own record says that it decided.
package enum ProxyDecision: Sendable, Equatable {
    /// It passed the traffic on.
    case forwarded
    /// Policy: black hole, no route, RBAC.
    case denied(String)
    /// Not policy: no such cluster, no endpoint, a failed connect; or an answer of the proxy's own that a route asks
    /// for, in place of the destination's.
    case failed(String)

    package init(_ record: ProxyRecord) {
        if record.connection.role == "sni-proxy" {
            self = Self.ofSNIProxy(record)
            return
        }
        let flags = Set(record.responseFlags)
        let details = record.responseCodeDetails ?? ""
        let termination = record.fields["connection_termination_details"] ?? ""
        if record.upstreamCluster == "BlackHoleCluster" {
            self = .denied("BlackHoleCluster")
        } else if record.routeName == "block_all" {
            self = .denied("route block_all, 502")
        } else if flags.contains("NR") {
            self = .denied(details.isEmpty ? "no route (NR)" : "NR \(details)")
        } else if details.hasPrefix("rbac_access_denied") || termination.hasPrefix("rbac_access_denied") {
            self = .denied(details.isEmpty ? termination : details)
        } else if flags.contains("UAEX") {
            self = .denied(
                details == "ext_authz_error"
                    ? "the external authorizer can't be asked (UAEX ext_authz_error)"
                    : "the external authorizer refused it (UAEX \(details))")
        } else if details == "direct_response" {
            self = .failed("its route answers by itself, with \(record.responseCode)")
        } else if details == "cors_response" {
            self = .failed("the corsPolicy of its route answers, with \(record.responseCode)")
        } else if flags.contains("FI") {
            self = .failed("the fault of its route answers, with \(record.responseCode) (FI)")
        } else if flags.contains("NC") {
            self = .failed("cluster not found (NC)")
        } else if flags.contains("UH") {
            self = .failed("no healthy upstream (UH)")
        } else if flags.contains("DF") {
            self = .failed("the requested name has no address (DF)")
        } else if flags.contains("UF") {
            let why = record.fields["upstream_transport_failure_reason"].map { ": \($0)" } ?? ""
            self = .failed("upstream connect failed (UF)\(why)")
        } else if !flags.isDisjoint(with: ["UC", "UPE"]), details.hasPrefix("upstream_reset_before_response_started") {
            self = .failed("the upstream connection ended before an answer (\(flags.sorted().joined(separator: ",")))")
        } else if flags.contains("UO"), details != "via_upstream" {
            self = .failed("a limit of the destination left no room (UO)")
        } else if flags.contains("DPE") {
            self = .failed("the request was malformed (DPE)")
        } else {
            self = .forwarded
        }
    }

    /// By the status of nginx' stream session: 200, or why there was no upstream.
    private static func ofSNIProxy(_ record: ProxyRecord) -> ProxyDecision {
        let name = record.fields["requested_server_name"]
        switch record.responseCode {
        case 403: return .denied("\(name ?? "the name") leads back to the proxy itself")
        case 500 where name == nil: return .denied("it is no TLS handshake")
        case 500 where name == "": return .denied("the handshake names no server")
        case 500: return .failed("\(name ?? "the name") has no address")
        case 502:
            let why = record.fields["upstream_transport_failure_reason"].map { ": \($0)" } ?? ""
            return .failed("can't connect to \(name ?? "the server")\(why)")
        case 400: return .failed("the handshake is too long")
        default: return .forwarded
        }
    }
}
