import CLinux
import Foundation
import Glibc
import Netlink
import TestSupport
import Testing

/// `exec -it` at a real terminal, as a person has it.
@Suite(.serialized) struct TerminalKernelTests {
    @Test("What is typed is echoed once, ^C reaches the program inside alone, and its status comes back", .requiresRoot)
    func shell() throws {
        try StandingLabUnderTest.with("test-terminal-shell") { lab in
            let terminal = try PseudoTerminal(rows: 24, columns: 80)
            let before = try terminal.modes
            let command = try lab.start("exec", ["-it", "default/sleep", "--", "sh"], at: terminal)
            try terminal.await("$ ")
            try terminal.type("PS1='ready> '\n")
            try terminal.await("\r\nready> ")

            try terminal.type("echo one-$((1+1))\n")
            let shown = try terminal.await("one-2\r\nready> ")
            #expect(shown.ranges(of: "echo one-$((1+1))").count == 1, "\(shown)")
            #expect(try terminal.modes != before, "the terminal's own echo is off meanwhile")

            try terminal.type("sh -c 'echo begun; exec sleep 100'\n")
            try terminal.await("\r\nbegun\r\n")
            try terminal.type("\u{3}")
            try terminal.await("ready> ")
            try terminal.type("echo status-$?\n")
            try terminal.await("status-130\r\nready> ")

            try terminal.type("tty; id -u; test -t 0 && echo is-terminal\n")
            try terminal.await("is-terminal\r\nready> ")

            try terminal.type("exit 7\n")
            #expect(try command.wait(timeout: .seconds(10)) == .exited(code: 7))
            try terminal.await("command terminated with exit code 7")
            #expect(try terminal.modes == before)
        }
    }

    @Test("The program inside learns the terminal's size, also when that changes", .requiresRoot)
    func size() throws {
        try StandingLabUnderTest.with("test-terminal-size") { lab in
            let terminal = try PseudoTerminal(rows: 24, columns: 80)
            let command = try lab.start("exec", ["-it", "default/sleep", "--", "sh"], at: terminal)
            try terminal.await("$ ")
            try terminal.type("PS1='ready> '\n")
            try terminal.await("\r\nready> ")
            try terminal.type("stty size\n")
            try terminal.await("24 80\r\nready> ")
            // The program that waits for the change is told by a signal, as the shell of a person is.
            let script = "trap \"stty size; exit\" WINCH; echo waiting; while :; do sleep 0.01; done"
            try terminal.type("bash -c '\(script)'\n")
            try terminal.await("\r\nwaiting\r\n")
            try terminal.resize(rows: 40, columns: 100)
            try terminal.await("40 100\r\n")
            try terminal.type("exit\n")
            #expect(try command.wait(timeout: .seconds(10)) == .exited(code: 0))
        }
    }

    @Test("The terminal has its modes again when the program inside is killed, and when the lab goes", .requiresRoot)
    func modes() throws {
        try StandingLabUnderTest.with("test-terminal-modes") { lab in
            let terminal = try PseudoTerminal(rows: 24, columns: 80)
            let before = try terminal.modes
            let killed = try lab.start("exec", ["-it", "default/sleep", "--", "sh"], at: terminal)
            try terminal.await("$ ")
            try terminal.type("PS1='ready> '\n")
            try terminal.await("\r\nready> ")
            try terminal.type("kill -9 $$\n")
            #expect(try killed.wait(timeout: .seconds(10)) == .exited(code: 137))
            #expect(try terminal.modes == before)

            let orphan = try lab.start("exec", ["-it", "default/sleep", "--", "sh"], at: terminal)
            try terminal.await("$ ")
            try terminal.type("PS1='again> '\n")
            try terminal.await("\r\nagain> ")
            #expect(try terminal.modes != before)
            try lab.run("down")
            #expect(try orphan.wait(timeout: .seconds(10)) == .exited(code: 4))
            try terminal.await("the lab ended before it had answered")
            #expect(try terminal.modes == before)
        }
    }
}

/// A lab that stays up for one test.
private struct StandingLabUnderTest {
    let name: String

