import NIOCore
import NIOSSL

/// A TLS handshake that did not succeed, in Envoy's words.
struct TLSHandshakeFailure: Error, Equatable {
    /// What the access log prints: `TLS_error:|268435703:SSL_routines:OPENSSL_internal:WRONG_VERSION_NUMBER:TLS_error_end`;
    /// nil when the peer just left, or did nothing in time.
    let reason: String?
    /// The counter under `ssl.`; nil counts nothing.
    let counter: String?
    var isTimeout = false

    static let timeout = TLSHandshakeFailure(reason: nil, counter: nil, isTimeout: true)
    static let missingSecret = TLSHandshakeFailure(
        reason: "TLS_error:_Secret_is_not_supplied_by_SDS", counter: nil)

    /// The failure that `error` and, if it comes from our own check, `certificate` amount to.
    init(_ error: any Error, certificate: CertificateFailure?) {
        var stack = Self.stack(of: error)
        if let io = error as? IOError {
            // The library that BoringSSL gives system errors: 2.
            stack = ["\(2 << 24 | UInt32(bitPattern: io.errnoCode)):system library:OPENSSL_internal:" + Self.text(io)]
        }
        var counter = io(error) ? nil : stack.isEmpty ? nil : "connection_error"
        var remark = ""
        if let certificate {
            stack = ["268435581:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED"]
            remark = ":" + certificate.description
            counter = certificate.counter
        } else if stack.contains(where: { $0.hasSuffix("PEER_DID_NOT_RETURN_A_CERTIFICATE") }) {
            remark = ":peer did not provide required client certificate"
            counter = "fail_verify_no_cert"
        }
        reason =
            stack.isEmpty
            ? nil : "TLS_error:|\(stack.joined(separator: "|"))\(remark):TLS_error_end".replacingBlanks()
        self.counter = counter
    }

    private init(reason: String?, counter: String?, isTimeout: Bool = false) {
        self.reason = reason
        self.counter = counter
        self.isTimeout = isTimeout
    }

    private static func text(_ error: IOError) -> String { Sockets.reason(error) }

    /// `268435703:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER`, one for each error that BoringSSL put up.
    private static func stack(of error: any Error) -> [String] {
        let cause: BoringSSLError? =
            switch error {
            case NIOSSLError.handshakeFailed(let error): error
            case let error as BoringSSLError: error
            default: nil
            }
        guard case .sslError(let errors)? = cause else { return [] }
        // `Error: CODE error:HEX:LIBRARY:FUNCTION:REASON at FILE:LINE`; synthetic ones have no code.
        return errors.compactMap { error in
            let words = error.description.split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
            guard words.count == 3, let code = UInt32(words[1]) else { return nil }
            let text = words[2].firstRange(of: " at /").map { words[2][..<$0.lowerBound] } ?? words[2]
            return "\(code):" + text.split(separator: ":").dropFirst(2).joined(separator: ":")
        }
    }
}

private func io(_ error: any Error) -> Bool { error is IOError }
