import Glibc
import Manifests

/// Standard output carries reports, standard error diagnostics.
enum Console {
    /// Writes a report; a reader that went away is no failure.
    static func report(_ text: String) { write(text, to: STDOUT_FILENO) }

    /// Writes a line for the person at the keyboard.
    static func diagnose(_ line: String) { write(line + "\n", to: STDERR_FILENO) }

    /// Writes each diagnostic on a line: `file:line:column: severity: message; remedy`.
    static func diagnose(_ diagnostics: [Diagnostic]) {
        guard !diagnostics.isEmpty else { return }
        write(diagnostics.map { "\($0)\n" }.joined(), to: STDERR_FILENO)
    }

    /// Writes part of a line: progress on a terminal.
    static func draw(_ text: String) { write(text, to: STDERR_FILENO) }

    static var reportIsTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
    static var diagnosticsAreTerminal: Bool { isatty(STDERR_FILENO) == 1 && environment("TERM") != "dumb" }

    /// https://no-color.org: any value but the empty one switches colour off.
    static var usesColor: Bool {
        reportIsTerminal && environment("TERM") != "dumb" && (environment("NO_COLOR") ?? "").isEmpty
    }

    private static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

    private static func write(_ text: String, to descriptor: Int32) {
        var text = text
        text.withUTF8 { bytes in
            var rest = UnsafeRawBufferPointer(bytes)
            while !rest.isEmpty {
                let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
                if count < 0, errno == EINTR || errno == EAGAIN { continue }
                guard count > 0 else { return }
                rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            }
        }
    }
}