    static func with(_ name: String, _ body: (Self) throws -> Void) throws {
        let lab = Self(name: name)
        try lab.run("up", "scenarios/demo")
        defer { _ = try? lab.run("down") }
        try body(lab)
    }

    func run(_ verb: String, _ arguments: String...) throws {
        let output = try ChildProcess.run(specification(verb, arguments), timeout: .seconds(60))
        guard output.status.isSuccess || verb == "down" else {
            throw Problem(description: output.standardOutput + output.standardError)
        }
    }

    /// A command whose terminal this is.
    func start(_ verb: String, _ arguments: [String], at terminal: PseudoTerminal) throws -> ChildProcess {
        var specification = specification(verb, arguments)
        specification.descriptors = [0: terminal.child, 1: terminal.child, 2: terminal.child]
        specification.hasControllingTerminal = true
        return try ChildProcess.spawn(specification)
    }

    private func specification(_ verb: String, _ arguments: [String]) -> ChildSpecification {
        var specification = ChildSpecification(BuiltProgram.executable.path, [verb] + arguments)
        specification.environment = [
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "EGRESS_LAB_NAME=\(name)", "NO_COLOR=1", "TERM=xterm",
        ]
        specification.workingDirectory =
            URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent().path
        return specification
    }
}

private struct Problem: Error, CustomStringConvertible {
    let description: String
}

/// A terminal with a person before it.
private final class PseudoTerminal {
    /// What a terminal does with what is typed.
    struct Modes: Equatable {
        var input: UInt32
        var output: UInt32
        var control: UInt32
        var local: UInt32
    }

    private let controller: Netlink.FileDescriptor
    private let other: Netlink.FileDescriptor
    private var pending = ""

    /// The programs' side.
    var child: Int32 { other.number }

    init(rows: UInt16, columns: UInt16) throws {
        var (ours, its): (Int32, Int32) = (-1, -1)
        guard clinux_open_terminal(&ours, &its) == 0 else { throw Problem(description: "no terminal: \(errno)") }
        controller = Netlink.FileDescriptor(owning: ours)
        other = Netlink.FileDescriptor(owning: its)
        try resize(rows: rows, columns: columns)
    }

    var modes: Modes {
        get throws {
            var attributes = termios()
            guard tcgetattr(controller.number, &attributes) == 0 else {
                throw Problem(description: "no modes: \(errno)")
            }
            return Modes(
                input: attributes.c_iflag, output: attributes.c_oflag, control: attributes.c_cflag,
                local: attributes.c_lflag)
        }
    }

    func resize(rows: UInt16, columns: UInt16) throws {
        var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
        guard ioctl(controller.number, UInt(TIOCSWINSZ), &size) == 0 else { throw Problem(description: "no size") }
    }

    func type(_ text: String) throws {
        let bytes = Array(text.utf8)
        guard write(controller.number, bytes, bytes.count) == bytes.count else {
            throw Problem(description: "can't type: \(errno)")
        }
    }

    /// Returns what is shown up to and with `text`, from where the last one ended.
    @discardableResult
    func await(_ text: String) throws -> String {
        let deadline = ContinuousClock.now + .seconds(20)
        while true {
            if let range = pending.range(of: text, options: .literal) {
                let shown = String(pending[..<range.upperBound])
                pending = String(pending[range.upperBound...])
                return shown
            }
            var entry = pollfd(fd: controller.number, events: Int16(POLLIN), revents: 0)
            let left = Int32(clamping: Int64((deadline - .now) / .milliseconds(1)))
            guard left > 0, poll(&entry, 1, left) > 0 else {
                throw Problem(description: "'\(text)' is not shown, but: \(pending)")
            }
            var buffer = [UInt8](repeating: 0, count: 4096)
            let count = read(controller.number, &buffer, buffer.count)
            guard count > 0 else { throw Problem(description: "the terminal is gone: \(errno); shown: \(pending)") }
            pending += String(decoding: buffer.prefix(count), as: UTF8.self)
        }
    }
}
