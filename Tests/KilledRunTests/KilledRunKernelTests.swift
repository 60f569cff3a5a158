import Foundation
import Netlink
import TestSupport
import Testing

/// A run that is killed leaves nothing, whatever it was doing.
///
/// A module of its own, so that no other test's labs come and go meanwhile.
@Suite(.serialized) struct KilledRunKernelTests {
    /// What a lab could leave on the host.
    private struct HostState {
        var links: String
        var rules: String
        var routes: String
        var namespaces: Set<String>
        var mounts: String
        var processes: Set<String>
        var temporaryFiles: Set<String>

        /// What is there now and was not `before`, or is not as it was; empty when nothing remains. What other programs of
        /// this machine have taken away meanwhile is their business.
        func remains(since before: HostState) -> [String] {
            var found: [String] = []
            if links != before.links { found.append("links: \(links)") }
            if rules != before.rules { found.append("rules: \(rules)") }
            if routes != before.routes { found.append("routes: \(routes)") }
            if mounts != before.mounts { found.append("mounts: \(mounts)") }
            found += namespaces.subtracting(before.namespaces).map { "namespace \($0)" }
            found += processes.subtracting(before.processes).map { "process \($0)" }
            found += temporaryFiles.subtracting(before.temporaryFiles).map { "file \($0)" }
            return found
        }

        static func now() throws -> HostState {
            HostState(
                links: try output("/usr/sbin/ip", "-o", "link"), rules: try output("/usr/sbin/nft", "list", "ruleset"),
                routes: try output("/usr/sbin/ip", "route", "show", "table", "all"),
                namespaces: try networkNamespaces(),
                mounts: try String(contentsOfFile: "/proc/self/mounts", encoding: .utf8),
                processes: try egressLabProcesses(),
                temporaryFiles: Set(
                    try FileManager.default.contentsOfDirectory(atPath: "/tmp").filter { $0.contains("egress-lab") }))
        }

        private static func output(_ program: String, _ arguments: String...) throws -> String {
            let specification = ChildSpecification(program, arguments, environment: ["PATH=/usr/sbin:/usr/bin"])
            // Routes and links carry no counters, but the order of a dump is the kernel's.
            return try ChildProcess.run(specification, timeout: .seconds(10)).standardOutput
        }

        /// Every network namespace that a process of this machine is in.
        private static func networkNamespaces() throws -> Set<String> {
            let processes = try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { Int($0) != nil }
            return Set(
                processes.compactMap {
                    try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\($0)/ns/net")
                })
        }

        private static func egressLabProcesses() throws -> Set<String> {
            let processes = try FileManager.default.contentsOfDirectory(atPath: "/proc").filter { Int($0) != nil }
            return Set(
                processes.filter { id in
                    guard let data = FileManager.default.contents(atPath: "/proc/\(id)/cmdline") else { return false }
                    let line = String(decoding: data, as: UTF8.self).split(separator: "\0")
                    return line.dropFirst().first == "worker" || line.contains { $0.hasPrefix("scenarios/") }
                })
        }
    }

    private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    @Test(
        "SIGKILL at any moment of a run leaves no namespace, process, interface, rule or file", .requiresRoot,
        arguments: [5, 20, 40, 60, 90, 130, 180, 250, 400])
    func nothingRemains(milliseconds: Int) throws {
        let before = try HostState.now()
        var specification = ChildSpecification(BuiltProgram.executable.path, ["run", "scenarios/document-000/timeout"])
        specification.environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        specification.workingDirectory = Self.root
        let child = try ChildProcess.spawn(specification)
        _ = try child.wait(timeout: .milliseconds(milliseconds))
        child.kill()
        _ = try child.wait()
        // The kernel takes namespaces apart in a worker of its own; wait for the state, not for a time.
        let deadline = ContinuousClock.now + .seconds(10)
        var remains = try HostState.now().remains(since: before)
        while !remains.isEmpty, ContinuousClock.now < deadline {
            remains = try HostState.now().remains(since: before)
        }
        #expect(remains == [])
    }

    @Test(
        "SIGKILL while a program of this machine runs in a container leaves nothing of it", .requiresRoot,
        .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/sbin/nginx"), "nginx is not installed"))
    func nothingRemainsOfPrograms() throws {
        let before = try HostState.now()
        var specification = ChildSpecification(
            BuiltProgram.executable.path, ["run", "scenarios/document-001/sni-proxy-nginx"])
        specification.environment = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin"]
        specification.workingDirectory = Self.root
        let child = try ChildProcess.spawn(specification)
        let start = ContinuousClock.now + .seconds(20)
        var programs: Set<String> = []
        while programs.isEmpty, ContinuousClock.now < start { programs = Self.programs("nginx", of: child.processID) }
        child.kill()
        _ = try child.wait()
        #expect(!programs.isEmpty)
        let deadline = ContinuousClock.now + .seconds(10)
        var remains = try HostState.now().remains(since: before)
        while !remains.isEmpty || programs.contains(where: Self.isAlive), ContinuousClock.now < deadline {
            remains = try HostState.now().remains(since: before)
        }
        #expect(remains == [] && programs.filter(Self.isAlive) == [])
    }

    /// Numbers of the processes of that name that descend from `ancestor`.
    private static func programs(_ name: String, of ancestor: Int32) -> Set<String> {
        let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc").filter { Int($0) != nil }) ?? []
        // `PID (NAME) STATE PARENT …`
        let known = all.compactMap { id -> (id: String, name: Substring, parent: String)? in
            guard let text = try? String(contentsOfFile: "/proc/\(id)/stat", encoding: .utf8),
                let open = text.firstIndex(of: "("), let close = text.lastIndex(of: ")")
            else { return nil }
            let rest = text[close...].split(separator: " ")
            return rest.count > 2 ? (id, text[text.index(after: open)..<close], String(rest[2])) : nil
        }
        var family: Set<String> = ["\(ancestor)"]
        var count = 0
        while family.count > count {
            count = family.count
            family.formUnion(known.filter { family.contains($0.parent) }.map(\.id))
        }
        return Set(known.filter { $0.name == name && family.contains($0.id) }.map(\.id))
    }

    private static func isAlive(_ process: String) -> Bool {
        FileManager.default.fileExists(atPath: "/proc/\(process)")
    }

    @Test("a run that ends by itself leaves the host as it was, too", .requiresRoot)
    func nothingRemainsAfterSuccess() throws {
        let before = try HostState.now()
        let run = try BuiltProgram.run("run", "scenarios/demo", in: Self.root)
        #expect(run.status == 0, "\(run.output)\(run.diagnostics)")
        let deadline = ContinuousClock.now + .seconds(10)
        var remains = try HostState.now().remains(since: before)
        while !remains.isEmpty, ContinuousClock.now < deadline {
            remains = try HostState.now().remains(since: before)
        }
        #expect(remains == [])
    }
}
