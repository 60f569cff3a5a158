/// Sets the packet's mark.
package enum MetaMarkSet: Statement {
    case value(UInt32)
    /// The flow's mark becomes the packet's.
    case ctMark
    package var text: String {
        switch self {
        case .value(let mark): "meta mark set \(Value.hexadecimal(mark))"
        case .ctMark: "meta mark set ct mark"
        }
    }
}

/// Sets the flow's mark.
package enum CTMarkSet: Statement {
    case value(UInt32)
    /// The packet's mark becomes the flow's.
    case metaMark
    package var text: String {
        switch self {
        case .value(let mark): "ct mark set \(Value.hexadecimal(mark))"
        case .metaMark: "ct mark set meta mark"
        }
    }
}

/// Sets the connection tracking zone, before tracking has looked at the packet.
package struct CTZoneSet: Statement {
    package let zone: UInt16
    package init(_ zone: UInt16) { self.zone = zone }
    package var text: String { "ct zone set \(zone)" }
}

/// Keeps connection tracking away from the packet.
package struct NoTrack: Statement {
    package init() {}
    package var text: String { "notrack" }
}
