/// A part of an access-log format: text, or one of Envoy's command operators.
package enum AccessLogPiece: Sendable, Equatable {
    case literal(String)
    /// `%NAME%`, `%NAME(ARGUMENT)%` or `%NAME(ARGUMENT):LENGTH%`.
    case command(name: String, argument: String?, maxLength: Int?)

    /// The parts of `format`. `%%` is a percent sign; one that begins no operator stands for itself.
    package static func pieces(of format: String) -> [AccessLogPiece] {
        var result: [AccessLogPiece] = []
        var literal = ""
        var rest = format[...]
        while let character = rest.popFirst() {
            guard character == "%" else {
                literal.append(character)
                continue
            }
            if rest.first == "%" {
                rest.removeFirst()
                literal.append("%")
            } else if let command = command(at: &rest) {
                if !literal.isEmpty { result.append(.literal(literal)) }
                literal = ""
                result.append(command)
            } else {
                literal.append("%")
            }
        }
        if !literal.isEmpty { result.append(.literal(literal)) }
        return result
    }

    /// What the lab has no value for, so that it always prints as absent: `%HOSTNAME%`, `%REQ(X-TEAM)%`.
    package static func unknownOperators(in format: String) -> [String] {
        pieces(of: format).compactMap { piece in
            guard case .command(let name, let argument, _) = piece else { return nil }
            let text = "%\(name)\(argument.map { "(\($0))" } ?? "")%"
            switch name {
            case "REQ":
                let headers = (argument ?? "").uppercased().split(separator: "?").map(String.init)
                return headers.contains(where: recordedHeaders.contains) ? nil : text
            case "RESP": return argument?.uppercased() == "X-ENVOY-UPSTREAM-SERVICE-TIME" ? nil : text
            default: return operators.contains(name) ? nil : text
            }
        }
    }

    private static let recordedHeaders: Set<String> = [
        ":METHOD", ":PATH", ":AUTHORITY", "HOST", "X-FORWARDED-FOR", "USER-AGENT", "X-REQUEST-ID",
    ]

    private static let operators: Set<String> = [
        "RESPONSE_CODE", "BYTES_RECEIVED", "BYTES_SENT", "DURATION", "STREAM_ID", "CONNECTION_ID", "START_TIME",
        "PROTOCOL", "RESPONSE_FLAGS", "RESPONSE_CODE_DETAILS", "CONNECTION_TERMINATION_DETAILS",
        "UPSTREAM_TRANSPORT_FAILURE_REASON", "UPSTREAM_HOST", "UPSTREAM_CLUSTER", "UPSTREAM_CLUSTER_RAW",
        "UPSTREAM_LOCAL_ADDRESS", "DOWNSTREAM_LOCAL_ADDRESS", "DOWNSTREAM_REMOTE_ADDRESS",
        "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "REQUESTED_SERVER_NAME",
        "ROUTE_NAME", "FILTER_CHAIN_NAME", "DOWNSTREAM_TLS_VERSION", "DOWNSTREAM_PEER_URI_SAN",
        "DOWNSTREAM_PEER_SUBJECT", "DOWNSTREAM_LOCAL_URI_SAN", "DOWNSTREAM_TRANSPORT_FAILURE_REASON",
        "UPSTREAM_TLS_VERSION", "UPSTREAM_PEER_URI_SAN",
    ]

    /// Takes `NAME(ARGUMENT):LENGTH%` off `text`; an argument may hold percent signs, as times do.
    private static func command(at text: inout Substring) -> AccessLogPiece? {
        var rest = text
        let name = rest.prefix { $0.isASCII && ($0.isUppercase || $0.isNumber || $0 == "_") }
        rest = rest[name.endIndex...]
        var argument: String?
        if rest.first == "(", let close = rest.firstIndex(of: ")") {
            argument = String(rest[rest.index(after: rest.startIndex)..<close])
            rest = rest[rest.index(after: close)...]
        }
        var maxLength: Int?
        if rest.first == ":" {
            let digits = rest.dropFirst().prefix(while: \.isNumber)
            maxLength = Int(digits)
            rest = rest[digits.endIndex...]
        }
        guard !name.isEmpty, rest.first == "%" else { return nil }
        text = rest.dropFirst()
        return .command(name: String(name), argument: argument, maxLength: maxLength)
    }
}
