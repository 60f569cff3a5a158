import CLinux
import Foundation
import Glibc
package import Netlink
import Synchronization

/// The lab's side of its control socket: a thread for each connection, so that many terminals may use a lab at once.
package final class ControlServer: Sendable {
    /// Carries out requests.
    package protocol Handler: Sendable {
        /// Answers through `call`; the value is the exit status.
        func handle(_ request: ControlRequest, _ call: ControlCall) async -> Int32
    }

    private let socket: FileDescriptor
    private let handler: any Handler

    package init(socket: FileDescriptor, handler: any Handler) {
        self.socket = socket
        self.handler = handler
    }

    /// Takes connections on a thread of its own from now on.
    package func start() {
        let thread = Thread { [self] in
            while true {
                let number = clinux_accept(socket.number, nil, nil, 0)
                if number < 0 {
                    if errno == EINTR || errno == ECONNABORTED { continue }
                    // For want of descriptors or memory, and nothing tells when there are some again.
                    if errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS {
                        Thread.sleep(forTimeInterval: 0.05)
                        continue
                    }
                    return
                }
                serve(ControlConnection(FileDescriptor(owning: number)))
            }
        }
        thread.name = "control"
        thread.start()
    }

    private func serve(_ connection: ControlConnection) {
        let thread = Thread { [handler] in
            // The socket's mode keeps others out already.
            guard let user = connection.peerUser, user == geteuid() || user == 0 else { return }
            guard let first = try? connection.receive(ControlRequest.self) else { return }
            let call = ControlCall(connection, descriptors: first.descriptors)
            let work = Task {
                let status = await handler.handle(first.message, call)
                try? connection.send(ControlReply.end(status))
                connection.close()
            }
            // Until the client goes away, which ends what it asked for.
            while let next = try? connection.receive(ControlSignal.self) { call.deliver(next.message) }
            call.hangUp()
            work.cancel()
        }
        thread.stackSize = 512 << 10
        thread.start()
    }
}

/// One request that is being carried out.
package final class ControlCall: Sendable {
    private struct State {
        var onSignal: (@Sendable (ControlSignal) -> Void)?
        var early: [ControlSignal] = []
        var onHangUp: (@Sendable () -> Void)?
        var hasHungUp = false
    }

    /// What came with the request.
    package let descriptors: [FileDescriptor]
    private let connection: ControlConnection
    private let state = Mutex(State())

    init(_ connection: ControlConnection, descriptors: [FileDescriptor]) {
        self.connection = connection
        self.descriptors = descriptors
    }

    /// Writes to the client's standard output; false once it is gone.
    @discardableResult
    package func output(_ text: String) -> Bool { send(.output(text)) }

    /// Writes lines to the client's standard error.
    @discardableResult
    package func diagnose(_ text: String) -> Bool { send(.diagnostics(text + "\n")) }

    /// Hands the client the other end of a terminal.
    package func send(terminal: FileDescriptor) throws {
        try connection.send(ControlReply.terminal, descriptors: [terminal.number])
    }

    private func send(_ reply: ControlReply) -> Bool {
        do {
            try connection.send(reply)
            return true
        } catch {
            return false
        }
    }

    /// Calls `body` for each signal of the client's, also for those that came before.
    package func onSignal(_ body: @escaping @Sendable (ControlSignal) -> Void) {
        let early = state.withLock { state in
            state.onSignal = body
            defer { state.early = [] }
            return state.early
        }
        early.forEach(body)
    }

    /// Calls `body` once the client is gone; at once if it is.
    package func onHangUp(_ body: @escaping @Sendable () -> Void) {
        let isGone = state.withLock { state in
            state.onHangUp = body
            return state.hasHungUp
        }
        if isGone { body() }
    }

    package var hasHungUp: Bool { state.withLock { $0.hasHungUp } }

    func deliver(_ signal: ControlSignal) {
        let body = state.withLock { state in
            if state.onSignal == nil { state.early.append(signal) }
            return state.onSignal
        }
        body?(signal)
    }

    func hangUp() {
        let body = state.withLock { state in
            state.hasHungUp = true
            return state.onHangUp
        }
        body?()
    }
}
