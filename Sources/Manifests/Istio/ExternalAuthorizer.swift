/// One of `meshConfig.extensionProviders` that AuthorizationPolicies with action CUSTOM may name.
package struct ExternalAuthorizer: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        /// `envoyExtAuthzHttp`.
        case http
        /// `envoyExtAuthzGrpc`.
        case grpc
    }

    package var name: String
    package var kind: Kind
    /// `[namespace/]hostname`.
    package var service: Located<String>
    package var port: UInt16
    package var timeoutMs: Int?
    /// Stands before the request's own path.
    package var pathPrefix: String
    /// Lets requests pass when the authorizer can't be asked.
    package var failOpen: Bool
    /// nil: 403.
    package var statusOnError: Int?
    /// Exact, `prefix*` or `*suffix`.
    package var includeRequestHeadersInCheck: [String]
    package var includeAdditionalHeadersInCheck: [String: String]
    package var headersToUpstreamOnAllow: [String]
    package var headersToDownstreamOnDeny: [String]
    package var headersToDownstreamOnAllow: [String]
    package var location: SourceLocation
}

extension ExternalAuthorizer {
    private static let httpFields: FieldNames = """
        service port timeout pathPrefix failOpen clearRouteCache statusOnError includeHeadersInCheck
        includeRequestHeadersInCheck includeAdditionalHeadersInCheck includeRequestBodyInCheck headersToUpstreamOnAllow
        headersToDownstreamOnDeny headersToDownstreamOnAllow
        """

    /// Reads an element of `extensionProviders`; nil for one of another kind.
    init?(reading field: FieldReader) {
        guard let name = field["name"]?.string else { return nil }
        if let grpc = field["envoyExtAuthzGrpc"] {
            guard let service = grpc.required("service")?.locatedString, let port = grpc.required("port")?.providerPort
            else {
                return nil
            }
            self.init(name, .grpc, service, port, at: field.location)
            return
        }
        guard let http = field["envoyExtAuthzHttp"], http.check(Self.httpFields),
            let service = http.required("service")?.locatedString, let port = http.required("port")?.providerPort
        else { return nil }
        self.init(name, .http, service, port, at: field.location)
        timeoutMs = http["timeout"]?.milliseconds
        failOpen = http["failOpen"]?.boolean ?? false
        if let prefix = http["pathPrefix"], let text = prefix.string {
            if !text.isEmpty, !text.hasPrefix("/") { prefix.error("a path prefix begins with /") }
            pathPrefix = text
        }
        if let status = http["statusOnError"], let text = status.text {
            statusOnError = Int(text).flatMap { (100...599).contains($0) ? $0 : nil }
            if statusOnError == nil { status.error("\"\(text)\" is no HTTP status", remedy: "write \"403\"") }
        }
        includeRequestHeadersInCheck =
            (http["includeRequestHeadersInCheck"]?.strings ?? []) + (http["includeHeadersInCheck"]?.strings ?? [])
        includeAdditionalHeadersInCheck = http["includeAdditionalHeadersInCheck"]?.stringMap ?? [:]
        headersToUpstreamOnAllow = http["headersToUpstreamOnAllow"]?.strings ?? []
        headersToDownstreamOnDeny = http["headersToDownstreamOnDeny"]?.strings ?? []
        headersToDownstreamOnAllow = http["headersToDownstreamOnAllow"]?.strings ?? []
        http.refuse(fields: "includeRequestBodyInCheck clearRouteCache")
    }

    private init(
        _ name: String, _ kind: Kind, _ service: Located<String>, _ port: UInt16, at location: SourceLocation
    ) {
        self.init(
            name: name, kind: kind, service: service, port: port, timeoutMs: nil, pathPrefix: "", failOpen: false,
            statusOnError: nil, includeRequestHeadersInCheck: [], includeAdditionalHeadersInCheck: [:],
            headersToUpstreamOnAllow: [], headersToDownstreamOnDeny: [], headersToDownstreamOnAllow: [],
            location: location)
    }
}

extension FieldReader {
    /// A port that may stand in quotes, as Istio's own examples have it.
    fileprivate var providerPort: UInt16? {
        guard node.scalarType == .string, let text = node.text else { return port }
        guard let number = UInt16(text), number > 0 else {
            error("\"\(text)\" is not a port number")
            return nil
        }
        return number
    }
}
