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
        var sockets = [CInt?](repeating: nil, count: questions.count)
        defer { for socket in sockets.compactMap(\.self) { MatrixSocket.abort(socket) } }
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
                if MatrixSocket.error(of: socket) != 0 { witness.refused(number) }
            }
            if now - sent > Self.again {
                sent = now
                for (number, socket) in sockets.enumerated()
                where questions[number].transport == .udp && !witness.isDecided(number) {
                    if let socket { _ = MatrixSocket.send(socket) }
                }
            }
            if witness.undecided > 0 { listeners.collect(timeoutMs: 20) }
        }
        return zip(questions, witness.outcome.seen).map { question, seen in
            Answer(cell: question.cell, outcome: Self.outcome(of: seen), drop: seen.drop)
        }
    }

    /// The socket that asks; nil where it could not be asked.
    private func send(_ question: Question, _ number: Int, from source: Source) -> CInt? {
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
            switch MatrixSocket.connect(socket, to: question.target) {
            case .underWay: if question.transport == .udp, !MatrixSocket.send(socket) { witness.refused(number) }
            case .failed: witness.refused(number)
            }
            return socket
        }
        return nil
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
