package import ProxyModel

/// How an attempt to get a response ended.
package enum AttemptOutcome: Equatable, Sendable {
    /// No connection: refused, unreachable or timed out.
    case connectFailure
    /// The connection ended before the response's head.
    case reset
    /// An HTTP/2 upstream refused the stream.
    case refusedStream
    /// A limit of the cluster left no room for it; never tried again.
    case overflow
    case perTryTimeout
    /// `grpcStatus`: of a response that is its head alone.
    case response(status: Int, grpcStatus: Int? = nil)
}

/// What follows an attempt.
package enum RetryDecision: Equatable, Sendable {
    case retry
    /// The policy does not cover the outcome, or there is none.
    case doNotRetry
    /// The policy covers the outcome, but its retries are used up.
    case limitExceeded
    /// It would be, but too many of the cluster's requests are.
    case overflow
}

extension RetryPolicy {
    /// Whether the policy lets the request be tried again after `outcome`, when `retries` were already made.
    package func decision(after outcome: AttemptOutcome, retries: Int) -> RetryDecision {
        guard numRetries > 0, outcome != .overflow, covers(outcome) else { return .doNotRetry }
        return retries < numRetries ? .retry : .limitExceeded
    }

    private func covers(_ outcome: AttemptOutcome) -> Bool {
        retryOn.contains { condition in
            switch (condition, outcome) {
            case ("connect-failure", .connectFailure), ("reset-before-request", .connectFailure): true
            case ("refused-stream", .refusedStream): true
            case ("reset", .connectFailure), ("reset", .reset), ("reset", .refusedStream), ("reset", .perTryTimeout):
                true
            case ("5xx", .response(let status, _)): (500..<600).contains(status)
            case ("5xx", _): true
            case ("gateway-error", .response(let status, _)): (502...504).contains(status)
            case ("gateway-error", _): true
            case ("retriable-4xx", .response(let status, _)): status == 409
            case ("retriable-status-codes", .response(let status, _)): retriableStatusCodes.contains(status)
            // Istio also writes codes straight into retryOn.
            case (let condition, .response(let status, let grpcStatus)):
                Int(condition) == status || grpcStatus != nil && Self.grpcConditions[condition] == grpcStatus
            default: false
            }
        }
    }

    /// The codes of gRPC that a condition stands for.
    private static let grpcConditions = [
        "cancelled": 1, "deadline-exceeded": 4, "resource-exhausted": 8, "internal": 13, "unavailable": 14,
    ]
}
