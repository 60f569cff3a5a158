import CLinux
import CNftnl
import Netlink
import NetworkAddresses

/// Turns the statements of one rule into the kernel's expressions.
///
/// It knows what the rule has already matched, so that a TCP field brings its `meta l4proto tcp` along just once, as
/// nft does.
package struct RuleLowering {
    private let rule: OpaquePointer
    private let batch: BatchWriter
    private let table: Table
    private var transport: IPProtocol?
    private var family: IPFamily?

    /// Register 0 takes verdicts, 1 (`NFT_REG_1`) is the first for data, of 16 bytes.
    static let verdictRegister: UInt32 = 0
    static let dataRegister: UInt32 = 1

    init(rule: OpaquePointer, batch: BatchWriter, table: Table) {
        (self.rule, self.batch, self.table) = (rule, batch, table)
        family = table.family == .ip ? .ipv4 : table.family == .ip6 ? .ipv6 : nil
    }

    /// A setting of an expression, in the words of libnftnl.
    enum Attribute {
        case u8(Int, UInt8)
        case u16(Int, UInt16)
        case u32(Int, UInt32)
        case bytes(Int, [UInt8])
        case string(Int, String)
    }

    /// Appends an expression of the kind `name`.
    func append(_ name: String, _ attributes: Attribute...) throws(KernelError) {
        guard let expression = nftnl_expr_alloc(name) else {
            throw KernelError(.notSupported, "build", "expression \(name)", reason: "libnftnl does not know it")
        }
        for attribute in attributes {
            switch attribute {
            case .u8(let type, let value): nftnl_expr_set_u8(expression, UInt16(type), value)
            case .u16(let type, let value): nftnl_expr_set_u16(expression, UInt16(type), value)
            case .u32(let type, let value): nftnl_expr_set_u32(expression, UInt16(type), value)
            case .bytes(let type, let value):
                nftnl_expr_set(expression, UInt16(type), value, UInt32(value.count))
            case .string(let type, let value): nftnl_expr_set_str(expression, UInt16(type), value)
            }
        }
        nftnl_rule_add_expr(rule, expression)
    }

    /// Notes that from here on all packets are of `transport`.
    mutating func assume(transport: IPProtocol) { self.transport = transport }

    /// Notes that from here on all packets are of `family`.
    mutating func assume(family: IPFamily) { self.family = family }

    /// Loads `fields`, one after the other from the first data register on, preceded by the matches they need.
    mutating func load(_ fields: [Field]) throws(KernelError) {
        for field in fields { try addDependencies(of: field) }
        // Registers in units of 4 bytes: NFT_REG32_00 is 8 and the same memory as NFT_REG_1.
        var offset = 0
        for field in fields {
            try load(field, into: offset == 0 ? Self.dataRegister : UInt32(8 + offset))
            offset += (field.dataType.byteCount + 3) / 4
        }
        guard offset <= 16 else {
            throw KernelError(
                .invalidRequest, "build", fields.map(\.text).joined(separator: " . "), reason: "the key is too long")
        }
    }

    private mutating func addDependencies(of field: Field) throws(KernelError) {
        if let needed = field.family, family != needed {
            guard family == nil else { throw conflict(field) }
            try load(.metaNfproto, into: Self.dataRegister)
            try compare(NFT_CMP_EQ, Value.family(needed).bytes(as: .nfproto).low)
            family = needed
        }
        if let needed = field.transport, transport != needed {
            guard transport == nil else { throw conflict(field) }
            try load(.metaL4proto, into: Self.dataRegister)
            try compare(NFT_CMP_EQ, [needed.rawValue])
            transport = needed
        }
    }

    private func conflict(_ field: Field) -> KernelError {
        KernelError(
            .invalidRequest, "build", field.text,
            reason: "the rule has matched another protocol or family before, so it could never match")
    }

    /// Loads a field without regard to what it needs.
    func load(_ field: Field, into register: UInt32) throws(KernelError) {
        let source = field.source
        switch source {
        case .meta(let key):
            try append(
                "meta", .u32(Int(NFTNL_EXPR_META_KEY), UInt32(key)), .u32(Int(NFTNL_EXPR_META_DREG), register))
        case .payload(let base, let offset):
            try loadPayload(base: base, offset: offset, count: field.dataType.byteCount, into: register)
        case .ct(let key):
            try append("ct", .u32(Int(NFTNL_EXPR_CT_KEY), UInt32(key)), .u32(Int(NFTNL_EXPR_CT_DREG), register))
        }
    }

    func loadPayload(base: UInt32, offset: UInt32, count: Int, into register: UInt32) throws(KernelError) {
        try append(
            "payload", .u32(Int(NFTNL_EXPR_PAYLOAD_DREG), register), .u32(Int(NFTNL_EXPR_PAYLOAD_BASE), base),
            .u32(Int(NFTNL_EXPR_PAYLOAD_OFFSET), offset), .u32(Int(NFTNL_EXPR_PAYLOAD_LEN), UInt32(count)))
    }

    /// Compares the first data register with `bytes`.
    func compare(_ operation: nft_cmp_ops, _ bytes: [UInt8]) throws(KernelError) {
        try append(
            "cmp", .u32(Int(NFTNL_EXPR_CMP_SREG), Self.dataRegister), .u32(Int(NFTNL_EXPR_CMP_OP), operation.rawValue),
            .bytes(Int(NFTNL_EXPR_CMP_DATA), bytes))
    }

    /// Keeps the bits of `mask` in the first data register.
    func mask(_ mask: [UInt8]) throws(KernelError) {
        try append(
            "bitwise", .u32(Int(NFTNL_EXPR_BITWISE_SREG), Self.dataRegister),
            .u32(Int(NFTNL_EXPR_BITWISE_DREG), Self.dataRegister),
            .u32(Int(NFTNL_EXPR_BITWISE_LEN), UInt32(mask.count)), .bytes(Int(NFTNL_EXPR_BITWISE_MASK), mask),
            .bytes(Int(NFTNL_EXPR_BITWISE_XOR), Array(repeating: 0, count: mask.count)))
    }

    /// Puts `bytes` into a register.
    func immediate(_ bytes: [UInt8], into register: UInt32 = dataRegister) throws(KernelError) {
        try append(
            "immediate", .u32(Int(NFTNL_EXPR_IMM_DREG), register), .bytes(Int(NFTNL_EXPR_IMM_DATA), bytes))
    }

    /// Looks the loaded key up in a named set of the table; the verdict of a map becomes the rule's.
    func lookup(named name: String, inverted: Bool = false, isMap: Bool = false) throws(KernelError) {
        guard table.sets.contains(where: { $0.name == name && ($0.kind == .verdictMap) == isMap }) else {
            throw KernelError(
                .notFound, "build", "@\(name)", reason: "the table has no such \(isMap ? "verdict map" : "set")")
        }
        try lookup(name, id: nil, inverted: inverted, isMap: isMap)
    }

    /// Looks the loaded key up in a set of this rule's own.
    func lookup(anonymous set: NamedSet, inverted: Bool = false) throws(KernelError) {
        let id = try batch.add(set, in: table, isAnonymous: true)
        try lookup(set.name, id: id, inverted: inverted, isMap: set.kind == .verdictMap)
    }

    private func lookup(_ name: String, id: UInt32?, inverted: Bool, isMap: Bool) throws(KernelError) {
        guard let expression = nftnl_expr_alloc("lookup") else { return }
        nftnl_expr_set_u32(expression, UInt16(NFTNL_EXPR_LOOKUP_SREG), Self.dataRegister)
        nftnl_expr_set_str(expression, UInt16(NFTNL_EXPR_LOOKUP_SET), name)
        if let id { nftnl_expr_set_u32(expression, UInt16(NFTNL_EXPR_LOOKUP_SET_ID), id) }
        if isMap { nftnl_expr_set_u32(expression, UInt16(NFTNL_EXPR_LOOKUP_DREG), Self.verdictRegister) }
        if inverted {
            nftnl_expr_set_u32(expression, UInt16(NFTNL_EXPR_LOOKUP_FLAGS), UInt32(NFT_LOOKUP_F_INV.rawValue))
        }
        nftnl_rule_add_expr(rule, expression)
    }
}

