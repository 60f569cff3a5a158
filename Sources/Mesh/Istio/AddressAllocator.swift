package import Manifests
import NetworkAddresses

/// A host of a ServiceEntry that has no address of its own.
package struct AllocatedHost: Hashable, Sendable {
    package var entry: ResourceID
    /// Lower case.
    package var host: String

    package init(entry: ResourceID, host: String) {
        self.entry = entry
        self.host = host
    }
}

/// Gives hosts of ServiceEntries without addresses one of each family, once, as Istio's controller does (outbound.md
/// §2, "Auto-allocated addresses"): one after the other, never the same again.
///
/// Resolution NONE would have to know whom the client meant, and a wildcard stands for no one host: both get none.
struct AddressAllocator: Sendable {
    private struct Owner: Hashable {
        var host: AllocatedHost
        /// An object that was deleted and applied again has lost its status, and the addresses with it.
        var incarnation: Int
    }

    static let optOutLabel = "networking.istio.io/enable-autoallocate-ip"
    /// 240.240.0.0/16 and 2001:2::/48.
    private static let bases = [
        IPAddress(240, 240, 0, 0), IPAddress(family: .ipv6, value: 0x2001_0002 << 96),
    ]
    /// The last place whose IPv4 address lies inside its block.
    private static let lastPlace = 0xffff

    private var places: [Owner: Int] = [:]
    private var nextPlace = 1

    /// The addresses of all hosts that have a right to some.
    mutating func addresses(for resources: ResourceSet) -> [AllocatedHost: [IPAddress]] {
        let entries = resources.resources(ServiceEntry.self)
        let taken = entries.flatMap { $0.addresses.map(\.value) }
        var kept: [Owner: Int] = [:]
        var result: [AllocatedHost: [IPAddress]] = [:]
        for entry in entries where entry.isAllocatedAddresses {
            for host in entry.hosts.map({ $0.value.lowercased() }) where !host.hasPrefix("*") {
                let owner = Owner(
                    host: AllocatedHost(entry: entry.id, host: host), incarnation: resources.incarnation(of: entry.id))
                guard let place = place(of: owner, avoiding: taken) else { continue }
                kept[owner] = place
                result[owner.host] = Self.addresses(at: place)
            }
        }
        places = kept
        return result
    }

    private static func addresses(at place: Int) -> [IPAddress] { bases.map { $0.advanced(by: place) } }

    /// The place that the host has, unless somebody declares one of its addresses, else the next free one.
    private mutating func place(of owner: Owner, avoiding taken: [IPPrefix]) -> Int? {
        func isFree(_ place: Int) -> Bool {
            !Self.addresses(at: place).contains { address in taken.contains { $0.isHost && $0.contains(address) } }
        }
        if let known = places[owner], isFree(known) { return known }
        while nextPlace <= Self.lastPlace {
            defer { nextPlace += 1 }
            if isFree(nextPlace) { return nextPlace }
        }
        return nil
    }
}

extension ServiceEntry {
    fileprivate var isAllocatedAddresses: Bool {
        addresses.isEmpty && ![.none, .dynamicDNS].contains(resolution)
            && metadata.labels[AddressAllocator.optOutLabel]?.lowercased() != "false"
    }
}
