import Dispatch
import Glibc

/// Calls back on the signals that ask a program to end.
final class SignalWatch {
    private let sources: [any DispatchSourceSignal]

    /// `onSignal` gets each signal, on a queue of its own.
    init(_ signals: [Int32], onSignal: @escaping @Sendable (Int32) -> Void) {
        let queue = DispatchQueue(label: "signals")
        sources = signals.map { number in
            signal(number, SIG_IGN)
            let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
            source.setEventHandler { onSignal(number) }
            source.activate()
            return source
        }
    }

    deinit { for source in sources { source.cancel() } }
}
