import Glibc
import Netlink
import NetworkAddresses

/// Listens in many pods at once and tells the witness who has come.
final class MatrixListeners {
    /// A place where a question may arrive.
    struct Place: Hashable {
        var pod: Int
        var family: IPFamily
        var transport: IPProtocol
        var port: UInt16
    }

    private let witness: MatrixWitness
    /// First the witness' own event, then one for each of the sockets.
    private var polled: [pollfd]
    private var sockets: [(descriptor: FileDescriptor, transport: IPProtocol)] = []
    private(set) var places: Set<Place> = []

    init(_ witness: MatrixWitness) {
        self.witness = witness
        polled = [pollfd(fd: witness.event.number, events: Int16(POLLIN), revents: 0)]
    }

    /// Listens at a pod's address, in whose namespace the calling thread is; not where somebody else does.
    func listen(at endpoint: IPEndpoint, _ place: Place) {
        guard let number = MatrixSocket.bound(place.transport, at: endpoint, reusesAddress: place.transport == .tcp)
        else { return }
        let descriptor = FileDescriptor(owning: number)
        if place.transport == .tcp, Glibc.listen(number, 4096) != 0 { return }
        polled.append(pollfd(fd: number, events: Int16(POLLIN), revents: 0))
        sockets.append((descriptor, place.transport))
        places.insert(place)
    }

    /// Tells the witness of all that has come; waits at most so long for something to come.
    func collect(timeoutMs: CInt) {
        guard poll(&polled, nfds_t(polled.count), timeoutMs) > 0 else { return }
        for (number, entry) in polled.enumerated().dropFirst() where entry.revents != 0 { take(sockets[number - 1]) }
    }

    private func take(_ socket: (descriptor: FileDescriptor, transport: IPProtocol)) {
        let number = socket.descriptor.number
        let isTCP = socket.transport == .tcp
        while let peer = isTCP ? MatrixSocket.acceptAndAbort(number) : MatrixSocket.receive(number) {
            witness.reached(socket.transport, from: peer)
        }
    }
}
