import CLinux
import CNftnl
package import Netlink
package import NetworkAddresses

/// Goes on with the rule only if a field has a value, or is in a set.
package struct Match: Statement {
    /// How the field and the right-hand side are compared.
    package enum Operator: String, Sendable, Hashable {
        case equal = "==", notEqual = "!="
    }

    /// What a field is compared with.
    package enum RightHandSide: Sendable, Hashable {
        case value(Value)
        /// An anonymous set; ranges and prefixes are allowed.
        case set([Value])
        /// A named set of the same table.
        case named(String)

        package static func address(_ address: IPAddress) -> Self { .value(.address(address)) }
        package static func prefix(_ prefix: IPPrefix) -> Self { .value(.prefix(prefix)) }
        package static func port(_ port: UInt16) -> Self { .value(.port(port)) }
        package static func ports(_ range: PortRange) -> Self { .value(.ports(range)) }
        package static func ports(_ ports: [UInt16]) -> Self { .set(ports.map(Value.port)) }
        package static func proto(_ proto: IPProtocol) -> Self { .value(.proto(proto)) }
        package static func number(_ number: UInt32) -> Self { .value(.number(number)) }
        package static func interface(_ name: String) -> Self { .value(.interface(name)) }
        package static func family(_ family: IPFamily) -> Self { .value(.family(family)) }
        package static func ctState(_ state: CTState) -> Self { .value(.ctState(state)) }
        package static func ctDirection(_ direction: CTDirection) -> Self { .value(.ctDirection(direction)) }
        package static func icmp(_ type: UInt8) -> Self { .value(.icmp(type)) }
    }

    /// The fields; more than one are concatenated, and then the right-hand side must be a named set.
    package let fields: [Field]
    package let comparison: Operator
    package let right: RightHandSide

    /// `ip daddr != 10.0.0.0/8` and the like.
    package init(_ field: Field, _ comparison: Operator, _ right: RightHandSide) {
        (fields, self.comparison, self.right) = ([field], comparison, right)
    }

    /// `tcp dport 80` and the like.
    package init(_ field: Field, _ right: RightHandSide) { self.init(field, .equal, right) }

    /// `ip daddr . tcp dport @name` and the like.
    package init(_ fields: [Field], _ comparison: Operator = .equal, in name: String) {
        (self.fields, self.comparison, self.right) = (fields, comparison, .named(name))
    }

    package var text: String {
        let left = fields.map(\.text).joined(separator: " . ")
        return left + (comparison == .equal ? " " : isNoneOfSeveralStates ? " ! " : " != ") + rightText
    }

    /// nft's `ct state != a,b` compares the whole value and so is always true; `! a,b` is what is meant.
    private var isNoneOfSeveralStates: Bool {
        guard comparison == .notEqual, case .value(.ctState(let state)) = simplified else { return false }
        return state.rawValue.nonzeroBitCount > 1
    }

    private var rightText: String {
        switch simplified {
        case .value(let value): fields.first.map { value.text(as: $0.dataType) } ?? ""
        case .named(let name): "@" + name
        case .set(let values): "{ \(listing(of: values).texts.joined(separator: ", ")) }"
        }
    }

    private func listing(of values: [Value]) -> SetListing {
        SetListing(
            keys: fields.map(\.dataType), flags: values.contains(where: \.isInterval) ? .interval : [],
            elements: values.map { SetElement($0) })
    }

    /// The right-hand side as nft simplifies it: a set of one value is that value.
    private var simplified: RightHandSide {
        guard case .set(let values) = right else { return right }
        let normalised = listing(of: values).normalised
        return normalised.count == 1 ? .value(normalised[0].key[0]) : right
    }

    package func resolved(transport: IPProtocol?) -> Match {
        Match(fields: fields.map { $0.resolved(transport: transport) }, comparison, right)
    }

    package func lower(into rule: inout RuleLowering) throws(KernelError) {
        let isInverted = comparison == .notEqual
        switch simplified {
        case .named(let name):
            try rule.load(fields)
            try rule.lookup(named: name, inverted: isInverted)
        case .set(let values):
            try rule.load(fields)
            let flags: NamedSet.Flags = values.contains(where: \.isInterval) ? .interval : []
            try rule.lookup(
                anonymous: NamedSet(
                    name: "__set%d", keys: fields.map(\.dataType), flags: flags, elements: values.map { SetElement($0) }
                ), inverted: isInverted)
        case .value(let value):
            guard fields.count == 1, value.fits(fields[0].dataType) else {
                throw KernelError(.invalidRequest, "build", text, reason: "the value does not fit the field's type")
            }
            try rule.load(fields)
            try compare(fields[0], value, in: &rule)
        }
        if let impliedProtocol { rule.assume(transport: impliedProtocol) }
        if let impliedFamily { rule.assume(family: impliedFamily) }
    }

    private func compare(_ field: Field, _ value: Value, in rule: inout RuleLowering) throws(KernelError) {
        let isInverted = comparison == .notEqual
        let equal = isInverted ? NFT_CMP_NEQ : NFT_CMP_EQ
        let (low, high) = value.bytes(as: field.dataType)
        if case .ctState = value, !isInverted || isNoneOfSeveralStates {
            // Several states can be asked for: any common bit will do.
            try rule.mask(low)
            try rule.compare(
                isInverted ? NFT_CMP_EQ : NFT_CMP_NEQ, Value.number(0).bytes(as: .mark).low)
        } else if low == high {
            try rule.compare(equal, low)
        } else if let prefix = value.addressRange.flatMap(IPPrefix.init(exactly:)) {
            let ones = IPAddress(family: prefix.family, value: ~0)
            let mask = IPPrefix(ones, length: prefix.length)?.first.bytes ?? ones.bytes
            try rule.mask(mask)
            try rule.compare(equal, low)
        } else if isInverted {
            try rule.append(
                "range", .u32(Int(NFTNL_EXPR_RANGE_SREG), RuleLowering.dataRegister),
                .u32(Int(NFTNL_EXPR_RANGE_OP), UInt32(NFT_RANGE_NEQ.rawValue)),
                .bytes(Int(NFTNL_EXPR_RANGE_FROM_DATA), low), .bytes(Int(NFTNL_EXPR_RANGE_TO_DATA), high))
        } else {
            try rule.compare(NFT_CMP_GTE, low)
            try rule.compare(NFT_CMP_LTE, high)
        }
    }

    private init(fields: [Field], _ comparison: Operator, _ right: RightHandSide) {
        (self.fields, self.comparison, self.right) = (fields, comparison, right)
    }

    /// The transport protocol all packets have that pass this match.
    var impliedProtocol: IPProtocol? {
        guard fields == [.metaL4proto], comparison == .equal, case .value(.proto(let proto)) = right else { return nil }
        return proto
    }

    /// The family all packets have that pass this match.
    var impliedFamily: IPFamily? {
        guard fields == [.metaNfproto], comparison == .equal, case .value(.family(let family)) = right else {
            return nil
        }
        return family
    }
}
