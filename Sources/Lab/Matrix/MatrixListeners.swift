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

    private struct Socket {
        var descriptor: FileDescriptor
        var transport: IPProtocol
        var endpoint: IPEndpoint
    }

    private struct Raw: Hashable {
        var pod: Int
        var address: IPAddress
    }

    private let witness: MatrixWitness
    /// First the witness' own event, then one for each of the sockets.
    private var polled: [pollfd]
    private var sockets: [Socket] = []
    /// Those that hear of every port of their address.
    private var raw: Set<Raw> = []
    private(set) var places: Set<Place> = []

    init(_ witness: MatrixWitness) {
        self.witness = witness
        polled = [pollfd(fd: witness.event.number, events: Int16(POLLIN), revents: 0)]
    }

    /// Listens at a pod's address, in whose namespace the calling thread is; not where somebody else does.
    func listen(at endpoint: IPEndpoint, _ place: Place) {
        if place.transport == .sctp, !raw.insert(Raw(pod: place.pod, address: endpoint.address)).inserted {
            places.insert(place)
            return
        }
        guard let number = MatrixSocket.bound(place.transport, at: endpoint, reusesAddress: place.transport == .tcp)
        else { return }
        let descriptor = FileDescriptor(owning: number)
        if place.transport == .tcp, Glibc.listen(number, 4096) != 0 { return }
        polled.append(pollfd(fd: number, events: Int16(POLLIN), revents: 0))
        sockets.append(Socket(descriptor: descriptor, transport: place.transport, endpoint: endpoint))
        places.insert(place)
    }

    /// Tells the witness of all that has come; waits at most so long for something to come.
    func collect(timeoutMs: CInt) {
        guard poll(&polled, nfds_t(polled.count), timeoutMs) > 0 else { return }
        for (number, entry) in polled.enumerated().dropFirst() where entry.revents != 0 { take(sockets[number - 1]) }
    }

    private func take(_ socket: Socket) {
        let number = socket.descriptor.number
        if socket.transport == .sctp {
            while let packet = MatrixSocket.receiveInitiation(number) {
                guard let ports = packet.ports else { continue }
                witness.reached(
                    .sctp, from: IPEndpoint(packet.peer, ports.from), at: IPEndpoint(socket.endpoint.address, ports.to))
            }
            return
        }
        let isTCP = socket.transport == .tcp
        while let peer = isTCP ? MatrixSocket.acceptAndAbort(number) : MatrixSocket.receive(number) {
            witness.reached(socket.transport, from: peer, at: socket.endpoint)
        }
    }
}
