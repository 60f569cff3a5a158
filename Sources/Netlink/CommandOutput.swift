import Glibc

/// What a command wrote, and how it ended.
package struct CommandOutput: Sendable {
    package var status: ChildProcess.ExitStatus
    package var standardOutput: String
    package var standardError: String
}

extension ChildProcess {
    /// Runs a command to its end with `input` on its standard input and collects what it writes.
    ///
    /// It blocks the calling thread. Throws `.timedOut`, with the child killed, if it runs longer than `timeout`.
    package static func run(
        _ specification: ChildSpecification, input: String = "", timeout: Duration
    ) throws(KernelError) -> CommandOutput {
        var specification = specification
        let stdin = try Pipe(isSocket: true), stdout = try Pipe(), stderr = try Pipe()
        specification.descriptors[0] = stdin.reader
        specification.descriptors[1] = stdout.writer
        specification.descriptors[2] = stderr.writer
        let child = try spawn(specification)
        stdin.closeReader()
        stdout.closeWriter()
        stderr.closeWriter()
        let outputs = try exchange(
            Array(input.utf8), stdin, [stdout, stderr], until: .now + timeout, specification.executable)
        guard let status = try child.wait(timeout: timeout) else {
            throw KernelError(.timedOut, "run", specification.executable, reason: "it did not end in \(timeout)")
        }
        return CommandOutput(
            status: status, standardOutput: String(decoding: outputs[0], as: UTF8.self),
            standardError: String(decoding: outputs[1], as: UTF8.self))
    }

    private static func exchange(
        _ input: [UInt8], _ stdin: Pipe, _ sources: [Pipe], until deadline: ContinuousClock.Instant, _ name: String
    ) throws(KernelError) -> [[UInt8]] {
        var rest = input[...]
        var outputs = sources.map { _ in [UInt8]() }
        var isOpen = sources.map { _ in true }
        if rest.isEmpty { stdin.closeWriter() }
        while isOpen.contains(true) {
            // poll skips negative descriptors.
            var entries = zip(sources, isOpen).map {
                pollfd(fd: $1 ? $0.reader : -1, events: Int16(POLLIN), revents: 0)
            }
            entries.append(pollfd(fd: rest.isEmpty ? -1 : stdin.writer, events: Int16(POLLOUT), revents: 0))
            let left = (deadline - .now).roundedUpMilliseconds
            let count = poll(&entries, nfds_t(entries.count), Int32(clamping: max(0, left)))
            if count < 0, errno == EINTR { continue }
            guard count > 0 else {
                throw KernelError(.timedOut, "run", name, reason: "it did not end in time")
            }
            for index in sources.indices where entries[index].revents != 0 {
                var bytes = [UInt8](repeating: 0, count: 65536)
                let count = read(sources[index].reader, &bytes, bytes.count)
                if count > 0 { outputs[index] += bytes[..<count] } else { isOpen[index] = false }
            }
            if entries[sources.count].revents != 0 {
                let count = rest.withUnsafeBytes { send(stdin.writer, $0) }
                // A child that closes its input early is its own business.
                rest = count > 0 ? rest.dropFirst(count) : []
                if rest.isEmpty { stdin.closeWriter() }
            }
        }
        return outputs
    }

    /// The input is a socket, so that writing to a child that has gone gives EPIPE, not a signal.
    private static func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
        Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
    }
}

/// A pair of connected descriptors whose ends are closed one by one.
private final class Pipe {
    private(set) var reader: Int32 = -1
    private(set) var writer: Int32 = -1

    init(isSocket: Bool = false) throws(KernelError) {
        var ends: [Int32] = [-1, -1]
        let type = Int32(SOCK_STREAM.rawValue)
        guard (isSocket ? socketpair(AF_UNIX, type, 0, &ends) : pipe(&ends)) == 0 else {
            throw KernelError("make", "a pipe", errno: errno)
        }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (reader, writer) = (ends[0], ends[1])
    }

    deinit {
        closeReader()
        closeWriter()
    }

    func closeReader() {
        if reader >= 0 { close(reader) }
        reader = -1
    }

    func closeWriter() {
        if writer >= 0 { close(writer) }
        writer = -1
    }
}
