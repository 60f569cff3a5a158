import ProxyModel

/// Chooses the same host for the same hash, as long as the hosts stay (Envoy: `RingHashLoadBalancer` and
/// `MaglevLoadBalancer`). Made anew when they change.
struct HashTable {
    /// What is hashed of a host.
    struct Host {
        /// Its address and port.
        var key: String
        var weight: Int
    }

    private enum Form {
        /// Sorted by hash.
        case ring([(hash: UInt64, host: Int)])
        case maglev([Int])
    }

    private static let defaultRingSize = 1024
    private static let largestRing = 8_388_608
    private static let defaultTableSize = 65_537

    private let form: Form

    /// nil without hosts, and where the cluster chooses otherwise.
    init?(_ hosts: [Host], cluster: Cluster) {
        guard !hosts.isEmpty, let policy = cluster.loadBalancing, policy.isConsistentHashing else { return nil }
        form =
            policy == .ringHash
            ? .ring(Self.ring(hosts, minimumSize: cluster.minimumRingSize ?? Self.defaultRingSize))
            : .maglev(Self.table(hosts, size: cluster.maglevTableSize ?? Self.defaultTableSize))
    }

    /// The number of the host for `hash`; later attempts may lead to others.
    func host(for hash: UInt64, attempt: Int) -> Int {
        switch form {
        case .ring(let ring):
            var low = 0
            var high = ring.count
            while low < high {
                let middle = (low + high) / 2
                if ring[middle].hash < hash { low = middle + 1 } else { high = middle }
            }
            // Behind the last comes the first.
            return ring[(low % ring.count + attempt) % ring.count].host
        case .maglev(let table):
            let varied = attempt > 0 ? hash ^ (~0 - UInt64(attempt) + 1) : hash
            return table[Int(varied % UInt64(table.count))]
        }
    }

    private static func ring(_ hosts: [Host], minimumSize: Int) -> [(hash: UInt64, host: Int)] {
        let total = Double(hosts.reduce(0) { $0 + $1.weight })
        let smallest = (hosts.map { Double($0.weight) / total }.min() ?? 1)
        // The host with the least weight gets whole hashes.
        let scale = min((smallest * Double(minimumSize)).rounded(.up) / smallest, Double(largestRing))
        var ring: [(hash: UInt64, host: Int)] = []
        ring.reserveCapacity(Int(scale.rounded(.up)))
        var wanted = 0.0
        for (index, host) in hosts.enumerated() {
            wanted += scale * Double(host.weight) / total
            var number = 0
            while Double(ring.count) < wanted {
                ring.append((XXHash64.hash("\(host.key)_\(number)"), index))
                number += 1
            }
        }
        return ring.sorted { $0.hash < $1.hash }
    }

    private static func table(_ hosts: [Host], size: Int) -> [Int] {
        struct Entry {
            var offset: Int
            var skip: Int
            var next = 0
            var weight: Double
            var target = 0.0
        }
        var entries = hosts.map { host in
            Entry(
                offset: Int(XXHash64.hash(host.key) % UInt64(size)),
                skip: Int(XXHash64.hash(host.key, seed: 1) % UInt64(max(size - 1, 1))) + 1, weight: Double(host.weight))
        }
        let heaviest = entries.map(\.weight).max() ?? 1
        var table = Array(repeating: -1, count: size)
        var filled = 0
        var turn = 1.0
        while filled < size {
            for index in entries.indices where filled < size {
                // The heaviest host gets a place in every turn, the others as often as their weight says.
                if turn * entries[index].weight < entries[index].target { continue }
                entries[index].target += heaviest
                var place = 0
                repeat {
                    place = (entries[index].offset + entries[index].skip * entries[index].next) % size
                    entries[index].next += 1
                } while table[place] >= 0
                table[place] = index
                filled += 1
            }
            turn += 1
        }
        return table
    }
}
