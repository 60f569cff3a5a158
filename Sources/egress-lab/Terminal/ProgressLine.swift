import Evidence
import Glibc
import Lab
import Synchronization

/// One line on a terminal's standard error that tells how far the run is; nothing anywhere else.
final class ProgressLine: Sendable {
    private struct State {
        var finished = 0
        var unexpected = 0
        /// What each running scenario is at.
        var running: [(scenario: String, step: String)] = []
        var isShown = false
    }

    private let total: Int
    private let isOn: Bool
    private let width: Int
    private let state = Mutex(State())

    init(total: Int, isOn: Bool = Console.diagnosticsAreTerminal) {
        self.total = total
        self.isOn = isOn
        width = Self.terminalWidth
    }

    func tell(_ progress: SuiteProgress) {
        guard isOn else { return }
        state.withLock { state in
            switch progress {
            case .started(let name): state.running.append((name, "setting up"))
            case .step(let scenario, let step):
                if let index = state.running.firstIndex(where: { $0.scenario == scenario }) {
                    state.running[index].step = step
                }
            case .finished(let result):
                state.finished += 1
                if result.result != .passed { state.unexpected += 1 }
                if let index = state.running.firstIndex(where: { $0.scenario == result.name }) {
                    state.running.remove(at: index)
                }
            }
            draw(&state)
        }
    }

    /// Takes the line away.
    func clear() {
        state.withLock { state in
            if state.isShown { Console.draw("\r\u{1b}[K") }
            state.isShown = false
        }
    }

    private func draw(_ state: inout State) {
        var text = "[\(state.finished)/\(total)]"
        if state.unexpected > 0 { text += " \(state.unexpected) not passed" }
        if let newest = state.running.last { text += " \(newest.scenario): \(newest.step)" }
        if state.running.count > 1 { text += " (and \(state.running.count - 1) more)" }
        // A line that wraps could not be taken back.
        Console.draw("\r" + String(text.prefix(max(width - 1, 20))) + "\u{1b}[K")
        state.isShown = true
    }

    private static var terminalWidth: Int {
        var size = winsize()
        return ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 ? Int(size.ws_col) : 80
    }
}
