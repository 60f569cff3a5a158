import CLinux
import Control
import Dispatch
import Foundation
import Glibc
import Lab
import Mesh
import Netlink
import Synchronization

extension StandingLab {
    /// Runs a command in a pod with the caller's own standard input, output and error; the value is its exit status.
    nonisolated func execute(_ request: ExecuteRequest, _ call: ControlCall) async throws -> Int32 {
        let (pod, dns) = try await chosen(request.pod)
        guard let name = request.command.first else { throw Refusal("error: you must specify at least one command") }
        // The shell searches the PATH of the pod's process, and says what is wrong in its own words.
        var specification = try PodProcess(lab: lab, dns: dns).specification(
            "/bin/sh", ["-c", #"exec "$0" "$@""#, name] + request.command.dropFirst(), in: pod,
            container: request.pod.container)
        specification.workingDirectory = "/"
        var terminal: Terminal?
        if request.isTerminal {
            let made = try Terminal()
            terminal = made
            specification.descriptors = [0: made.child.number, 1: made.child.number, 2: made.child.number]
            specification.hasControllingTerminal = true
            specification.environment.append("TERM=\(request.terminalType ?? "xterm")")
            try call.send(terminal: made.controller)
        } else {
            guard call.descriptors.count == 3 else {
                throw Refusal("error: a command needs standard input, output and error", status: 4)
            }
            specification.descriptors = [
                0: call.descriptors[0].number, 1: call.descriptors[1].number, 2: call.descriptors[2].number,
            ]
        }
        let child = try ChildProcess.spawn(specification)
        terminal = nil
        call.onSignal { if case .signal(let number) = $0 { try? child.send(signal: number) } }
        call.onHangUp { child.kill() }
        let status = try await child.ended()
        withExtendedLifetime(terminal) {}
        switch status {
        case .exited(let code): return code
        // As a shell reports it.
        case .signalled(let signal): return 128 + signal
        }
    }

    private func chosen(_ selection: PodSelection) async throws -> (RunningPod, DNSPlan) {
        guard let pod = try await pods(selection).first else { throw Refusal("error: no such pod") }
        try check(selection.container, of: pod)
        return (pod, plan.dns)
    }
}

/// A pseudo-terminal: what is typed and shown on one side, the program on the other.
private struct Terminal {
    let controller: FileDescriptor
    let child: FileDescriptor

    init() throws(KernelError) {
        var (ours, its): (Int32, Int32) = (-1, -1)
        guard clinux_open_terminal(&ours, &its) == 0 else { throw KernelError("open", "a terminal", errno: errno) }
        controller = FileDescriptor(owning: ours)
        child = FileDescriptor(owning: its)
    }
}

extension ChildProcess {
    /// Returns when the child has ended, without blocking a thread.
    fileprivate func ended() async throws -> ExitStatus {
        let source = DispatchSource.makeReadSource(fileDescriptor: pidfd)
        await withCheckedContinuation { (done: CheckedContinuation<Void, Never>) in
            let isDone = Mutex(false)
            source.setEventHandler {
                let isFirst = isDone.withLock { value in
                    defer { value = true }
                    return !value
                }
                if isFirst { done.resume() }
            }
            source.activate()
        }
        source.cancel()
        guard let status = try wait(timeout: .seconds(5)) else {
            throw KernelError(.timedOut, "wait for", "process \(processID)", reason: "it did not end")
        }
        return status
    }
}
