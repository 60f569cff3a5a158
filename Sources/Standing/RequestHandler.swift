package import Control
import Foundation
import Lab

/// Carries out what commands ask of a lab that stays up.
package final class RequestHandler: ControlServer.Handler {
    private let lab: StandingLab
    private let name: String
    /// Ends the lab's process.
    private let end: @Sendable () -> Void
    private let failure = FirstFailure()

    package init(lab: StandingLab, name: String, end: @escaping @Sendable () -> Void) {
        self.lab = lab
        self.name = name
        self.end = end
        Task { [failure, lab] in await failure.set("\(lab.failure())") }
    }

    package func handle(_ request: ControlRequest, _ call: ControlCall) async -> Int32 {
        if case .down = request {
            end()
            return 0
        }
        // What follows could not be trusted.
        if let text = await failure.text {
            call.diagnose("egress-lab: lab '\(name)' has failed: \(text)")
            call.diagnose("take it away with egress-lab down --name \(name)")
            return 4
        }
        do {
            return try await carryOut(request, call)
        } catch let refusal as Refusal {
            call.diagnose(refusal.message)
            return refusal.status
        } catch is CancellationError {
            return 130
        } catch {
            call.diagnose("egress-lab: \(error)")
            return 4
        }
    }

    private func carryOut(_ request: ControlRequest, _ call: ControlCall) async throws -> Int32 {
        func tell(_ report: ChangeReport) -> Int32 {
            for note in report.notes { call.diagnose("\(note)") }
            call.output(report.lines.map { $0 + "\n" }.joined())
            return 0
        }
        func tell(_ answer: Answer) -> Int32 {
            if !answer.output.isEmpty { call.output(answer.output) }
            if !answer.diagnostics.isEmpty { call.diagnose(String(answer.diagnostics.dropLast())) }
            return answer.status
        }
        switch request {
        case .down: return 0
        case .status(let request): return try await lab.status(request, name: name, call)
        case .apply(let request): return tell(try await lab.apply(request))
        case .delete(let request): return tell(try await lab.delete(request))
        case .edit(let request): return tell(try await lab.edit(request))
        case .restart(let selections): return tell(try await lab.restart(selections))
        case .outboundTrafficPolicy(let mode): return tell(try await lab.set(mode))
        case .get(let request): return tell(try await lab.get(request))
        case .logs(let request): return try await lab.logs(request, call)
        case .statistics(let request): return tell(try await lab.statistics(request))
        case .execute(let request): return try await lab.execute(request, call)
        }
    }
}

/// What the lab first failed of.
private actor FirstFailure {
    private(set) var text: String?

    func set(_ text: String) { if self.text == nil { self.text = text } }
}
