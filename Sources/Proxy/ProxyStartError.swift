package import NetworkAddresses

/// A listener that could not be bound.
package struct ProxyStartError: Error, CustomStringConvertible, Equatable {
    /// The listener's name.
    package let listener: String
    package let address: IPEndpoint
    /// The system call that failed: `socket`, `bind`, `listen`.
    package let call: String
    package let errno: Int32
    /// The error's text, as `strerror` gives it.
    package let reason: String

    package var description: String {
        "listener \(listener): \(call) for \(address) failed: \(reason) (errno \(errno))"
    }
}
