import Evidence
import Glibc
import Manifests
import Netlink
import NetworkAddresses

/// Asks the questions of a matrix between pods that no proxy stands in front of, as fast as the kernel answers them.
///
/// A question is a connection that is begun, or a datagram, from a port of its own. On links between namespaces a packet
/// is where it goes, or dropped and logged, before the call that sends it returns; so a batch of questions is sent, and
/// then what became of it is read off: from the listeners, from the packet logs, from the sockets. Whatever is not
/// decided then is waited for.
struct MatrixProber {
    /// Who asks.
    struct Source {
        var namespace: NetworkNamespace
        var addresses: [IPAddress]
    }

    /// Whom a source asks.
    struct Question {
        var transport: IPProtocol
        var target: IPEndpoint
        /// The place in the results.
        var cell: Int
    }

    /// What became of a question.
    struct Answer {
        var cell: Int
        var outcome: MatrixCell
        /// The drop log's prefix.
        var drop: String?
        /// What was asked, and where it went as far as the node could see; nil: it was never sent, or nobody told.
        var packet: Packet?
    }

    /// A question's first packet.
    struct Packet {
        var source: IPAddress
        var question: Question
        /// After a Service's translation.
        var destination: IPEndpoint
    }

    let witness: MatrixWitness
    let listeners: MatrixListeners
    let ports: SourcePorts
    /// Reads the packet logs up to now.
    let drain: () -> Void

    private static let batch = 256
    /// How long an answer may take that is neither there at once nor logged as dropped. The kernel sends a first packet
    /// again after a second; a datagram is sent again here.
    private static let patience = Duration.seconds(3)
    private static let again = Duration.seconds(1)

    /// The answers to all questions of a source.
    func ask(_ questions: [Question], from source: Source) throws -> [Answer] {
        var answers: [Answer] = []
        answers.reserveCapacity(questions.count)
        var rest = questions[...]
        while !rest.isEmpty {
            answers += try askBatch(Array(rest.prefix(Self.batch)), from: source)
            rest = rest.dropFirst(Self.batch)
        }
        return answers
    }

    private func askBatch(_ questions: [Question], from source: Source) throws -> [Answer] {
        witness.begin(questions.count)
        var sockets = [Asking?](repeating: nil, count: questions.count)
        defer { for socket in sockets.compactMap(\.self) { MatrixSocket.abort(socket.descriptor) } }
        try source.namespace.enter {
            for (number, question) in questions.enumerated() {
                sockets[number] = send(question, number, from: source)
            }
        }
        let start = ContinuousClock.now
        var sent = start
        while true {
            listeners.collect(timeoutMs: 0)
            drain()
            let now = ContinuousClock.now
            if witness.undecided == 0 || now - start > Self.patience { break }
            for (number, socket) in sockets.enumerated() where !witness.isDecided(number) {
                guard let socket else { continue }
                if MatrixSocket.error(of: socket.descriptor) != 0 { witness.refused(number) }
            }
            if now - sent > Self.again {
                sent = now
                for (number, socket) in sockets.enumerated()
                where questions[number].transport != .tcp && !witness.isDecided(number) {
                    if let socket { _ = MatrixSocket.send(socket.bytes, over: socket.descriptor) }
                }
            }
            if witness.undecided > 0 { listeners.collect(timeoutMs: 20) }
        }
        return zip(zip(questions, sockets), witness.outcome.seen).map { asked, seen in
            let (question, socket) = asked
            var answer = Answer(cell: question.cell, outcome: Self.outcome(of: seen), drop: seen.drop)
            if let socket, let destination = seen.destination {
                answer.packet = Packet(source: socket.source, question: question, destination: destination)
            }
            return answer
        }
    }

    /// A socket that has asked.
    private struct Asking {
        var descriptor: CInt
        var source: IPAddress
        /// What is sent again; nothing of a connection, which the kernel begins.
        var bytes: [UInt8]
    }

    /// The socket that asks; nil where it could not be asked.
    private func send(_ question: Question, _ number: Int, from source: Source) -> Asking? {
        let family = question.target.address.family
        guard let address = source.addresses.first(where: { $0.family == family }) else {
            witness.refused(number)
            return nil
        }
        // A server of the pod may have the port.
        for _ in 0..<64 {
            let local = IPEndpoint(address, ports.take(for: address))
            guard let socket = MatrixSocket.bound(question.transport, at: local) else { continue }
            witness.ask(number, question.transport, from: local)
            let bytes = Self.bytes(question, from: local.port)
            switch MatrixSocket.connect(socket, question.transport, to: question.target) {
            case .underWay:
                if !bytes.isEmpty, !MatrixSocket.send(bytes, over: socket) { witness.refused(number) }
            case .failed: witness.refused(number)
            }
            return Asking(descriptor: socket, source: address, bytes: bytes)
        }
        return nil
    }

    private static func bytes(_ question: Question, from port: UInt16) -> [UInt8] {
        switch question.transport {
        case .tcp: []
        case .sctp: SCTPPacket(.initiate, from: port, to: question.target.port).bytes
        default: [UInt8(ascii: "?")]
        }
    }

    private static func outcome(of seen: MatrixWitness.Seen) -> MatrixCell {
        switch (seen.wasReached, seen.drop, seen.wasRefused) {
        // Both can't be.
        case (true, .some, _): .inconclusive
        case (true, nil, _): .reached
        case (false, .some, _): .denied
        case (false, nil, true): .failed
        case (false, nil, false): .inconclusive
        }
    }
}
