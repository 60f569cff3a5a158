import CLinux
import CNftnl
package import Netlink

/// A ruleset as the bytes of one nftables transaction, which replaces its tables.
///
/// Building needs neither root nor a namespace, and a batch can be sent any number of times, to any namespaces.
package struct RulesetBatch: Sendable {
    /// What the bytes say, for errors.
    package let ruleset: Ruleset
    let bytes: [UInt8]
    let offsets: [Int]
    private let subjects: [BatchWriter.Subject]

    /// The size of the transaction.
    package var byteCount: Int { bytes.count }

    fileprivate init(ruleset: Ruleset, writer: BatchWriter) {
        self.ruleset = ruleset
        (bytes, offsets, subjects) = (writer.bytes, writer.offsets, writer.subjects)
    }

    /// What message `index` was about: `table inet lab, chain output, rule 3 (tcp dport 80 drop)`.
    func subject(of index: Int) -> String {
        guard subjects.indices.contains(index) else { return "the ruleset" }
        return ruleset.describe(subjects[index])
    }
}

extension Ruleset {
    /// The transaction that installs the ruleset in place of tables of the same names.
    package func batch() throws(KernelError) -> RulesetBatch {
        let writer = BatchWriter()
        writer.begin()
        for (index, table) in tables.enumerated() {
            do {
                try write(table, index, to: writer)
            } catch {
                throw KernelError(
                    error.code, "build", describe(writer.subject), reason: "\(error.object): \(error.reason ?? "")",
                    remedy: error.remedy)
            }
        }
        writer.end()
        return RulesetBatch(ruleset: self, writer: writer)
    }

    /// The transaction that removes the ruleset's tables, whether they are there or not.
    func removal() throws(KernelError) -> RulesetBatch {
        let writer = BatchWriter()
        writer.begin()
        for (index, table) in tables.enumerated() {
            writer.subject = .table(index)
            try writer.addTable(table)
            try writer.deleteTable(table)
        }
        writer.end()
        return RulesetBatch(ruleset: self, writer: writer)
    }

    /// The transaction that puts the elements of `set` in the place of those that the set of its name has in a table.
    func refill(_ set: NamedSet) throws(KernelError) -> RulesetBatch {
        let writer = BatchWriter()
        writer.begin()
        for (index, table) in tables.enumerated() {
            writer.subject = .set(table: index, name: set.name)
            try writer.empty(set, in: table)
            try writer.addElements(try SetEncoding(set).elements(), to: set, id: nil, in: table)
        }
        writer.end()
        return RulesetBatch(ruleset: self, writer: writer)
    }

    private func write(_ table: Table, _ index: Int, to writer: BatchWriter) throws(KernelError) {
        writer.subject = .table(index)
        // Adding first makes deleting safe when the table is not there; both and the rest happen at one instant.
        try writer.addTable(table)
        try writer.deleteTable(table)
        try writer.addTable(table)
        for (number, chain) in table.chains.enumerated() {
            writer.subject = .chain(table: index, chain: number)
            try writer.add(chain, in: table)
        }
        for set in table.sets {
            writer.subject = .set(table: index, name: set.name)
            try writer.add(set, in: table)
        }
        for (number, chain) in table.chains.enumerated() {
            for (position, rule) in chain.rules.enumerated() {
                writer.subject = .rule(table: index, chain: number, rule: position)
                try writer.add(rule, chain: chain.name, in: table)
            }
        }
    }

    fileprivate func describe(_ subject: BatchWriter.Subject) -> String {
        func name(_ table: Int) -> String { "table \(tables[table].family.rawValue) \(tables[table].name)" }
        switch subject {
        case .batch: return "the ruleset"
        case .table(let table): return name(table)
        case .chain(let table, let chain): return "\(name(table)), chain \(tables[table].chains[chain].name)"
        case .set(let table, let set): return "\(name(table)), set \(set)"
        case .rule(let table, let chain, let rule):
            let rules = tables[table].chains[chain]
            let text = rules.rules[rule].text(in: tables[table].family)
            return "\(name(table)), chain \(rules.name), rule \(rule + 1) (\(text))"
        }
    }
}

