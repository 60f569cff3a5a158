@preconcurrency import Dispatch
import NIOConcurrencyHelpers
import Netlink

/// Reads a lab's packet logs as they come, and on demand.
///
/// The kernel puts a log message into the socket while it handles the packet, so whoever has seen a packet's effect can
/// call `drain()` and be sure that what was logged on its way has been recorded.
final class PacketLogReader: Sendable {
    private let log: PacketLog
    private let deliver: @Sendable (LoggedPacket) -> Void
    private let onLoss: @Sendable (Int) -> Void
    private let reportedLoss = NIOLockedValueBox(0)
    // Dispatch sources may be used from any thread; the module does not say so yet.
    private let source: any DispatchSourceRead

    init(
        _ log: PacketLog, deliver: @escaping @Sendable (LoggedPacket) -> Void,
        onLoss: @escaping @Sendable (Int) -> Void
    ) {
        self.log = log
        self.deliver = deliver
        self.onLoss = onLoss
        source = DispatchSource.makeReadSource(
            fileDescriptor: log.fileDescriptor, queue: DispatchQueue(label: "packet-log"))
    }

    func start() {
        source.setEventHandler { [weak self] in self?.drain() }
        source.activate()
    }

    func stop() { source.cancel() }

    /// Records all that the kernel has logged up to now.
    func drain() {
        reportedLoss.withLockedValue { reported in
            do {
                for packet in try log.receive() { deliver(packet) }
            } catch {
                // A log that can't be read has lost whatever came since.
                onLoss(1)
            }
            let lost = log.lost
            if lost > reported { onLoss(lost - reported) }
            reported = lost
        }
    }
}
