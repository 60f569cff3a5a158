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
        return left + (comparison == .notEqual ? " != " : " ") + rightText
    }

    private var rightText: String {
        switch right {
        case .value(let value): fields.first.map { value.text(as: $0.dataType) } ?? ""
        case .named(let name): "@" + name
        case .set(let values):
            "{ "
                + SetListing(
                    keys: fields.map(\.dataType), flags: values.contains(where: \.isInterval) ? .interval : [],
                    elements: values.map { SetElement($0) }
                ).texts.joined(separator: ", ") + " }"
        }
    }

    package func resolved(transport: IPProtocol?) -> Match {
        Match(fields: fields.map { $0.resolved(transport: transport) }, comparison, right)
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