extension BatchWriter {
    func addTable(_ table: Table) throws(KernelError) {
        try tableMessage(table, Int(NFT_MSG_NEWTABLE.rawValue), flags: Int(NLM_F_CREATE))
    }

    func deleteTable(_ table: Table) throws(KernelError) {
        try tableMessage(table, Int(NFT_MSG_DELTABLE.rawValue), flags: 0)
    }

    private func tableMessage(_ table: Table, _ type: Int, flags: Int) throws(KernelError) {
        guard let object = nftnl_table_alloc() else { throw Self.outOfMemory }
        defer { nftnl_table_free(object) }
        nftnl_table_set_str(object, UInt16(NFTNL_TABLE_NAME.rawValue), table.name)
        try message(type, family: table.family.number, flags: flags) { header in
            nftnl_table_nlmsg_build_payload(header, object)
        }
    }

    fileprivate func add(_ chain: Chain, in table: Table) throws(KernelError) {
        guard let object = nftnl_chain_alloc() else { throw Self.outOfMemory }
        defer { nftnl_chain_free(object) }
        nftnl_chain_set_str(object, UInt16(NFTNL_CHAIN_TABLE.rawValue), table.name)
        nftnl_chain_set_str(object, UInt16(NFTNL_CHAIN_NAME.rawValue), chain.name)
        if let base = chain.base {
            nftnl_chain_set_str(object, UInt16(NFTNL_CHAIN_TYPE.rawValue), base.type.rawValue)
            nftnl_chain_set_u32(object, UInt16(NFTNL_CHAIN_HOOKNUM.rawValue), base.hook.number)
            nftnl_chain_set_s32(object, UInt16(NFTNL_CHAIN_PRIO.rawValue), Int32(base.priority))
            nftnl_chain_set_u32(
                object, UInt16(NFTNL_CHAIN_POLICY.rawValue), UInt32(base.policy == .accept ? NF_ACCEPT : NF_DROP))
        }
        try message(Int(NFT_MSG_NEWCHAIN.rawValue), family: table.family.number, flags: Int(NLM_F_CREATE)) { header in
            nftnl_chain_nlmsg_build_payload(header, object)
        }
    }

    fileprivate func add(_ rule: Rule, chain: String, in table: Table) throws(KernelError) {
        guard let object = nftnl_rule_alloc() else { throw Self.outOfMemory }
        defer { nftnl_rule_free(object) }
        nftnl_rule_set_str(object, UInt16(NFTNL_RULE_TABLE.rawValue), table.name)
        nftnl_rule_set_str(object, UInt16(NFTNL_RULE_CHAIN.rawValue), chain)
        var lowering = RuleLowering(rule: object, batch: self, table: table)
        for statement in rule.statements { try statement.lower(into: &lowering) }
        if let comment = rule.storedComment, let data = nftnl_udata_buf_alloc(256) {
            nftnl_udata_put_strz(data, UInt8(NFTNL_UDATA_RULE_COMMENT.rawValue), comment)
            nftnl_rule_set_data(
                object, UInt16(NFTNL_RULE_USERDATA.rawValue), nftnl_udata_buf_data(data), nftnl_udata_buf_len(data))
            nftnl_udata_buf_free(data)
        }
        let flags = Int(NLM_F_CREATE) | Int(NLM_F_APPEND)
        try message(Int(NFT_MSG_NEWRULE.rawValue), family: table.family.number, flags: flags) { header in
            nftnl_rule_nlmsg_build_payload(header, object)
        }
    }

    private static var outOfMemory: KernelError {
        KernelError(.failed, "build", "a message", reason: "out of memory")
    }
}

extension BaseChain.Hook {
    /// `enum nf_inet_hooks`.
    fileprivate var number: UInt32 {
        let hook =
            switch self {
            case .prerouting: NF_INET_PRE_ROUTING
            case .input: NF_INET_LOCAL_IN
            case .forward: NF_INET_FORWARD
            case .output: NF_INET_LOCAL_OUT
            case .postrouting: NF_INET_POST_ROUTING
            }
        return UInt32(hook.rawValue)
    }
}
