package import NetworkAddresses
package import ProxyModel

/// Finds the listener of a connection by its original destination: exact address, wildcard, else the capturing one.
package struct ListenerTable: Sendable {
    private let byAddress: [IPEndpoint: Int]
    private let byName: [String: Int]
    package let listeners: [Listener]

    package init(_ listeners: [Listener]) {
        self.listeners = listeners
        var table: [IPEndpoint: Int] = [:]
        for (index, listener) in listeners.enumerated() {
            // Envoy rejects a second listener on an address, so the first one keeps it.
            for address in listener.addresses where table[address] == nil { table[address] = index }
        }
        byAddress = table
        byName = Dictionary(listeners.enumerated().map { ($1.name, $0) }) { first, _ in first }
    }

    /// The listener called `name`.
    package func named(_ name: String) -> Listener? { byName[name].map { listeners[$0] } }

    /// The listener that handles a connection which `capturing` accepted.
    package func listener(for destination: IPEndpoint, capturedBy capturing: Listener) -> Listener {
        guard capturing.useOriginalDestination else { return capturing }
        let wildcard: IPAddress = destination.address.family == .ipv4 ? .anyIPv4 : .anyIPv6
        let index = byAddress[destination] ?? byAddress[IPEndpoint(wildcard, destination.port)]
        return index.map { listeners[$0] } ?? capturing
    }
}
