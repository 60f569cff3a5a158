import Evidence
import Glibc
import Mesh
import NIOConcurrencyHelpers
import Netlink
import NetworkAddresses

/// Sees packets before the lab's own evidence does.
protocol PacketWitness: Sendable {
    /// True for a packet that is the witness's own business and no flow's.
    func take(_ packet: LoggedPacket) -> Bool
}

/// What is known of the questions of a matrix that are under way: each by the socket that asks.
///
/// It is told of dropped packets and of arrivals in the internet by the packet logs, and of arrivals in pods by those
/// who listen there; the one who waits is woken through `event`.
final class MatrixWitness: PacketWitness {
    /// What was seen of one question.
    struct Seen {
        var wasReached = false
        /// Where the packet went, after a Service's translation; nil: nobody told.
        var destination: IPEndpoint?
        /// The drop log's prefix.
        var drop: String?
        /// Somebody answered that nobody listens, or that there is no way.
        var wasRefused = false

        var isDecided: Bool { wasReached || drop != nil || wasRefused }
    }

    private struct State {
        var asked: [SocketKey: Int] = [:]
        var seen: [Seen] = []
        var undecided = 0
    }

    /// Readable once the last question under way is decided.
    let event: FileDescriptor
    private let bell: FileDescriptor
    private let state = NIOLockedValueBox(State())

    init() throws(KernelError) {
        var ends: [CInt] = [0, 0]
        guard pipe(&ends) == 0 else { throw KernelError("make", "a pipe", errno: errno) }
        (event, bell) = (FileDescriptor(owning: ends[0]), FileDescriptor(owning: ends[1]))
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
    }

    /// Begins with as many questions; none is known to be asked yet.
    func begin(_ count: Int) {
        state.withLockedValue { $0 = State(seen: Array(repeating: Seen(), count: count), undecided: count) }
        var byte: UInt8 = 0
        while read(event.number, &byte, 1) == 1 {}
    }

    /// Says which socket asks a question; before its first packet.
    func ask(_ question: Int, _ transport: IPProtocol, from source: IPEndpoint) {
        let key = SocketKey(transport, source)
        state.withLockedValue { $0.asked[key] = question }
    }

    /// Somebody got what the socket sent.
    func reached(_ transport: IPProtocol, from source: IPEndpoint, at destination: IPEndpoint) {
        note(SocketKey(transport, source)) {
            $0.wasReached = true
            $0.destination = destination
        }
    }

    /// The socket was told that there is nobody, or no way.
    func refused(_ question: Int) {
        let isLast = state.withLockedValue { state in Self.note(question, &state) { $0.wasRefused = true } }
        if isLast { wake() }
    }

    /// What is known of the questions, and how many are still open.
    var outcome: (seen: [Seen], undecided: Int) { state.withLockedValue { ($0.seen, $0.undecided) } }
    var undecided: Int { state.withLockedValue { $0.undecided } }
    func isDecided(_ question: Int) -> Bool { state.withLockedValue { $0.seen[question].isDecided } }

    func take(_ packet: LoggedPacket) -> Bool {
        guard let tuple = packet.tuple else { return false }
        let key = SocketKey(tuple)
        switch packet.group {
        case LabConstants.boundaryLogGroup: return state.withLockedValue { $0.asked[key] != nil }
        case LabConstants.arrivalLogGroup:
            return note(key) {
                $0.wasReached = true
                $0.destination = tuple.destination
            }
        default:
            return note(key) {
                $0.drop = packet.prefix
                $0.destination = tuple.destination
            }
        }
    }

    @discardableResult
    private func note(_ key: SocketKey, _ change: (inout Seen) -> Void) -> Bool {
        let (isOurs, isLast) = state.withLockedValue { state -> (Bool, Bool) in
            guard let question = state.asked[key] else { return (false, false) }
            return (true, Self.note(question, &state, change))
        }
        if isLast { wake() }
        return isOurs
    }

    /// True when nothing is open any more.
    private static func note(_ question: Int, _ state: inout State, _ change: (inout Seen) -> Void) -> Bool {
        guard state.seen.indices.contains(question) else { return false }
        let wasDecided = state.seen[question].isDecided
        change(&state.seen[question])
        guard !wasDecided, state.seen[question].isDecided else { return false }
        state.undecided -= 1
        return state.undecided == 0
    }

    private func wake() {
        var byte: UInt8 = 1
        _ = write(bell.number, &byte, 1)
    }
}

extension SocketKey {
    init(_ transport: IPProtocol, _ source: IPEndpoint) {
        self.init(FiveTuple(transport, from: source, to: source))
    }
}
