internal import NIOConcurrencyHelpers
internal import NetworkAddresses

/// Hands out the ports that clients speak from, each as late as possible a second time.
///
/// Connection tracking remembers a connection for two minutes. A port that comes again meanwhile may be led where its
/// last owner was led, or be exchanged for another on the way to a proxy, and then nobody could say whose it was.
final class SourcePorts: Sendable {
    /// Below the kernel's own choice, from which proxies and programs take theirs.
    private static let range: Range<UInt16> = 20_000..<32_768

    private let next = NIOLockedValueBox<[IPAddress: UInt16]>([:])

    /// The next port for connections from `address`; it may be taken by a server.
    func take(for address: IPAddress) -> UInt16 {
        next.withLockedValue { next in
            // A node that puts its own address in the callers' place keeps their ports only where no two have the same.
            let port = next[address] ?? Self.range.lowerBound + UInt16(next.count * 997 % Self.range.count)
            next[address] = port + 1 < Self.range.upperBound ? port + 1 : Self.range.lowerBound
            return port
        }
    }
}
