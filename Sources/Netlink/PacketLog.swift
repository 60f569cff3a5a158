import CLinux
import Glibc
import Synchronization

/// Receives the packets that `log group` rules of one namespace report (NFLOG). See `linux/netfilter/nfnetlink_log.h`.
///
/// One receiver can have a group in a namespace; a second is refused.
package final class PacketLog: Sendable {
    private struct State {
        let socket: NetlinkSocket
        var lost = 0
        /// An overrun was reported whose size the next gap will tell.
        var hasUncountedLoss = false
        var nextSequence: [UInt16: UInt32] = [:]
    }

    private let state: Mutex<State>

    /// Becomes readable when packets have arrived.
    package let fileDescriptor: Int32

    /// Binds `groups` in the calling thread's network namespace, for good.
    ///
    /// - Parameters:
    ///   - copyLength: how many bytes of a packet are copied at most; a rule's `snaplen` can only lower it.
    ///   - bufferSize: the receive buffer; when it is full, packets are lost and counted.
    package init(groups: [UInt16], copyLength: UInt32 = 0xffff, bufferSize: Int32 = 16 << 20) throws(KernelError) {
        let socket = try NetlinkSocket(bus: Int32(NETLINK_NETFILTER), name: "packet log")
        fileDescriptor = socket.fileDescriptor
        if !socket.set(SOL_SOCKET, SO_RCVBUFFORCE, bufferSize) { socket.set(SOL_SOCKET, SO_RCVBUF, bufferSize) }
        state = Mutex(State(socket: socket))
        for group in groups { try Self.bind(group, copyLength, socket) }
    }

    /// How many packets are known to be lost since the beginning: gaps in the sequence, and overruns not yet sized.
    ///
    /// Whatever was concluded from the absence of a packet is inconclusive once this is not 0.
    package var lost: Int { state.withLock { $0.lost } }

    /// The packets that have arrived, without waiting; none if there are none.
    package func receive() throws(KernelError) -> [LoggedPacket] {
        try state.withLock { state throws(KernelError) in
            var packets: [LoggedPacket] = []
            while true {
                do throws(KernelError) {
                    guard
                        try state.socket.receiveOnce({ header, payload in
                            guard header.nlmsg_type == Self.packetType, let packet = Self.packet(payload) else {
                                return
                            }
                            packets.append(packet)
                        })
                    else { break }
                } catch  where error.errno == ENOBUFS {
                    // The kernel says just once that there was no room; by how many packets shows at the next one.
                    if !state.hasUncountedLoss {
                        state.lost += 1
                        state.hasUncountedLoss = true
                    }
                }
            }
            for packet in packets { Self.note(packet, &state) }
            return packets
        }
    }

    /// Waits until packets have arrived, or `timeout` is over; then it returns none.
    package func receive(timeout: Duration) throws(KernelError) -> [LoggedPacket] {
        let deadline = ContinuousClock.now + timeout
        while true {
            let packets = try receive()
            let left = (deadline - .now).roundedUpMilliseconds
            if !packets.isEmpty || left <= 0 { return packets }
            var entry = pollfd(fd: fileDescriptor, events: Int16(POLLIN), revents: 0)
            poll(&entry, 1, Int32(clamping: left))
        }
    }

    private static func note(_ packet: LoggedPacket, _ state: inout State) {
        guard let sequence = packet.sequence else { return }
        if let expected = state.nextSequence[packet.group], sequence != expected {
            let missing = Int(sequence &- expected)
            state.lost += state.hasUncountedLoss ? missing - 1 : missing
            state.hasUncountedLoss = false
        } else if state.nextSequence[packet.group] == nil, sequence > 0 {
            state.lost += Int(sequence)
        }
        state.nextSequence[packet.group] = sequence &+ 1
    }

    private static let packetType = UInt16(NFNL_SUBSYS_ULOG) << 8 | UInt16(NFULNL_MSG_PACKET.rawValue)

    private static func bind(_ group: UInt16, _ copyLength: UInt32, _ socket: NetlinkSocket) throws(KernelError) {
        var builder = NetlinkMessageBuilder()
        let type = Int(NFNL_SUBSYS_ULOG) << 8 | Int(NFULNL_MSG_CONFIG.rawValue)
        let header = nfgenmsg(
            nfgen_family: UInt8(AF_UNSPEC), version: UInt8(NFNETLINK_V0), res_id: group.bigEndian)
        builder.message(type, flags: 0, header) { message in
            let command = nfulnl_msg_config_cmd(command: UInt8(NFULNL_CFG_CMD_BIND.rawValue))
            message.attribute(Int(NFULA_CFG_CMD.rawValue), structure: command)
            let mode = nfulnl_msg_config_mode(
                copy_range: copyLength.bigEndian, copy_mode: UInt8(NFULNL_COPY_PACKET), _pad: 0)
            message.attribute(Int(NFULA_CFG_MODE.rawValue), structure: mode)
            // Without it the kernel waits up to a second to send several packets together.
            message.attribute(Int(NFULA_CFG_QTHRESH.rawValue), UInt32(1).bigEndian)
            message.attribute(Int(NFULA_CFG_FLAGS.rawValue), UInt16(NFULNL_CFG_F_SEQ).bigEndian)
        }
        let sequence = socket.sequences(1)
        try socket.send(builder.numbered(from: sequence))
        guard let failure = try socket.failures(upTo: sequence).first else { return }
        // EPERM has two meanings here, and root can only have met the second.
        let isTaken = failure.errno == EPERM || failure.errno == EBUSY
        throw KernelError(
            "receive", "log group \(group)", errno: failure.errno, reason: failure.reason,
            remedy: isTaken ? "another receiver has this group, or root is missing" : nil)
    }

    private static func packet(_ message: UnsafeRawBufferPointer) -> LoggedPacket? {
        let size = MemoryLayout<nfgenmsg>.size
        guard message.count >= size else { return nil }
        let header = message.loadUnaligned(as: nfgenmsg.self)
        var packet = LoggedPacket(group: UInt16(bigEndian: header.res_id), prefix: "")
        func number(_ value: UnsafeRawBufferPointer) -> UInt32? {
            NetlinkAttributes.number(value, as: UInt32.self).map(UInt32.init(bigEndian:))
        }
        NetlinkAttributes.forEach(UnsafeRawBufferPointer(rebasing: message[size...])) { type, value in
            switch UInt32(type) {
            case NFULA_PREFIX.rawValue: packet.prefix = NetlinkAttributes.string(value)
            case NFULA_PAYLOAD.rawValue: packet.bytes = Array(value)
            case NFULA_UID.rawValue: packet.uid = number(value)
            case NFULA_GID.rawValue: packet.gid = number(value)
            case NFULA_MARK.rawValue: packet.mark = number(value)
            case NFULA_IFINDEX_INDEV.rawValue: packet.inInterface = number(value)
            case NFULA_IFINDEX_OUTDEV.rawValue: packet.outInterface = number(value)
            case NFULA_SEQ.rawValue: packet.sequence = number(value)
            case NFULA_TIMESTAMP.rawValue where value.count >= 16:
                // struct nfulnl_msg_packet_timestamp { __aligned_be64 sec; __aligned_be64 usec; }
                let seconds = UInt64(bigEndian: value.loadUnaligned(as: UInt64.self))
                let micros = UInt64(bigEndian: value.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
                packet.timestamp = seconds &* 1_000_000_000 &+ micros &* 1000
            default: break
            }
        }
        let parser = IPPacketParser(packet.bytes)
        (packet.tuple, packet.tcpFlags, packet.tcpSequence, packet.isLaterFragment) =
            (parser.tuple, parser.tcpFlags, parser.tcpSequence, parser.isLaterFragment)
        if let offset = parser.payloadOffset { packet.payload = Array(packet.bytes[offset...]) }
        return packet
    }
}
