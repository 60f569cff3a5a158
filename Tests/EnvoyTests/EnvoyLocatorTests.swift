import Envoy
import Foundation
import Testing

@Suite struct EnvoyLocatorTests {
    /// A directory with an executable file of the given text, gone afterwards.
    private func withProgram(_ text: String, _ body: (URL) throws -> Void) throws {
        let directory = FileManager.default.temporaryDirectory.appending(path: "locator-\(UUID())")
        try FileManager.default.createDirectory(
            at: directory.appending(path: "bin"), withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: directory) }
        try place(text, at: directory.appending(path: "bin/envoy"))
        try body(directory)
    }

    private func find(_ path: String? = nil, environment: [String: String], program: String = "") throws -> String {
        try EnvoyLocator(path: path, environment: environment, program: program).find()
    }

    private func place(_ text: String, at file: URL) throws {
        try FileManager.default.createDirectory(
            at: file.deletingLastPathComponent(), withIntermediateDirectories: true)
        try Data(text.utf8).write(to: file)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: file.path)
    }

    @Test("The option wins over the variable, and both over the PATH")
    func precedence() throws {
        try withProgram("program") { directory in
            let program = directory.appending(path: "bin/envoy").path
            let environment = ["PATH": directory.appending(path: "bin").path]
            let found = try find(environment: environment)
            #expect(found == program)
            let variable = environment.merging(["EGRESS_LAB_ENVOY": "/none"]) { $1 }
            #expect(throws: EnvoyLocator.NotFound.self) {
                try find(environment: variable)
            }
            let named = try find(program, environment: variable)
            #expect(named == program)
        }
    }

    @Test("Behind the Python package's starter lies the program that it would start")
    func pythonPackage() throws {
        try withProgram("#!/usr/bin/python3\n") { directory in
            let program = directory.appending(path: "lib/python3.11/site-packages/envoy/_bin/envoy")
            try place("program", at: program)
            let starter = directory.appending(path: "bin/envoy").path
            let found = try find(starter, environment: [:])
            #expect(found == program.path)
        }
    }

    @Test("A build finds the Envoy that was installed beside it")
    func besideTheBuild() throws {
        try withProgram("program") { directory in
            let installed = directory.appending(path: ".build/envoy/bin/envoy")
            try place("program", at: installed)
            let program = directory.appending(path: ".build/x86_64/release/egress-lab").path
            let found = try find(environment: [:], program: program)
            #expect(found == installed.path)
        }
    }

    @Test("What to do is said when there is none")
    func nothing() throws {
        let error = #expect(throws: EnvoyLocator.NotFound.self) {
            try find(environment: ["PATH": "/none"], program: "/none/egress-lab")
        }
        #expect(error?.description.contains("make setup-envoy") == true)
    }
}
