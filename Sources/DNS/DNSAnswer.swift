package import NetworkAddresses

/// A record type that this module answers or asks; others are kept by their number.
package struct DNSRecordType: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt16
    package init(rawValue: UInt16) { self.rawValue = rawValue }

    package static let a = DNSRecordType(rawValue: 1)
    package static let cname = DNSRecordType(rawValue: 5)
    package static let soa = DNSRecordType(rawValue: 6)
    package static let aaaa = DNSRecordType(rawValue: 28)
    package static let srv = DNSRecordType(rawValue: 33)

    /// The type that holds addresses of `family`.
    package init(_ family: IPFamily) { self = family == .ipv4 ? .a : .aaaa }

    /// The family of the addresses that records of this type hold; nil for types without addresses.
    package var family: IPFamily? {
        switch self {
        case .a: .ipv4
        case .aaaa: .ipv6
        default: nil
        }
    }

    package var description: String {
        switch self {
        case .a: "A"
        case .cname: "CNAME"
        case .soa: "SOA"
        case .aaaa: "AAAA"
        case .srv: "SRV"
        default: "TYPE\(rawValue)"
        }
    }
}

/// The outcome that a DNS message states (RFC 1035, 4.1.1).
package struct DNSResponseCode: RawRepresentable, Hashable, Sendable, CustomStringConvertible {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }

    package static let noError = DNSResponseCode(rawValue: 0)
    package static let formatError = DNSResponseCode(rawValue: 1)
    package static let serverFailure = DNSResponseCode(rawValue: 2)
    package static let nameError = DNSResponseCode(rawValue: 3)
    package static let notImplemented = DNSResponseCode(rawValue: 4)
    package static let refused = DNSResponseCode(rawValue: 5)

    package var description: String {
        switch self {
        case .noError: "NOERROR"
        case .formatError: "FORMERR"
        case .serverFailure: "SERVFAIL"
        case .nameError: "NXDOMAIN"
        case .notImplemented: "NOTIMP"
        case .refused: "REFUSED"
        default: "RCODE\(rawValue)"
        }
    }
}

/// What a responder says about one name and type; no addresses with `noError` is NODATA.
package struct DNSAnswer: Sendable, Equatable {
    /// A target of an SRV record.
    package struct Service: Sendable, Equatable {
        package var target: String
        package var port: UInt16

        package init(target: String, port: UInt16) {
            self.target = target
            self.port = port
        }
    }

    package var code: DNSResponseCode
    /// Of the family asked for, in the order to be given.
    package var addresses: [IPAddress]
    package var ttlSeconds: UInt32
    /// The names that the asked one is an alias of, one after the other; the addresses are then the last one's.
    package var canonicalNames: [String]
    package var services: [Service]
    /// The zone whose SOA a negative answer carries; nil: the root.
    package var zone: String?

    package init(
        code: DNSResponseCode = .noError, addresses: [IPAddress] = [], ttlSeconds: UInt32 = 30,
        canonicalNames: [String] = [], services: [Service] = [], zone: String? = nil
    ) {
        self.code = code
        self.addresses = addresses
        self.ttlSeconds = ttlSeconds
        self.canonicalNames = canonicalNames
        self.services = services
        self.zone = zone
    }
}

/// Decides what a DNS server answers.
package protocol DNSResponder: Sendable {
    /// The answer for `name`, which is in lower case and without the final dot.
    func answer(name: String, type: DNSRecordType) -> DNSAnswer
}
