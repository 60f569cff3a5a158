import Glibc
import NIOConcurrencyHelpers
package import NIOCore
import NIOPosix
package import Netlink

/// A running program: its two streams, and its end.
package final class ProgramProcess: Sendable {
    /// How many lines of the program's own log an error shows.
    package static let shownLines = 20

    private struct Log {
        var lines: [String] = []
        /// Lines that are no longer kept.
        var dropped = 0
    }

    private let child: ChildProcess
    private let loop: any EventLoop
    private let log: NIOLockedValueBox<Log>
    /// How it ended, known when all that it wrote has been read.
    package let ended: EventLoopFuture<ChildProcess.ExitStatus?>

    private init(
        _ child: ChildProcess, loop: any EventLoop, log: NIOLockedValueBox<Log>,
        ended: EventLoopFuture<ChildProcess.ExitStatus?>
    ) {
        self.child = child
        self.loop = loop
        self.log = log
        self.ended = ended
    }

    package var processID: Int32 { child.processID }

    /// Starts a program; its standard output and error come here, whatever `specification` says of them.
    ///
    /// - Parameters:
    ///   - name: what an error calls it.
    ///   - takesUnfinished: whether what follows the last newline of its output counts as a line at the end.
    ///   - output: gets the lines of its standard output, on `loop`.
    ///   - errors: gets those of its standard error, which are kept as its own log besides, unless `keeps` says no.
    package static func start(
        _ specification: ChildSpecification, name: String, loop: any EventLoop, takesUnfinished: Bool = false,
        output: @escaping @Sendable (String) -> Void, errors: @escaping @Sendable (String) -> Void = { _ in },
        keeps: @escaping @Sendable (String) -> Bool = { _ in true }
    ) async throws -> ProgramProcess {
        var specification = specification
        let (stdout, stderr) = (try PipeEnds(), try PipeEnds())
        // The program's user may open them by name, too: /dev/stdout.
        for pipe in [stdout, stderr] { _ = fchmod(pipe.writer, 0o622) }
        specification.descriptors[1] = stdout.writer
        specification.descriptors[2] = stderr.writer
        let wanted = specification
        let child = try await NIOThreadPool.singleton.runIfActive { () throws -> ChildProcess in
            do throws(KernelError) {
                return try ChildProcess.spawn(wanted)
            } catch {
                var error = error
                error.object = name
                throw error
            }
        }
        stdout.closeWriter()
        stderr.closeWriter()
        let log = NIOLockedValueBox(Log())
        let out = try await read(stdout, on: loop, takesUnfinished: takesUnfinished, output)
        let err = try await read(stderr, on: loop, takesUnfinished: true) { line in
            errors(line)
            guard keeps(line) else { return }
            log.withLockedValue { log in
                log.lines.append(line)
                // Twice what is shown: those who wait for the reason of a refusal count from a line of before.
                guard log.lines.count > 50 * shownLines else { return }
                log.lines.removeFirst()
                log.dropped += 1
            }
        }
        // Its streams close at its very end, so the wait is short.
        let ended = EventLoopFuture.whenAllComplete([out.closeFuture, err.closeFuture], on: loop).flatMap { _ in
            NIOThreadPool.singleton.runIfActive(eventLoop: loop) { try child.wait(timeout: .seconds(5)) }
        }
        return ProgramProcess(child, loop: loop, log: log, ended: ended)
    }

    private static func read(
        _ pipe: PipeEnds, on loop: any EventLoop, takesUnfinished: Bool,
        _ receive: @escaping @Sendable (String) -> Void
    ) async throws -> any Channel {
        let reader = pipe.releaseReader()
        return try await NIOPipeBootstrap(group: loop)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(
                        LineHandler(takesUnfinished: takesUnfinished, receive: receive))
                }
            }
            .takingOwnershipOfDescriptor(input: reader).get()
    }

    /// The newest lines of the program's own log.
    package var lastLines: [String] { log.withLockedValue { Array($0.lines.suffix(Self.shownLines)) } }

    /// How many lines it has logged.
    package var lineCount: Int { log.withLockedValue { $0.dropped + $0.lines.count } }

    /// The lines that were logged after the first `count`.
    package func lines(after count: Int) -> [String] {
        log.withLockedValue { Array($0.lines.dropFirst(max(0, count - $0.dropped))) }
    }

    /// Ends it and returns when all that it wrote has been read; killed if it takes more than five seconds.
    package func stop() async {
        try? child.send(signal: SIGTERM)
        let deadline = loop.scheduleTask(in: .seconds(5)) { self.child.kill() }
        _ = try? await ended.get()
        deadline.cancel()
    }

    /// Ends it without asking; returns when all that it wrote has been read.
    package func kill() async {
        child.kill()
        _ = try? await ended.get()
    }
}

extension ChildProcess.ExitStatus {
    /// For "it …": `exited with code 1`, `was ended by signal 11 (Segmentation fault)`.
    package var words: String {
        switch self {
        case .exited(let code): "exited with code \(code)"
        case .signalled(let signal): "was ended by signal \(signal) (\(String(cString: strsignal(signal))))"
        }
    }
}

/// The ends of a pipe, closed with this object unless they were given away.
private final class PipeEnds {
    private var reader: Int32
    private(set) var writer: Int32

    init() throws(KernelError) {
        var ends: [Int32] = [-1, -1]
        guard pipe(&ends) == 0 else { throw KernelError("make", "a pipe", errno: errno) }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        (reader, writer) = (ends[0], ends[1])
    }

    deinit {
        closeWriter()
        if reader >= 0 { close(reader) }
    }

    func closeWriter() {
        if writer >= 0 { close(writer) }
        writer = -1
    }

    func releaseReader() -> Int32 {
        defer { reader = -1 }
        return reader
    }
}