extension Field {
    /// Where the kernel finds a field.
    enum Source {
        case meta(Int)
        case payload(base: UInt32, offset: UInt32)
        case ct(Int)
    }

    var source: Source {
        let network = NFT_PAYLOAD_NETWORK_HEADER.rawValue
        let transport = NFT_PAYLOAD_TRANSPORT_HEADER.rawValue
        return switch self {
        case .ipSaddr: .payload(base: network, offset: 12)
        case .ipDaddr: .payload(base: network, offset: 16)
        case .ip6Saddr: .payload(base: network, offset: 8)
        case .ip6Daddr: .payload(base: network, offset: 24)
        case .tcpSport, .udpSport, .sctpSport, .thSport, .icmpType, .icmpv6Type:
            .payload(base: transport, offset: 0)
        case .tcpDport, .udpDport, .sctpDport, .thDport: .payload(base: transport, offset: 2)
        case .metaL4proto: .meta(Int(NFT_META_L4PROTO.rawValue))
        case .metaNfproto: .meta(Int(NFT_META_NFPROTO.rawValue))
        case .metaSkuid: .meta(Int(NFT_META_SKUID.rawValue))
        case .metaSkgid: .meta(Int(NFT_META_SKGID.rawValue))
        case .metaIifname: .meta(Int(NFT_META_IIFNAME.rawValue))
        case .metaOifname: .meta(Int(NFT_META_OIFNAME.rawValue))
        case .metaMark: .meta(Int(NFT_META_MARK.rawValue))
        case .ctState: .ct(Int(NFT_CT_STATE.rawValue))
        case .ctMark: .ct(Int(NFT_CT_MARK.rawValue))
        case .ctDirection: .ct(Int(NFT_CT_DIRECTION.rawValue))
        }
    }
}
