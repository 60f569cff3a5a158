/// What a proxy must keep of messages for its access logs, beside what every record has.
package struct AccessLogNeeds: Sendable, Equatable {
    /// Names in lower case.
    package private(set) var requestHeaders: Set<String> = []
    package private(set) var responseHeaders: Set<String> = []
    package private(set) var responseTrailers: Set<String> = []

    /// Of both directions' logs.
    package init(_ configuration: ProxyConfiguration) {
        for log in configuration.accessLogs(of: .outbound) + configuration.accessLogs(of: .inbound) {
            for piece in log.formats.flatMap(AccessLogPiece.pieces) {
                guard case .command(let name, let argument, _) = piece else { continue }
                let names = (argument ?? "").lowercased().split(separator: "?").map(String.init)
                switch name {
                case "REQ": requestHeaders.formUnion(AccessLogPiece.requestHeaders(of: argument) ?? [])
                case "RESP" where names != ["x-envoy-upstream-service-time"]: responseHeaders.formUnion(names)
                case "TRAILER": responseTrailers.formUnion(names)
                default: break
                }
            }
            guard let filter = log.filter.flatMap({ try? LogExpression($0) }) else { continue }
            requestHeaders.formUnion(filter.headers.request)
            responseHeaders.formUnion(filter.headers.response)
        }
    }
}
