extension VirtualService {
    package struct HTTPMatch: Sendable, Equatable {
        package var name: String?
        package var uri: StringMatch?
        package var method: StringMatch?
        package var scheme: StringMatch?
        package var authority: StringMatch?
        package var headers: [String: StringMatch] = [:]
        package var withoutHeaders: [String: StringMatch] = [:]
        package var queryParams: [String: StringMatch] = [:]
        package var port: UInt16?
        package var sourceLabels: [String: String] = [:]
        package var sourceNamespace: String?
        package var gateways: [String] = []
        package var ignoreUriCase = false

        package init() {}
    }

    /// `HTTPRedirect`: the answer that sends the client elsewhere.
    package struct Redirect: Sendable, Equatable {
        package enum Port: Sendable, Equatable {
            case number(UInt16)
            /// `derivePort: FROM_PROTOCOL_DEFAULT`: 80 or 443, left out of the URL.
            case fromProtocolDefault
            /// `derivePort: FROM_REQUEST_PORT`.
            case fromRequestPort
        }

        package var code: Int
        package var uri: String?
        package var authority: String?
        package var port: Port?
        package var scheme: String?

        package init(
            code: Int = 301, uri: String? = nil, authority: String? = nil, port: Port? = nil, scheme: String? = nil
        ) {
            self.code = code
            self.uri = uri
            self.authority = authority
            self.port = port
            self.scheme = scheme
        }
    }

    /// `HTTPDirectResponse`: the proxy's own answer.
    package struct DirectResponse: Sendable, Equatable {
        package var status: Int
        package var body: [UInt8]

        package init(status: Int, body: [UInt8] = []) {
            self.status = status
            self.body = body
        }
    }

    /// `HTTPRewrite`.
    package struct Rewrite: Sendable, Equatable {
        package struct Regex: Sendable, Equatable {
            package var match: String
            /// With `\1` for groups.
            package var rewrite: String

            package init(match: String, rewrite: String) {
                self.match = match
                self.rewrite = rewrite
            }
        }

        /// Replaces what the route's match covered: the prefix, or the whole path.
        package var uri: String?
        package var authority: String?
        package var uriRegexRewrite: Regex?

        package init(uri: String? = nil, authority: String? = nil, uriRegexRewrite: Regex? = nil) {
            self.uri = uri
            self.authority = authority
            self.uriRegexRewrite = uriRegexRewrite
        }
    }

    /// `HTTPFaultInjection`.
    package struct Fault: Sendable, Equatable {
        package struct Delay: Sendable, Equatable {
            package var fixedDelayMs: Int
            /// Of 100; 100 where the manifest says nothing.
            package var percentage: Double

            package init(fixedDelayMs: Int, percentage: Double = 100) {
                self.fixedDelayMs = fixedDelayMs
                self.percentage = percentage
            }
        }

        package struct Abort: Sendable, Equatable {
            package enum Status: Sendable, Equatable {
                case http(Int)
                /// The code's number: UNAVAILABLE is 14.
                case grpc(Int)
            }

            package var status: Status
            /// Of 100; 100 where the manifest says nothing.
            package var percentage: Double

            package init(status: Status, percentage: Double = 100) {
                self.status = status
                self.percentage = percentage
            }
        }

        package var delay: Delay?
        package var abort: Abort?

        package init(delay: Delay? = nil, abort: Abort? = nil) {
            self.delay = delay
            self.abort = abort
        }
    }

    /// `CorsPolicy`: which pages of other origins may ask.
    package struct CorsPolicy: Sendable, Equatable {
        package var allowOrigins: [StringMatch]
        package var allowMethods: [String]
        package var allowHeaders: [String]
        package var exposeHeaders: [String]
        package var maxAgeMs: Int?
        package var allowCredentials: Bool
        /// `unmatchedPreflights`: whether those of other origins go on to the destination.
        package var forwardsUnmatchedPreflights: Bool

        package init(
            allowOrigins: [StringMatch] = [], allowMethods: [String] = [], allowHeaders: [String] = [],
            exposeHeaders: [String] = [], maxAgeMs: Int? = nil, allowCredentials: Bool = false,
            forwardsUnmatchedPreflights: Bool = true
        ) {
            self.allowOrigins = allowOrigins
            self.allowMethods = allowMethods
            self.allowHeaders = allowHeaders
            self.exposeHeaders = exposeHeaders
            self.maxAgeMs = maxAgeMs
            self.allowCredentials = allowCredentials
            self.forwardsUnmatchedPreflights = forwardsUnmatchedPreflights
        }
    }

