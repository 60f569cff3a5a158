import CLinux
import Glibc
package import NetworkAddresses
import Synchronization

/// Changes and lists links, addresses and routes of the namespace in which it was made (rtnetlink).
///
/// Safe for use by several threads.
package final class RouteConnection: Sendable {
    /// A link as the kernel describes it.
    package struct Link: Sendable, Hashable {
        package let index: Int32
        package let name: String
        /// Whether it was taken up.
        package let isUp: Bool
        /// Whether it carries packets: up, and its peer, too.
        package let isOperational: Bool
        package let address: MACAddress?
    }

    /// An address of a link.
    package struct LinkAddress: Sendable, Hashable {
        package let index: Int32
        package let address: IPAddress
        package let prefixLength: Int
        /// IPv6 addresses can't be used while they are tentative.
        package let isTentative: Bool
    }

    private let socket: Mutex<NetlinkSocket>

    /// Connects to the calling thread's network namespace, for good.
    package init() throws(KernelError) {
        socket = Mutex(try NetlinkSocket(bus: Int32(NETLINK_ROUTE), name: "rtnetlink"))
    }

    /// Makes all changes of `batch`, in one system call.
    ///
    /// It is no transaction: the kernel goes on after a change that failed. The first failure is thrown.
    package func send(_ batch: RouteBatch) throws(KernelError) {
        guard !batch.isEmpty else { return }
        let (first, failures) = try socket.withLock { socket throws(KernelError) in
            let first = socket.sequences(batch.subjects.count)
            let bytes = batch.builder.numbered(from: first)
            try socket.send(bytes)
            return (first, try socket.failures(upTo: first &+ UInt32(batch.subjects.count - 1)))
        }
        guard let failure = failures.first else { return }
        let index = Int(failure.sequence &- first)
        let more = failures.count > 1 ? " (and \(failures.count - 1) more)" : ""
        throw KernelError(
            "configure", (batch.subjects.indices.contains(index) ? batch.subjects[index] : "the network") + more,
            errno: failure.errno, reason: failure.reason)
    }

    /// All links of the namespace.
    package func links() throws(KernelError) -> [Link] {
        try socket.withLock { socket throws(KernelError) in try Self.links(socket) }
    }

    /// All addresses of the namespace.
    package func addresses() throws(KernelError) -> [LinkAddress] {
        var result: [LinkAddress] = []
        try dump(Int(RTM_GETADDR), ifaddrmsg()) { header, payload in
            guard header.nlmsg_type == UInt16(RTM_NEWADDR), let item = Self.address(payload) else { return }
            result.append(item)
        }
        return result
    }

    /// Waits until all links with `indexes` carry packets; throws `.timedOut` with those that don't.
    ///
    /// A packet sent before that is lost in silence, and its retransmission comes a second later.
    package func waitUntilOperational(_ indexes: Set<Int32>, timeout: Duration) throws(KernelError) {
        try socket.withLock { socket throws(KernelError) in
            // The events first, the listing second: so nothing falls in between.
            socket.set(SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, Int32(RTNLGRP_LINK.rawValue))
            defer { socket.set(SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, Int32(RTNLGRP_LINK.rawValue)) }
            var waiting = indexes
            for link in try Self.links(socket, includingEvents: true) where link.isOperational {
                waiting.remove(link.index)
            }
            let deadline = ContinuousClock.now + timeout
            while !waiting.isEmpty {
                var entry = pollfd(fd: socket.fileDescriptor, events: Int16(POLLIN), revents: 0)
                let left = (deadline - .now).roundedUpMilliseconds
                guard left > 0 else {
                    let names = waiting.sorted().map(String.init).joined(separator: ", ")
                    throw KernelError(.timedOut, "wait for", "links \(names)", reason: "no carrier after \(timeout)")
                }
                if poll(&entry, 1, Int32(clamping: min(left, 20))) == 0 {
                    // It may fail without harm: the kernel comes back by itself.
                    try? Self.hurryLinkWatch()
                }
                do throws(KernelError) {
                    while try socket.receiveOnce({ header, payload in
                        guard header.nlmsg_type == UInt16(RTM_NEWLINK), let link = Self.link(payload) else { return }
                        if link.isOperational { waiting.remove(link.index) }
                    }) {}
                } catch  where error.errno == ENOBUFS {
                    // Events were lost: list again.
                    for link in try Self.links(socket, includingEvents: true) where link.isOperational {
                        waiting.remove(link.index)
                    }
                }
            }
        }
    }

    /// Takes links up and waits until they carry packets.
    package func bringUp(_ indexes: [Int32], timeout: Duration) throws(KernelError) {
        var batch = RouteBatch()
        for index in indexes { batch.setLink(index: index, isUp: true) }
        try send(batch)
        try waitUntilOperational(Set(indexes), timeout: timeout)
    }

    /// Has the kernel look at pending changes of carrier now.
    ///
    /// It handles a hundred of them, those of new links that are still down among them, and leaves the rest for a
    /// second later (`__linkwatch_run_queue`), unless an urgent one comes: such as that of a veth pair getting its
    /// carrier, in any namespace. So make one, in a namespace that is thrown away.
    private static func hurryLinkWatch() throws {
        let namespace = try NetworkNamespace.create()
        var batch = RouteBatch()
        batch.addVeth(.init(name: "a", index: 2), peer: .init(name: "b", index: 3), in: namespace)
        batch.setLink(index: 3, isUp: true)
        try namespace.enter { try RouteConnection().send(batch) }
    }

    private func dump(
        _ type: Int, _ header: some Any, _ body: (nlmsghdr, UnsafeRawBufferPointer) -> Void
    ) throws(KernelError) {
        try socket.withLock { socket throws(KernelError) in try Self.dump(socket, type, header, body) }
    }

    private static func dump(
        _ socket: NetlinkSocket, _ type: Int, _ header: some Any, includingEvents: Bool = false,
        _ body: (nlmsghdr, UnsafeRawBufferPointer) -> Void
    ) throws(KernelError) {
        var builder = NetlinkMessageBuilder()
        builder.message(type, flags: Int(NLM_F_DUMP), header)
        let sequence = socket.sequences(1)
        try socket.dump(
            builder.numbered(from: sequence, acknowledging: false), sequence: sequence,
            includingEvents: includingEvents, body)
    }

    private static func links(
        _ socket: NetlinkSocket, includingEvents: Bool = false
    ) throws(KernelError) -> [Link] {
        var result: [Link] = []
        try dump(socket, Int(RTM_GETLINK), ifinfomsg(), includingEvents: includingEvents) { header, payload in
            guard header.nlmsg_type == UInt16(RTM_NEWLINK), let link = link(payload) else { return }
            result.append(link)
        }
        return result
    }

    private static func link(_ payload: UnsafeRawBufferPointer) -> Link? {
        let size = MemoryLayout<ifinfomsg>.size
        guard payload.count >= size else { return nil }
        let header = payload.loadUnaligned(as: ifinfomsg.self)
        var name = ""
        var state: UInt8 = 0
        var address: MACAddress?
        NetlinkAttributes.forEach(UnsafeRawBufferPointer(rebasing: payload[size...])) { type, value in
            switch Int(type) {
            case Int(IFLA_IFNAME): name = NetlinkAttributes.string(value)
            case Int(IFLA_OPERSTATE): state = value.first ?? 0
            case Int(IFLA_ADDRESS): address = MACAddress(bytes: value)
            default: break
            }
        }
        let isUp = header.ifi_flags & UInt32(IFF_UP.rawValue) != 0
        let isLoopback = header.ifi_flags & UInt32(IFF_LOOPBACK.rawValue) != 0
        // IF_OPER_UP is 6. A link without state (0) may claim to be running, but still have no queue; just `lo` stays so.
        return Link(
            index: header.ifi_index, name: name, isUp: isUp, isOperational: isUp && (isLoopback || state == 6),
            address: address)
    }

    private static func address(_ payload: UnsafeRawBufferPointer) -> LinkAddress? {
        let size = MemoryLayout<ifaddrmsg>.size
        guard payload.count >= size else { return nil }
        let header = payload.loadUnaligned(as: ifaddrmsg.self)
        var (local, remote): (IPAddress?, IPAddress?)
        var flags = UInt32(header.ifa_flags)
        NetlinkAttributes.forEach(UnsafeRawBufferPointer(rebasing: payload[size...])) { type, value in
            switch Int(type) {
            case Int(IFA_LOCAL): local = IPAddress(bytes: value)
            case Int(IFA_ADDRESS): remote = IPAddress(bytes: value)
            case Int(IFA_FLAGS): flags = NetlinkAttributes.number(value, as: UInt32.self) ?? flags
            default: break
            }
        }
        guard let address = local ?? remote else { return nil }
        return LinkAddress(
            index: Int32(bitPattern: header.ifa_index), address: address, prefixLength: Int(header.ifa_prefixlen),
            isTentative: flags & UInt32(IFA_F_TENTATIVE) != 0)
    }
}
