import NIOCore
import NetworkAddresses
import ProxyModel

/// A name and port that a client asks for.
struct DynamicHostName: Hashable {
    let name: String
    let port: UInt16

    init(_ name: String, port: UInt16) {
        self.name = name.lowercased()
        self.port = port
    }

    /// The Host of a request, with `defaultPort` where it says none.
    init(authority: String, defaultPort: UInt16) {
        let name = VirtualHostTable.withoutPort(authority)
        let port = authority.utf8.count > name.utf8.count ? UInt16(authority.dropFirst(name.count + 1)) : nil
        self.init(name, port: port ?? defaultPort)
    }
}

/// The names that clients have asked a cluster for, with what they resolve to (Envoy: `DnsCache`). Confined to the
/// worker's loop.
final class DynamicHosts: @unchecked Sendable {
    /// Confined to the loop, as all of it is.
    private final class Entry: @unchecked Sendable {
        var host: UpstreamHost?
        /// Why the last answer gave no address.
        var failure: String?
        /// nil while it is being resolved.
        var expiry: NIODeadline?
        var waiting: [() -> Void] = []
    }

    /// Envoy: `max_hosts`.
    private static let limit = 1024

    private let resolver: any HostResolver
    private let loop: any EventLoop
    private let forgotten: (UpstreamHost) -> Void
    private var entries: [DynamicHostName: Entry] = [:]

    /// - Parameter forgotten: called with each host that is no longer of the cluster.
    init(resolver: any HostResolver, loop: any EventLoop, forgotten: @escaping (UpstreamHost) -> Void) {
        self.resolver = resolver
        self.loop = loop
        self.forgotten = forgotten
    }

    /// The address of a name that was resolved; nil when it has none.
    func host(_ name: DynamicHostName) -> UpstreamHost? { entries[name]?.host }

    /// Why the name has no address, in Envoy's words.
    func failure(_ name: DynamicHostName) -> String? { entries[name]?.failure }

    var hosts: [UpstreamHost] { entries.values.compactMap(\.host) }

    /// Calls `body` once the name is resolved, or can't be: at once while an earlier answer lives.
    func load(_ name: DynamicHostName, model: Cluster, then body: @escaping () -> Void) {
        if let entry = entries[name] {
            guard let expiry = entry.expiry else {
                entry.waiting.append(body)
                return
            }
            if expiry > .now() { return body() }
            entry.expiry = nil
            entry.waiting.append(body)
            return ask(name, entry, model)
        }
        if entries.count >= Self.limit {
            for (name, entry) in entries where entry.expiry != nil && entry.host?.isUnused != false {
                entries[name] = nil
                if let host = entry.host { forgotten(host) }
            }
        }
        let entry = Entry()
        entry.waiting.append(body)
        entries[name] = entry
        ask(name, entry, model)
    }

    /// Names that gave no address are asked for again.
    func forgetFailures() { entries = entries.filter { $0.value.expiry == nil || $0.value.host != nil } }

    func retire() {
        for host in hosts {
            forgotten(host)
            host.retire()
        }
        entries = [:]
    }

    private func ask(_ name: DynamicHostName, _ entry: Entry, _ model: Cluster) {
        resolver.resolve(name.name, families: model.dnsFamilies, on: loop).hop(to: loop).whenComplete { result in
            var time = TimeAmount.milliseconds(Int64(model.dnsRefreshMs))
            var addresses: [IPAddress] = []
            switch result {
            case .success(let resolution):
                addresses = resolution.addresses.filter { model.dnsFamilies.contains($0.family) }
                if let ttl = resolution.ttlSeconds { time = .seconds(Int64(max(ttl, 1))) }
                entry.failure = nil
            case .failure(let error): entry.failure = (error as? any HostResolutionFailure)?.details
            }
            self.answered(name, entry, addresses, until: .now() + time)
        }
    }

    private func answered(
        _ name: DynamicHostName, _ entry: Entry, _ addresses: [IPAddress], until expiry: NIODeadline
    ) {
        entry.expiry = expiry
        // An address that is still right keeps its connections.
        if let address = addresses.first, !addresses.contains(where: { $0 == entry.host?.endpoint.address }) {
            let host = UpstreamHost(IPEndpoint(address, name.port))
            // It is the name that is healthy or not.
            host.health = entry.host?.health ?? HostHealth()
            entry.host?.retire()
            entry.host = host
        }
        let waiting = entry.waiting
        entry.waiting = []
        for body in waiting { body() }
    }
}
