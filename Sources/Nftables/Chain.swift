/// A chain of rules; with a `base` it is called by the kernel, else only by jumps.
package struct Chain: Sendable, Hashable {
    package var name: String
    package var base: BaseChain?
    package var rules: [Rule]

    /// A chain, regular unless `base` is given.
    package init(_ name: String, base: BaseChain? = nil, rules: [Rule] = []) {
        (self.name, self.base, self.rules) = (name, base, rules)
    }

    /// The chain as nft prints it inside a table of `family`.
    package func text(in family: Table.Family) -> String {
        var lines = ["\tchain \(name) {"]
        if let base { lines.append("\t\t" + base.text) }
        lines += rules.map { "\t\t" + $0.text(in: family) }
        return lines.joined(separator: "\n") + "\n\t}\n"
    }
}

/// Where the kernel calls a chain, and what becomes of a packet that reaches its end.
package struct BaseChain: Sendable, Hashable {
    /// What the chain may do: filter, translate addresses of new flows, or have the route looked up again.
    package enum Kind: String, Sendable, Hashable {
        case filter, nat, route
    }
    /// The points at which the kernel calls chains.
    package enum Hook: String, Sendable, Hashable {
        case prerouting, input, forward, output, postrouting
    }
    /// The verdict at the end of the chain.
    package enum Policy: String, Sendable, Hashable {
        case accept, drop
    }

    package var type: Kind
    package var hook: Hook
    package var priority: Int
    package var policy: Policy

    /// A base chain; lower priorities are called first.
    package init(type: Kind, hook: Hook, priority: Int, policy: Policy = .accept) {
        (self.type, self.hook, self.priority, self.policy) = (type, hook, priority, policy)
    }

    /// `type nat hook output priority -100; policy accept;`
    package var text: String {
        "type \(type.rawValue) hook \(hook.rawValue) priority \(priorityText); policy \(policy.rawValue);"
    }

    /// nft names a priority within ten of a standard one, if that one makes sense at the hook.
    private var priorityText: String {
        let standard: [(name: String, value: Int, hook: Hook?)] = [
            ("raw", -300, nil), ("mangle", -150, nil), ("dstnat", -100, .prerouting), ("filter", 0, nil),
            ("security", 50, nil), ("srcnat", 100, .postrouting),
        ]
        guard let near = standard.first(where: { abs(priority - $0.value) <= 10 }), near.hook ?? hook == hook else {
            return String(priority)
        }
        let offset = priority - near.value
        return offset == 0 ? near.name : "\(near.name) \(offset > 0 ? "+" : "-") \(abs(offset))"
    }
}
