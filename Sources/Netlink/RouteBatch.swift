import CLinux
import Glibc
package import NetworkAddresses

/// Changes to the links, addresses, routes and neighbours of one namespace, sent together.
///
/// Interface indexes are chosen by the caller beforehand: that is what lets one batch make a link and use it.
package struct RouteBatch: Sendable {
    /// Which routing table.
    package enum RoutingTable: Sendable, Hashable {
        case main, local
        case number(UInt32)

        var number: UInt32 {
            switch self {
            case .main: UInt32(RT_TABLE_MAIN.rawValue)
            case .local: UInt32(RT_TABLE_LOCAL.rawValue)
            case .number(let number): number
            }
        }
    }
    /// What a route does with a packet.
    package enum RouteKind: Sendable, Hashable {
        case unicast
        /// Delivers to this namespace, whatever the address.
        ///
        /// The kernel asks table `local`, the default here, before `main`: a catch-all belongs into `.main`, or it hides
        /// every other route.
        case local
        case blackhole, unreachable, prohibit

        fileprivate var number: UInt8 {
            switch self {
            case .unicast: UInt8(RTN_UNICAST)
            case .local: UInt8(RTN_LOCAL)
            case .blackhole: UInt8(RTN_BLACKHOLE)
            case .unreachable: UInt8(RTN_UNREACHABLE)
            case .prohibit: UInt8(RTN_PROHIBIT)
            }
        }
    }
    /// One end of a veth pair.
    package struct LinkEnd: Sendable, Hashable {
        package var name: String
        /// The interface's number in its namespace; the two ends of a pair should differ.
        package var index: Int32
        package var address: MACAddress?

        /// An end called `name`; names have at most 15 bytes.
        ///
        /// With equal indexes at both ends the kernel takes the link for a physical one and delays "carrier on" up to
        /// a second (`linkwatch_urgent_event`).
        package init(name: String, index: Int32, address: MACAddress? = nil) {
            (self.name, self.index, self.address) = (name, index, address)
        }
    }

    private(set) var builder = NetlinkMessageBuilder()
    private(set) var subjects: [String] = []
    /// Their descriptors are in the messages, so they must live until those are sent.
    private var namespaces: [NetworkNamespace] = []

    /// A batch without changes.
    package init() {}

    package var isEmpty: Bool { subjects.isEmpty }

    private static let create = Int(NLM_F_CREATE) | Int(NLM_F_EXCL)

    /// Makes a veth pair: `end` here, up if `isUp`; `peer` in `namespace`, down.
    package mutating func addVeth(
        _ end: LinkEnd, isUp: Bool = true, peer: LinkEnd, in namespace: NetworkNamespace
    ) {
        subjects.append("link \(end.name)")
        namespaces.append(namespace)
        builder.message(Int(RTM_NEWLINK), flags: Self.create, Self.link(end.index, isUp: isUp ? true : nil)) {
            message in
            message.attribute(Int(IFLA_IFNAME), end.name)
            if let address = end.address { message.attribute(Int(IFLA_ADDRESS), address.bytes) }
            message.nested(Int(IFLA_LINKINFO)) { info in
                info.attribute(Int(IFLA_INFO_KIND), "veth")
                info.nested(Int(IFLA_INFO_DATA)) { data in
                    data.nested(Int(VETH_INFO_PEER)) { body in
                        // Never IFF_UP here: the kernel answers ENOTCONN.
                        body.append(Self.link(peer.index, isUp: nil))
                        body.attribute(Int(IFLA_IFNAME), peer.name)
                        if let address = peer.address { body.attribute(Int(IFLA_ADDRESS), address.bytes) }
                        body.attribute(Int(IFLA_NET_NS_FD), UInt32(bitPattern: namespace.fileDescriptor))
                    }
                }
            }
        }
    }

    /// Takes a link up or down; `lo` has index 1.
    package mutating func setLink(index: Int32, isUp: Bool) {
        subjects.append("link \(index)")
        builder.message(Int(RTM_NEWLINK), flags: 0, Self.link(index, isUp: isUp))
    }

    /// Removes a link, and with it its peer.
    package mutating func deleteLink(index: Int32) {
        subjects.append("link \(index)")
        builder.message(Int(RTM_DELLINK), flags: 0, Self.link(index, isUp: nil))
    }

    /// Gives a link an address, usable at once: IPv6 ones skip duplicate detection.
    package mutating func addAddress(_ address: IPAddress, prefixLength: Int, to index: Int32) {
        subjects.append("address \(address)/\(prefixLength) of link \(index)")
        let scope = address.isLoopback ? RT_SCOPE_HOST : address.isLinkLocal ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE
        let flags = address.family == .ipv6 ? UInt32(IFA_F_NODAD) : 0
        let header = ifaddrmsg(
            ifa_family: address.family.number, ifa_prefixlen: UInt8(prefixLength), ifa_flags: UInt8(flags),
            ifa_scope: UInt8(scope.rawValue), ifa_index: UInt32(bitPattern: index))
        builder.message(Int(RTM_NEWADDR), flags: Self.create, header) { message in
            message.attribute(Int(IFA_LOCAL), address.bytes)
            message.attribute(Int(IFA_ADDRESS), address.bytes)
            if flags != 0 { message.attribute(Int(IFA_FLAGS), flags) }
        }
    }

    /// Takes an address away from a link.
    package mutating func deleteAddress(_ address: IPAddress, prefixLength: Int, from index: Int32) {
        subjects.append("address \(address)/\(prefixLength) of link \(index)")
        let header = ifaddrmsg(
            ifa_family: address.family.number, ifa_prefixlen: UInt8(prefixLength), ifa_flags: 0, ifa_scope: 0,
            ifa_index: UInt32(bitPattern: index))
        builder.message(Int(RTM_DELADDR), flags: 0, header) { $0.attribute(Int(IFA_LOCAL), address.bytes) }
    }

    /// Adds a route.
    ///
    /// - Parameters:
    ///   - gateway: the next hop; nil for a device route. With `isOnlink` it need not be reachable otherwise.
    ///   - index: the link to leave by; not for blackholes and the like.
    ///   - source: the address that sockets without one get.
    package mutating func addRoute(
        _ destination: IPPrefix, kind: RouteKind = .unicast, via gateway: IPAddress? = nil, link index: Int32? = nil,
        isOnlink: Bool = false, source: IPAddress? = nil, table: RoutingTable? = nil, metric: UInt32? = nil
    ) {
        route(
            Int(RTM_NEWROUTE), Self.create, destination, kind, gateway, index, isOnlink, source, table, metric)
    }

    /// Removes the route to `destination`.
    package mutating func deleteRoute(
        _ destination: IPPrefix, kind: RouteKind = .unicast, via gateway: IPAddress? = nil, link index: Int32? = nil,
        table: RoutingTable? = nil
    ) {
        route(Int(RTM_DELROUTE), 0, destination, kind, gateway, index, false, nil, table, nil)
    }

    private mutating func route(
        _ type: Int, _ flags: Int, _ destination: IPPrefix, _ kind: RouteKind, _ gateway: IPAddress?, _ index: Int32?,
        _ isOnlink: Bool, _ source: IPAddress?, _ table: RoutingTable?, _ metric: UInt32?
    ) {
        let table = (table ?? (kind == .local ? .local : .main)).number
        subjects.append("route \(destination)" + (gateway.map { " via \($0)" } ?? ""))
        let scope =
            kind == .local ? RT_SCOPE_HOST : kind == .unicast && gateway == nil ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE
        let header = rtmsg(
            rtm_family: destination.family.number, rtm_dst_len: UInt8(destination.length), rtm_src_len: 0, rtm_tos: 0,
            rtm_table: table < 256 ? UInt8(table) : UInt8(RT_TABLE_UNSPEC.rawValue), rtm_protocol: UInt8(RTPROT_STATIC),
            rtm_scope: UInt8(scope.rawValue), rtm_type: kind.number, rtm_flags: isOnlink ? UInt32(RTNH_F_ONLINK) : 0)
        builder.message(type, flags: flags, header) { message in
            message.attribute(Int(RTA_TABLE.rawValue), table)
            if destination.length > 0 { message.attribute(Int(RTA_DST.rawValue), destination.address.bytes) }
            if let gateway { message.attribute(Int(RTA_GATEWAY.rawValue), gateway.bytes) }
            if let index { message.attribute(Int(RTA_OIF.rawValue), index) }
            if let source { message.attribute(Int(RTA_PREFSRC.rawValue), source.bytes) }
            if let metric { message.attribute(Int(RTA_PRIORITY.rawValue), metric) }
        }
    }

    /// Has packets with a mark routed by `table`, as `ip rule add fwmark MARK lookup TABLE` does.
    package mutating func addRule(family: IPFamily, mark: UInt32, table: RoutingTable) {
        subjects.append("rule for mark \(mark)")
        let number = table.number
        // struct fib_rule_hdr has the layout of struct rtmsg.
        let header = rtmsg(
            rtm_family: family.number, rtm_dst_len: 0, rtm_src_len: 0, rtm_tos: 0,
            rtm_table: number < 256 ? UInt8(number) : UInt8(RT_TABLE_UNSPEC.rawValue), rtm_protocol: 0, rtm_scope: 0,
            rtm_type: UInt8(FR_ACT_TO_TBL), rtm_flags: 0)
        builder.message(Int(RTM_NEWRULE), flags: Self.create, header) { message in
            message.attribute(Int(FRA_TABLE), number)
            message.attribute(Int(FRA_FWMARK), mark)
        }
    }

    /// Tells the kernel a neighbour's hardware address for good, so that the first packet need not ask for it.
    package mutating func addNeighbour(_ address: IPAddress, at hardware: MACAddress, link index: Int32) {
        subjects.append("neighbour \(address) of link \(index)")
        let header = ndmsg(
            ndm_family: address.family.number, ndm_pad1: 0, ndm_pad2: 0, ndm_ifindex: index,
            ndm_state: UInt16(NUD_PERMANENT), ndm_flags: 0, ndm_type: UInt8(RTN_UNICAST))
        builder.message(Int(RTM_NEWNEIGH), flags: Int(NLM_F_CREATE) | Int(NLM_F_REPLACE), header) { message in
            message.attribute(Int(NDA_DST), address.bytes)
            message.attribute(Int(NDA_LLADDR), hardware.bytes)
        }
    }

    private static func link(_ index: Int32, isUp: Bool?) -> ifinfomsg {
        let flag = UInt32(IFF_UP.rawValue)
        return ifinfomsg(
            ifi_family: UInt8(AF_UNSPEC), __ifi_pad: 0, ifi_type: 0, ifi_index: index,
            ifi_flags: isUp == true ? flag : 0, ifi_change: isUp == nil ? 0 : flag)
    }
}

extension IPFamily {
    /// `AF_INET` or `AF_INET6`.
    package var number: UInt8 { self == .ipv4 ? UInt8(AF_INET) : UInt8(AF_INET6) }
}
