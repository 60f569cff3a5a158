extension VirtualService.Redirect {
    private static let fields: FieldNames = "uri authority port derivePort scheme redirectCode"
    /// Those that Envoy can answer with.
    private static let codes = [301, 302, 303, 307, 308]

    init?(reading field: FieldReader) {
        guard field.check(Self.fields) else { return nil }
        self.init(uri: field["uri"]?.string, authority: field["authority"]?.string, scheme: field["scheme"]?.string)
        if ["uri", "authority", "port", "derivePort", "scheme"].allSatisfy({ field[$0] == nil }) {
            field.error("a redirect needs uri, authority, scheme or port")
        }
        if let given = field["redirectCode"], let value = given.integer(0...599), value != 0 {
            if !Self.codes.contains(value) {
                given.error(
                    "\(value) is no code of a redirect",
                    remedy: "use \(Self.codes.map(String.init).joined(separator: ", "))")
            }
            code = value
        }
        if let scheme, !["http", "https"].contains(scheme) {
            field["scheme"]?.error("\"\(scheme)\" is no scheme to redirect to", remedy: "use http or https")
        }
        if let number = field["port"] {
            field["derivePort"]?.error("give only one of port and derivePort")
            port = number.port.map { .number($0) }
        } else if let derived = field["derivePort"] {
            switch derived.choice(of: ["FROM_PROTOCOL_DEFAULT", "FROM_REQUEST_PORT"]) {
            case "FROM_PROTOCOL_DEFAULT": port = .fromProtocolDefault
            case "FROM_REQUEST_PORT": port = .fromRequestPort
            default: break
            }
        }
    }
}

extension VirtualService.DirectResponse {
    private static let sizeLimit = 1 << 20

    init?(reading field: FieldReader) {
        guard field.check("status body"), let status = field.required("status")?.integer(200...599) else {
            return nil
        }
        self.init(status: status)
        guard let given = field["body"], given.check("string bytes") else { return }
        if let text = given["string"] {
            given["bytes"]?.error("give only one of string and bytes")
            body = Array((text.string ?? "").utf8)
        } else if let bytes = given["bytes"] {
            body = bytes.base64 ?? []
        }
        if !body.isEmpty, String(validating: body, as: UTF8.self) == nil {
            given.refuse("a body that is not text in UTF-8 is not supported")
        }
        if body.count > Self.sizeLimit { given.error("the body has \(body.count) bytes; at most 1 MiB is allowed") }
    }
}

extension VirtualService.Rewrite {
    init?(reading field: FieldReader) {
        guard field.check("uri authority uriRegexRewrite") else { return nil }
        self.init(uri: field["uri"]?.string, authority: field["authority"]?.string)
        if let regex = field["uriRegexRewrite"], regex.check("match rewrite") {
            if uri != nil { regex.error("give only one of uri and uriRegexRewrite") }
            let match = regex.required("match")?.regularExpression
            if let match, let rewrite = regex.required("rewrite")?.string {
                uriRegexRewrite = Regex(match: match, rewrite: rewrite)
            }
        }
        if ["uri", "authority", "uriRegexRewrite"].allSatisfy({ field[$0] == nil }) {
            field.error("a rewrite needs uri, uriRegexRewrite or authority")
        }
    }
}

extension VirtualService.Fault {
    init?(reading field: FieldReader) {
        guard field.check("delay abort") else { return nil }
        self.init(
            delay: field["delay"].flatMap { Delay(reading: $0) }, abort: field["abort"].flatMap { Abort(reading: $0) })
        if field["delay"] == nil, field["abort"] == nil { field.error("a fault needs delay or abort") }
    }
}

extension VirtualService.Fault.Delay {
    init?(reading field: FieldReader) {
        guard field.check("percent percentage fixedDelay exponentialDelay") else { return nil }
        if let exponential = field["exponentialDelay"] {
            exponential.refuse("exponentialDelay is not supported: Istio ignores it")
            return nil
        }
        let percentage = field.faultPercentage
        guard let delay = field.required("fixedDelay")?.timeoutMs else { return nil }
        self.init(fixedDelayMs: delay, percentage: percentage)
    }
}

extension VirtualService.Fault.Abort {
    init?(reading field: FieldReader) {
        guard field.check("percent percentage httpStatus grpcStatus http2Error") else { return nil }
        if let error = field["http2Error"] { error.refuse("http2Error is not supported: Istio ignores it") }
        let percentage = field.faultPercentage
        if let status = field["httpStatus"] {
            field["grpcStatus"]?.error("give only one of httpStatus and grpcStatus")
            guard let code = status.integer(200...599) else { return nil }
            self.init(status: .http(code), percentage: percentage)
        } else if let status = field["grpcStatus"] {
            guard let name = status.choice(of: Self.grpcCodes), let code = Self.grpcCodes.firstIndex(of: name) else {
                return nil
            }
            self.init(status: .grpc(code), percentage: percentage)
        } else {
            field.error("an abort needs httpStatus or grpcStatus")
            return nil
        }
    }

    /// By number.
    private static let grpcCodes = [
        "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
        "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
        "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
    ]
}

extension FieldReader {
    /// `percentage`, or the older `percent`; everything where neither is given.
    fileprivate var faultPercentage: Double {
        if let field = self["percentage"] {
            self["percent"]?.error("give only one of percent and percentage")
            return field.percentage ?? 100
        }
        return self["percent"]?.integer(0...100).map(Double.init) ?? 100
    }
}

extension VirtualService.HeaderOperations {
    init?(reading field: FieldReader) {
        guard field.check("request response") else { return nil }
        self.init(
            request: field["request"].flatMap { Operations(reading: $0, isRequest: true) } ?? Operations(),
            response: field["response"].flatMap { Operations(reading: $0, isRequest: false) } ?? Operations())
    }
}

extension VirtualService.HeaderOperations.Operations {
    init?(reading field: FieldReader, isRequest: Bool) {
        guard field.check("set add remove") else { return nil }
        self.init(set: field["set"]?.stringMap ?? [:], add: field["add"]?.stringMap ?? [:])
        for name in ["set", "add"] {
            for entry in field[name]?.entries ?? [] {
                Self.check(entry.key, entry.field, mayBeAuthority: isRequest && name == "set")
            }
        }
        for element in field["remove"]?.list ?? [] {
            guard let name = element.string else { continue }
            Self.check(name, element, mayBeAuthority: false)
            remove.append(name)
        }
    }

    private static func check(_ name: String, _ field: FieldReader, mayBeAuthority: Bool) {
        let isAuthority = [":authority", "host"].contains(name.lowercased())
        if isAuthority {
            if !mayBeAuthority {
                field.error("\(name) can only be set in requests", remedy: "use headers.request.set")
            }
        } else if name.isEmpty || !name.utf8.allSatisfy(isTokenByte) {
            field.error("\"\(name)\" is no header name")
        }
    }

    /// RFC 9110, 5.6.2.
    private static func isTokenByte(_ byte: UInt8) -> Bool {
        (48...57).contains(byte) || (65...90).contains(byte) || (97...122).contains(byte)
            || "!#$%&'*+-.^_`|~".utf8.contains(byte)
    }
}
