package import NetworkAddresses

/// A step's `matrix`: who can reach whom, asked pair by pair.
package struct Matrix: Sendable, Equatable {
    /// One side of the pairs.
    package enum End: Sendable, Hashable, CustomStringConvertible {
        /// Every pod; as a destination, the internet too.
        case all
        /// `NAMESPACE/*`: every pod of a namespace.
        case namespace(String)
        /// `NAMESPACE/WORKLOAD`: its pods, or the pod of that name.
        case workload(WorkloadReference)
        /// `internet`, or `internet/ADDRESS`: only as a destination.
        case internet(IPAddress?)

        package var description: String {
            switch self {
            case .all: "all"
            case .namespace(let name): "\(name)/*"
            case .workload(let reference): reference.description
            case .internet(nil): Matrix.internetName
            case .internet(let address?): "\(Matrix.internetName)/\(address)"
            }
        }
    }

    /// The name of the column for what is outside.
    package static let internetName = "internet"
    /// Where the internet is asked, unless the matrix names an address: addresses of nobody's.
    package static let internetAddresses = [IPAddress(203, 0, 113, 1), IPAddress("2001:db8:203::1")].compactMap(\.self)

    package var from: [End]
    package var to: [End]
    /// What each pair is asked.
    package var probes: [MatrixProbe]
    /// nil: the first family that both ends have.
    package var family: IPFamily?
    /// What the answers are compared with.
    package var expected: KeptMatrix?
    package var location: SourceLocation

    package init(
        from: [End] = [.all], to: [End] = [.all], probes: [MatrixProbe], family: IPFamily? = nil,
        expected: KeptMatrix? = nil, location: SourceLocation
    ) {
        self.from = from
        self.to = to
        self.probes = probes
        self.family = family
        self.expected = expected
        self.location = location
    }
}

/// What a pair is asked: a port of a transport protocol.
package struct MatrixProbe: Hashable, Sendable, Codable, CustomStringConvertible {
    package var transport: IPProtocol
    package var port: UInt16

    package init(_ transport: IPProtocol, _ port: UInt16) {
        self.transport = transport
        self.port = port
    }

    /// `TCP 80`.
    package var description: String { "\(transport.description.uppercased()) \(port)" }
}

/// What became of one question of a matrix, as tables show it.
package enum MatrixCell: Character, Sendable, CaseIterable {
    /// The destination saw it.
    case reached = "."
    /// A policy stopped it, and logged so.
    case denied = "X"
    /// No policy stopped it, but nobody answered there: no such port, or no common address family.
    case failed = "-"
    /// It did not arrive, and nothing tells why.
    case inconclusive = "?"
}

extension Matrix {
    private static let fields: FieldNames = "from to ports protocols family expect"

    /// Reads a step's `matrix`; `table` reads the file that `expect` names.
    init?(
        reading field: FieldReader, reference: (FieldReader) -> WorkloadReference?,
        table: (FieldReader) -> KeptMatrix?
    ) {
        guard field.check(Self.fields) else { return nil }
        func ends(_ key: String, isSource: Bool) -> [End] {
            guard let list = field[key]?.listOrSelf else { return [.all] }
            if list.isEmpty { field[key]?.error("name at least one, or write all") }
            return list.compactMap { Self.end($0, isSource: isSource, reference) }
        }
        guard let ports = field.required("ports") else { return nil }
        let numbers = ports.listOrSelf.compactMap(\.port)
        if ports.isList, ports.list.isEmpty { ports.error("a matrix needs at least one port") }
        let transports = (field["protocols"]?.listOrSelf ?? []).compactMap(\.transport)
        var probes: [MatrixProbe] = []
        for transport in transports.isEmpty ? [.tcp] : transports {
            for number in numbers where !probes.contains(MatrixProbe(transport, number)) {
                probes.append(MatrixProbe(transport, number))
            }
        }
        self.init(
            from: ends("from", isSource: true), to: ends("to", isSource: false), probes: probes,
            location: field.location)
        if let name = field["family"]?.choice(of: ["IPv4", "IPv6"]) { family = name == "IPv4" ? .ipv4 : .ipv6 }
        expected = field["expect"].flatMap(table)
        guard let expected else { return }
        for section in expected.sections where !probes.contains(section.probe) {
            field["expect"]?.error(
                "\(section.location) has a table for \(section.probe), which this matrix does not ask")
        }
        for probe in probes where !expected.sections.contains(where: { $0.probe == probe }) {
            field["expect"]?.error("the file has no table for \(probe)")
        }
    }

    private static func end(
        _ field: FieldReader, isSource: Bool, _ reference: (FieldReader) -> WorkloadReference?
    ) -> End? {
        guard let text = field.text else { return nil }
        if text == "all" { return .all }
        if text == internetName || text.hasPrefix(internetName + "/") {
            guard !isSource else {
                field.error("the internet is a destination only")
                return nil
            }
            guard text != internetName else { return .internet(nil) }
            guard let address = IPAddress(text.dropFirst(internetName.count + 1)) else {
                field.error("\"\(text)\" is not internet/ADDRESS")
                return nil
            }
            return .internet(address)
        }
        if text.hasSuffix("/*"), text.count > 2 { return .namespace(String(text.dropLast(2))) }
        return reference(field).map { .workload($0) }
    }
}
