import Netlink

/// Makes nodes forget finished connections soon, for as long as there are very many of them: their table has an end,
/// and what does not find room in it is dropped without a word.
struct ShortMemory {
    private static let timeouts = [
        "net/netfilter/nf_conntrack_tcp_timeout_close", "net/netfilter/nf_conntrack_udp_timeout",
    ]

    private var before: [(namespace: NetworkNamespace, name: String, value: String)] = []

    /// Where a node can't be told so, it keeps what it has.
    init(of nodes: [NetworkNamespace]) {
        for namespace in nodes {
            for name in Self.timeouts {
                let value = try? namespace.enter {
                    let value = try Sysctl.read(name)
                    try Sysctl.write(name, "1")
                    return value
                }
                if let value { before.append((namespace, name, value)) }
            }
        }
    }

    /// Puts everything back.
    func end() {
        for (namespace, name, value) in before { try? namespace.enter { try Sysctl.write(name, value) } }
    }
}
