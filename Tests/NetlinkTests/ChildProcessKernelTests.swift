import Glibc
import Netlink
import TestSupport
import Testing

@Suite("Child processes", .requiresRoot)
struct ChildProcessKernelTests {
    private func shell(_ script: String) -> ChildSpecification {
        ChildSpecification("/bin/sh", ["-c", script], environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"])
    }

    private func output(_ specification: ChildSpecification, input: String = "") throws -> String {
        let result = try ChildProcess.run(specification, input: input, timeout: .seconds(20))
        #expect(result.status.isSuccess, "\(result)")
        return result.standardOutput
    }

    @Test("input, output and exit code pass through")
    func exchange() throws {
        let input = String(repeating: "0123456789", count: 100_000)
        #expect(try output(shell("cat"), input: input) == input)
        let result = try ChildProcess.run(shell("echo a; echo b >&2; exit 3"), timeout: .seconds(20))
        #expect(result.status == .exited(code: 3))
        #expect(result.standardOutput == "a\n" && result.standardError == "b\n")
    }

    @Test("a child runs in the namespace it is given, whatever the caller's")
    func namespace() throws {
        let (given, callers) = (try NetworkNamespace.create(), try NetworkNamespace.create())
        var specification = shell("readlink /proc/self/ns/net")
        let home = try callers.enter { try output(specification) }
        #expect(home != "net:[\(callers.identity)]\n")
        specification.namespace = given
        #expect(try callers.enter { try output(specification) } == "net:[\(given.identity)]\n")
    }

    @Test("a child has just the descriptors it is given, in any order")
    func descriptors() throws {
        let file = try FileDescriptor.open("/dev/zero", O_RDONLY)
        var specification = shell("ls /proc/self/fd | tr '\\n' ' '; head -c 1 <&5 | od -An -tx1")
        // 3 is ls's own.
        specification.descriptors = [5: file.number]
        #expect(try output(specification) == "0 1 2 3 5  00\n")
    }

    @Test("credentials are dropped for good")
    func credentials() throws {
        var specification = shell("id -u; id -g; id -G; grep -E 'CapEff|NoNewPrivs' /proc/self/status")
        specification.identity = .init(uid: 1337, gid: 2000)
        specification.forbidsNewPrivileges = true
        let expected = "1337\n2000\n2000\nCapEff:\t0000000000000000\nNoNewPrivs:\t1\n"
        #expect(try output(specification) == expected)
    }

    @Test("files are laid over for the child alone")
    func overlays() throws {
        let before = try output(shell("cat /etc/hosts; ls /mnt /etc/ssl; mount | wc -l"))
        var specification = shell("cat /etc/hosts /etc/ssl/test.pem; ls /mnt /etc/ssl")
        specification.overlays = [
            .init(path: "/etc/hosts", text: "10.0.0.1 a\n"),
            .init(path: "/etc/ssl/test.pem", text: "pem\n", replacesDirectory: true),
            .init(path: "/no/such/file", text: "x", isOptional: true),
        ]
        specification.identity = .init(uid: 1000, gid: 1000)
        let seen = try output(specification)
        #expect(seen.hasPrefix("10.0.0.1 a\npem\n") && seen.contains("/etc/ssl:\ntest.pem\n"))
        #expect(try output(shell("cat /etc/hosts; ls /mnt /etc/ssl; mount | wc -l")) == before)
    }

    @Test("own process numbers, host name and /proc")
    func isolation() throws {
        var specification = shell("echo $$; hostname; ls /proc | grep -c '^[0-9]'; ls /sys/class/net | wc -l")
        specification.isolation = [.processes, .mounts, .hostName, .network, .interProcess]
        specification.mountsProc = true
        specification.hostName = "sleep-1"
        let lines = try output(specification).split(separator: "\n")
        #expect(lines.prefix(2) == ["1", "sleep-1"])
        // The shell, ls and grep.
        #expect(lines[2] == "3")
    }

    @Test("what fails before the program begins is named")
    func failures() throws {
        let missing = #expect(throws: KernelError.self) { try ChildProcess.spawn(ChildSpecification("/no/such")) }
        #expect(missing?.description == "can't start /no/such: No such file or directory, while executing it")
        var overlay = shell("true")
        overlay.overlays = [.init(path: "/no/such/file", text: "x")]
        let covered = #expect(throws: KernelError.self) { try ChildProcess.spawn(overlay) }
        #expect(covered?.reason == "while laying a file over /no/such/file")
    }

    @Test("a child that takes too long is killed, and signals are told from exits")
    func timeouts() throws {
        let error = #expect(throws: KernelError.self) {
            try ChildProcess.run(shell("exec sleep 100"), timeout: .milliseconds(30))
        }
        #expect(error?.code == .timedOut)
        let child = try ChildProcess.spawn(shell("exec sleep 100"))
        #expect(try child.exitStatus() == nil)
        try child.send(signal: SIGTERM)
        #expect(try child.wait(timeout: .seconds(10)) == .signalled(SIGTERM))
        // Reaped, and signals are no errors.
        try child.send(signal: SIGTERM)
        #expect(try child.exitStatus() == .signalled(SIGTERM))
    }

    @Test("a child ends with its handle")
    func handleIsOwner() throws {
        var child: ChildProcess? = try ChildProcess.spawn(shell("exec sleep 100"))
        let number = try #require(child?.processID)
        child = nil
        #expect(kill(number, 0) == -1 && errno == ESRCH)
    }
}
