package import Evidence
package import NetworkAddresses

/// The first packet of a connection that a pod's proxy made and does not tell of, and whose it is among the connections
/// that it may have been made for.
package struct PacketOwner: Sendable {
    let tuple: FiveTuple
    /// `NAMESPACE/NAME`.
    let pod: String
    let generation: Int
    let timeMs: Double

    package init(tuple: FiveTuple, pod: String, generation: Int, timeMs: Double) {
        self.tuple = tuple
        self.pod = pod
        self.generation = generation
        self.timeMs = timeMs
    }

    /// The one connection that the packet can be of; nil where there is none, or more than one.
    ///
    /// - Parameter leads: true when a packet for the first may have become one for the second on its way.
    package func connection(
        among proxied: [ProxiedHop], leads: (_ from: IPEndpoint, _ to: IPEndpoint) -> Bool
    ) -> ProxyConnection? {
        func owners(areOrdered: Bool) -> Set<ProxyConnection> {
            Set(proxied.filter { mayBe(of: $0, areOrdered, leads) }.map(\.connection))
        }
        let later = owners(areOrdered: true)
        // What fails at once may be told before the kernel's word of its packet is heard.
        let owners = later.isEmpty ? owners(areOrdered: false) : later
        return owners.count == 1 ? owners.first : nil
    }

    /// - Parameter isOrdered: whether the connection's records must be later than the packet.
    private func mayBe(
        of proxied: ProxiedHop, _ isOrdered: Bool, _ leads: (IPEndpoint, IPEndpoint) -> Bool
    ) -> Bool {
        let connection = proxied.connection
        guard connection.pod == pod, connection.generation == generation else { return false }
        return proxied.records.allSatisfy { record in
            // It was over before, or says itself that it went elsewhere; requests may have tried one host after another.
            guard record.timeMs >= timeMs || !isOrdered else { return false }
            guard !record.isHTTP, let host = record.fields["upstream_host"].flatMap({ IPEndpoint($0) }) else {
                return true
            }
            return leads(host, tuple.destination)
        }
    }
}