    /// A destination that gets copies; its answers are ignored.
    package struct Mirror: Sendable, Equatable {
        package var destination: Destination
        /// Of 100.
        package var percentage: Double

        package init(destination: Destination, percentage: Double = 100) {
            self.destination = destination
            self.percentage = percentage
        }
    }

    /// `Headers`: what is changed in requests and responses.
    package struct HeaderOperations: Sendable, Equatable {
        package struct Operations: Sendable, Equatable {
            /// `Host` and `:authority` rewrite the authority.
            package var set: [String: String]
            package var add: [String: String]
            package var remove: [String]

            package init(set: [String: String] = [:], add: [String: String] = [:], remove: [String] = []) {
                self.set = set
                self.add = add
                self.remove = remove
            }
        }

        package var request: Operations
        package var response: Operations

        package init(request: Operations = Operations(), response: Operations = Operations()) {
            self.request = request
            self.response = response
        }
    }

    package struct Retries: Sendable, Equatable {
        package var attempts: Int
        package var perTryTimeoutMs: Int?
        package var retryOn: [String]?
        package var retryRemoteLocalities: Bool?
        package var retryIgnorePreviousHosts: Bool?
        /// The first pause; nil: 25 ms.
        package var backoffMs: Int?

        package init(
            attempts: Int, perTryTimeoutMs: Int? = nil, retryOn: [String]? = nil, retryRemoteLocalities: Bool? = nil,
            retryIgnorePreviousHosts: Bool? = nil, backoffMs: Int? = nil
        ) {
            self.attempts = attempts
            self.perTryTimeoutMs = perTryTimeoutMs
            self.retryOn = retryOn
            self.retryRemoteLocalities = retryRemoteLocalities
            self.retryIgnorePreviousHosts = retryIgnorePreviousHosts
            self.backoffMs = backoffMs
        }
    }

    /// `delegate`: another VirtualService's rules, in this one's place.
    package struct Delegate: Sendable, Equatable {
        package var name: String
        /// nil: the root's own.
        package var namespace: String?
        package var location: SourceLocation

        package init(name: String, namespace: String? = nil, location: SourceLocation) {
            self.name = name
            self.namespace = namespace
            self.location = location
        }
    }

    package struct HTTPRoute: Sendable, Equatable {
        package var name: String?
        /// Empty: matches everything.
        package var match: [HTTPMatch]
        /// Empty where `redirect` or `directResponse` answers, or `delegate` decides.
        package var route: [Destination]
        package var redirect: Redirect?
        package var directResponse: DirectResponse?
        package var delegate: Delegate?
        package var rewrite: Rewrite?
        package var timeoutMs: Int?
        package var retries: Retries?
        package var fault: Fault?
        package var mirrors: [Mirror]
        package var headers: HeaderOperations?
        package var corsPolicy: CorsPolicy?
        package var location: SourceLocation

        package init(
            name: String? = nil, match: [HTTPMatch] = [], route: [Destination] = [], redirect: Redirect? = nil,
            directResponse: DirectResponse? = nil, rewrite: Rewrite? = nil, timeoutMs: Int? = nil,
            retries: Retries? = nil, fault: Fault? = nil, mirrors: [Mirror] = [], headers: HeaderOperations? = nil,
            location: SourceLocation
        ) {
            self.name = name
            self.match = match
            self.route = route
            self.redirect = redirect
            self.directResponse = directResponse
            self.rewrite = rewrite
            self.timeoutMs = timeoutMs
            self.retries = retries
            self.fault = fault
            self.mirrors = mirrors
            self.headers = headers
            self.location = location
        }
    }
}
