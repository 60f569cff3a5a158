import Glibc
import Netlink
import TestSupport
import Testing

@Suite("What a container's program sees of the machine's files", .requiresRoot)
struct ContainerFileSystemKernelTests {
    private func run(_ script: String, in fileSystem: ContainerFileSystem) throws -> CommandOutput {
        var specification = ChildSpecification("/bin/sh", ["-c", script], environment: ["PATH=/usr/bin:/bin"])
        specification.fileSystem = fileSystem
        specification.isolation = .processes
        specification.identity = ChildSpecification.Identity(uid: 1000, gid: 1000)
        return try ChildProcess.run(specification, timeout: .seconds(10))
    }

    @Test("Files appear where the machine has no directory, and the rest of it stays as it is")
    func addsWhatIsMissing() throws {
        let fileSystem = try ContainerFileSystem([
            .file("/etc/egress-lab-test/deep/nginx.conf", content: Array("user's own\n".utf8)),
            .file("/egress-lab-test/at-the-root", content: Array("root\n".utf8)),
        ])
        let output = try run(
            "cat /etc/egress-lab-test/deep/nginx.conf /egress-lab-test/at-the-root; test -s /etc/passwd && echo passwd",
            in: fileSystem)
        #expect(output.standardOutput == "user's own\nroot\npasswd\n")
        #expect(access("/etc/egress-lab-test", F_OK) != 0)
        #expect(access("/egress-lab-test", F_OK) != 0)
    }

    @Test("A directory in memory hides what the machine has there, and is written by anyone")
    func hidesDirectories() throws {
        let fileSystem = try ContainerFileSystem([
            .directory("/etc"), .file("/etc/only", content: []), .directory("/var/log"),
            .link("/var/log/test/access.log", to: "/dev/stdout"),
        ])
        let output = try run(
            "ls /etc; echo kept > /var/log/new && cat /var/log/new; readlink /var/log/test/access.log", in: fileSystem)
        #expect(output.standardOutput == "only\nkept\n/dev/stdout\n")
        #expect(access("/var/log/new", F_OK) != 0)
    }

    @Test("A file takes the place of one that the machine has, whether or not that is a link")
    func replacesFiles() throws {
        let fileSystem = try ContainerFileSystem([
            .file("/etc/hosts", content: Array("here\n".utf8)), .file("/etc/mtab", content: Array("there\n".utf8)),
            .file("/etc/hosts", content: Array("again\n".utf8), mode: 0o600),
        ])
        let output = try run("cat /etc/mtab; cat /etc/hosts || echo closed", in: fileSystem)
        #expect(output.standardOutput == "there\nclosed\n")
    }

    @Test("Programs in one container share what they write")
    func isShared() throws {
        let fileSystem = try ContainerFileSystem([.directory("/run")])
        _ = try run("echo 1 > /run/shared", in: fileSystem)
        #expect(try run("cat /run/shared", in: fileSystem).standardOutput == "1\n")
    }
}
