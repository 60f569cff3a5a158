import TestSupport
import Testing

@Suite struct PrivilegeKernelTests {
    @Test("Without root a run exits 3 with one sentence", .requiresRoot)
    func withoutRoot() throws {
        try withDirectory(["scenario.yaml": Sample.scenario(), "pod.yaml": Sample.pod]) { directory in
            let run = try BuiltProgram.run("run", directory, user: 65534)
            #expect(run.status == 3)
            #expect(run.output == "")
            #expect(run.diagnostics == "egress-lab: needs root: run with sudo\n")
        }
    }

    @Test("Commands that need no root work without it", .requiresRoot)
    func noRootNeeded() throws {
        try withDirectory(["scenario.yaml": Sample.scenario(), "pod.yaml": Sample.pod]) { directory in
            for command in ["validate", "render"] {
                let run = try BuiltProgram.run(command, directory, user: 65534)
                #expect(run.status == 0, "\(command): \(run.diagnostics)")
            }
        }
    }

    @Test("On a machine that runs these tests the doctor finds nothing missing", .requiresRoot)
    func doctor() throws {
        let run = try BuiltProgram.run("doctor")
        #expect(run.status == 0, "\(run.output)")
        #expect(run.output.hasSuffix("This machine can run labs.\n"))
    }
}
