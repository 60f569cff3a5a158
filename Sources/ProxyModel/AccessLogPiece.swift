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

    /// What no Envoy knows: it refuses a format that has one.
    package static func unknownOperators(in format: String) -> [String] {
        commands(in: format) { name, _ in !AccessLogOperators.all.contains(name) }
    }

    /// What Envoy has a value for and the bundled proxy has none, so that it always prints as absent.
    package static func operatorsWithoutValue(in format: String) -> [String] {
        commands(in: format) { name, argument in
            guard AccessLogOperators.all.contains(name) else { return false }
            switch name {
            case "PATH": return !["", "WQ", "NQ", "WQ:ORIG", "NQ:ORIG"].contains(argument ?? "")
            case "QUERY_PARAMS": return !["", "RAW", "ORIG"].contains(argument ?? "")
            default: return !operators.contains(name)
            }
        }
    }

    private static func commands(in format: String, where isMeant: (String, String?) -> Bool) -> [String] {
        pieces(of: format).compactMap { piece in
            guard case .command(let name, let argument, _) = piece, isMeant(name, argument) else { return nil }
            return "%\(name)\(argument.map { "(\($0))" } ?? "")%"
        }
    }

    /// The header fields that `REQ(…)` asks for, in lower case, but for those that every record has.
    package static func requestHeaders(of argument: String?) -> [String]? {
        let names = (argument ?? "").lowercased().split(separator: "?").map(String.init)
        return recordedHeaders.contains(names) ? nil : names
    }

    private static let recordedHeaders: Set<[String]> = [
        [":method"], [":authority"], ["host"], ["x-envoy-original-path", ":path"], ["x-forwarded-for"],
        ["user-agent"], ["x-request-id"],
    ]

    /// Those with a value, and those that have none in a lab, on either data plane: no filter sets such states.
    private static let operators: Set<String> = [
        "ACCESS_LOG_TYPE", "BYTES_RECEIVED", "BYTES_SENT", "CONNECTION_ID", "CONNECTION_TERMINATION_DETAILS",
        "CUSTOM_FLAGS", "DOWNSTREAM_DIRECT_REMOTE_ADDRESS", "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_DIRECT_REMOTE_PORT", "DOWNSTREAM_LOCAL_ADDRESS", "DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT",
        "DOWNSTREAM_LOCAL_PORT", "DOWNSTREAM_LOCAL_URI_SAN", "DOWNSTREAM_PEER_SUBJECT", "DOWNSTREAM_PEER_URI_SAN",
        "DOWNSTREAM_REMOTE_ADDRESS", "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "DOWNSTREAM_REMOTE_PORT",
        "DOWNSTREAM_TLS_VERSION", "DOWNSTREAM_TRANSPORT_FAILURE_REASON", "DURATION", "DYNAMIC_METADATA", "EMIT_TIME",
        "FILTER_CHAIN_NAME", "FILTER_STATE", "HOSTNAME", "METADATA", "PATH", "PROTOCOL", "QUERY_PARAM",
        "QUERY_PARAMS", "REQ", "REQUESTED_SERVER_NAME", "REQUEST_DURATION", "RESP", "RESPONSE_CODE",
        "RESPONSE_CODE_DETAILS", "RESPONSE_DURATION", "RESPONSE_FLAGS", "RESPONSE_FLAGS_LONG",
        "RESPONSE_TX_DURATION", "ROUNDTRIP_DURATION", "ROUTE_NAME", "SPAN_ID", "START_TIME", "STREAM_ID", "TRACE_ID",
        "TRAILER", "UPSTREAM_CLUSTER", "UPSTREAM_CLUSTER_RAW", "UPSTREAM_FILTER_STATE", "UPSTREAM_HOST",
        "UPSTREAM_LOCAL_ADDRESS", "UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT", "UPSTREAM_LOCAL_PORT",
        "UPSTREAM_PEER_URI_SAN", "UPSTREAM_PROTOCOL", "UPSTREAM_REMOTE_ADDRESS",
        "UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT", "UPSTREAM_REMOTE_PORT", "UPSTREAM_REQUEST_ATTEMPT_COUNT",
        "UPSTREAM_TLS_VERSION", "UPSTREAM_TRANSPORT_FAILURE_REASON", "VIRTUAL_CLUSTER_NAME",
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
