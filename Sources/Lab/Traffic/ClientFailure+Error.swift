internal import Glibc
internal import NIOCore
internal import NIOHTTP1
internal import NIOSSL

extension ClientFailure {
    /// Why a connection attempt failed.
    static func connecting(_ error: any Error) -> ClientFailure {
        if case .connectTimeout? = error as? ChannelError { return ClientFailure(.connectTimeout) }
        guard let error = error as? IOError else { return ClientFailure(.connect, short(error)) }
        let text = String(cString: strerror(error.errnoCode))
        return switch error.errnoCode {
        case ECONNREFUSED: ClientFailure(.refused)
        // EACCES, EPERM: a rule of the own namespace, or an ICMP message that says "prohibited".
        case ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, ENETDOWN, EACCES, EPERM: ClientFailure(.unreachable, text)
        case ETIMEDOUT: ClientFailure(.connectTimeout)
        case ECONNRESET: ClientFailure(.reset, "while connecting")
        default: ClientFailure(.connect, text)
        }
    }

    /// Why an established connection broke; `isHandshaking` until TLS is up, `hasAnswer` once a byte was received.
    static func exchanging(_ error: any Error, isHandshaking: Bool, hasAnswer: Bool) -> ClientFailure {
        if error is HTTPParserError { return ClientFailure(.malformed, short(error)) }
        if let error = error as? IOError {
            let text = String(cString: strerror(error.errnoCode))
            return ClientFailure(isHandshaking ? .tls : .reset, text)
        }
        if isHandshaking { return ClientFailure(.tls, TLSFailureText.words(for: error)) }
        // TLS 1.3: a server that refuses the client says so after the client's handshake has completed.
        if error is NIOSSLError || error is BoringSSLError {
            return ClientFailure(hasAnswer ? .reset : .emptyReply, TLSFailureText.words(for: error))
        }
        return ClientFailure(.reset, short(error))
    }

    /// An error's text without the paths of the machine that built it.
    static func short(_ error: any Error) -> String {
        let text = error is HTTPParserError ? String(reflecting: error) : "\(error)"
        guard let cut = text.firstRange(of: " at /") else { return text }
        return String(text[..<cut.lowerBound])
    }
}
