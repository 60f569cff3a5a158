import ArgumentParser
import Control
import Foundation
import Glibc
import Netlink

/// Which of the labs that stay up a command is for.
struct LabOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Which lab, where several are up. (default: $EGRESS_LAB_NAME)", valueName: "name"))
    var name: String?

    /// The name given, else the environment's.
    var chosen: String? { name ?? Self.environment }
    static var environment: String? {
        ProcessInfo.processInfo.environment["EGRESS_LAB_NAME"].flatMap { $0.isEmpty ? nil : $0 }
    }
}

/// A command's side of a request to a lab.
struct LabClient {
    private let connection: ControlConnection

    /// Connects to the lab that the options mean, after telling what is missing.
    init(_ options: LabOptions) throws {
        guard geteuid() == 0 else {
            throw Failure(
                status: .cannotRun, message: "egress-lab: labs are root's alone; run this with sudo")
        }
        do {
            connection = try LabRegistry().connect(options.chosen)
        } catch let failure as LabRegistry.Failure {
            throw Failure.input("\(failure)")
        } catch {
            throw Failure(status: .labFailed, message: "\(error)")
        }
    }

    /// Sends the request, prints what comes back, and ends the command with the answer's status.
    func run(_ request: ControlRequest, descriptors: [Int32] = []) throws -> Never {
        let status = try answer(to: request, descriptors: descriptors)
        if case .execute = request, status != 0 {
            Console.diagnose("command terminated with exit code \(status)")
        }
        // Beyond the tool's own statuses: a command in a pod has its own.
        exit(status)
    }

    /// Takes the lab away.
    func end() throws { _ = try answer(to: .down, descriptors: []) }

    private func answer(to request: ControlRequest, descriptors: [Int32]) throws -> Int32 {
        var terminal: RawTerminal?
        // Of a command in a pod, not of this one: it decides what ^C means.
        var watch: SignalWatch?
        if case .execute(let execution) = request, !execution.isTerminal {
            watch = SignalWatch([SIGINT, SIGTERM, SIGHUP, SIGQUIT]) { [connection] number in
                try? connection.send(ControlSignal.signal(number))
            }
        }
        defer {
            terminal?.restore()
            withExtendedLifetime(watch) {}
        }
        try connection.send(request, descriptors: descriptors)
        while let received = try connection.receive(ControlReply.self) {
            switch received.message {
            case .output(let text): Console.report(text)
            case .diagnostics(let text): Console.diagnose(String(text.dropLast()))
            case .terminal:
                guard let controller = received.descriptors.first else { continue }
                terminal = RawTerminal(controller)
            case .end(let status):
                terminal?.drain()
                return status
            }
        }
        terminal?.restore()
        terminal = nil
        throw Failure(status: .labFailed, message: "egress-lab: the lab ended before it had answered")
    }
}

/// The user's terminal joined to that of a command in a pod: every key goes there, everything shown comes from there.
private final class RawTerminal {
    private let controller: FileDescriptor
    private let before: termios?
    private let isDone = DispatchSemaphore(value: 0)
    private let resized: SignalWatch

    init(_ controller: FileDescriptor) {
        self.controller = controller
        var attributes = termios()
        if tcgetattr(STDIN_FILENO, &attributes) == 0 {
            before = attributes
            cfmakeraw(&attributes)
            tcsetattr(STDIN_FILENO, TCSANOW, &attributes)
        } else {
            before = nil
        }
        Self.copySize(to: controller)
        resized = SignalWatch([SIGWINCH]) { _ in Self.copySize(to: controller) }
        Thread { [isDone] in
            Self.copy(from: controller.number, to: STDOUT_FILENO)
            isDone.signal()
        }.start()
        Thread { Self.copy(from: STDIN_FILENO, to: controller.number) }.start()
    }

    /// Waits until what the command has written is shown.
    func drain() { _ = isDone.wait(timeout: .now() + 1) }

    func restore() {
        guard var before else { return }
        tcsetattr(STDIN_FILENO, TCSADRAIN, &before)
    }

    private static func copySize(to controller: FileDescriptor) {
        var size = winsize()
        guard ioctl(STDIN_FILENO, UInt(TIOCGWINSZ), &size) == 0 else { return }
        _ = ioctl(controller.number, UInt(TIOCSWINSZ), &size)
    }

    private static func copy(from source: Int32, to target: Int32) {
        var buffer = [UInt8](repeating: 0, count: 65536)
        while true {
            let count = read(source, &buffer, buffer.count)
            if count < 0, errno == EINTR { continue }
            // A terminal whose program has ended gives EIO.
            guard count > 0 else { return }
            var offset = 0
            while offset < count {
                let written = buffer.withUnsafeBytes {
                    write(target, $0.baseAddress?.advanced(by: offset), count - offset)
                }
                if written < 0, errno == EINTR { continue }
                guard written > 0 else { return }
                offset += written
            }
        }
    }
}
