import Testing

@testable import Manifests

@Suite("Wrong manifests are told with file, line, column and remedy")
struct WrongManifestTests {
    @Test("Every mistake of a file is told at once, where it stands", arguments: Fixtures.names(in: "wrong"))
    func fixture(name: String) {
        let result = ManifestReader.read(paths: ["wrong/\(name).yaml"], relativeTo: Fixtures.directory)
        Fixtures.expect(
            result.diagnostics.map { "\($0)\n" }.joined(), equals: "wrong/\(name).diagnostics")
        #expect(!result.isUsable)
    }

    @Test("A file that is missing, a directory without manifests and a device are errors")
    func unreadable() {
        #expect(
            ManifestReader.read(paths: ["/nowhere/x.yaml"]).diagnostics.map(\.message) == ["no file /nowhere/x.yaml"])
        #expect(
            ManifestReader.read(paths: ["/dev/zero"]).diagnostics.map(\.message) == ["/dev/zero is not a regular file"])
        let result = ManifestReader.read(paths: ["scenarios/empty-directory"], relativeTo: "/proc/self/fdinfo")
        #expect(result.diagnostics.count == 1)
    }
}

@Suite("Hostile YAML is refused quickly")
struct HostileYAMLTests {
    private func messages(_ text: String) -> [String] {
        ManifestReader.read(text: text, file: "x.yaml").diagnostics.map(\.description)
    }

    @Test("A hundred thousand open brackets do not reach the stack")
    func brackets() {
        #expect(messages(String(repeating: "[", count: 100_000)).first?.contains("nested more than 200 deep") == true)
        let mixed = messages("{" + String(repeating: "a: {", count: 100_000))
        #expect(mixed == ["x.yaml:1:801: error: values are nested more than 200 deep"])
        let dashes = messages(String(repeating: "- ", count: 100_000))
        #expect(dashes == ["x.yaml:1:401: error: values are nested more than 200 deep"])
    }

    @Test("Aliases that nest one value ever deeper are refused at the one that is too deep")
    func deepAliases() {
        let text = (1..<3000).reduce(into: "a0: &a0 [x]\n") { $0 += "a\($1): &a\($1) [*a\($1 - 1)]\n" }
        #expect(messages(text) == ["x.yaml:200:14: error: values are nested more than 200 deep"])
    }

    @Test("A flat list of very many aliases is refused at the one that is too many")
    func manyAliases() {
        let text = "a: &a x\nb: [" + String(repeating: "*a, ", count: 1_500_000) + "]\n"
        #expect(
            messages(text) == ["x.yaml:2:3999985: error: alias *a makes the file expand to more than 1000000 values"])
    }

    @Test("An alias as a key and merges of merges can't multiply")
    func keysAndMerges() {
        #expect(messages("a: &a [x]\nb: {? *a : y}\n").first?.contains("a key must be text") == true)
        let text = (1..<30).reduce(into: "a0: &a0 {x: 1}\n") { text, index in
            let sources = Array(repeating: "*a\(index - 1)", count: 10).joined(separator: ",")
            text += "a\(index): &a\(index) {<<: [\(sources)]}\n"
        }
        #expect(messages(text) == ["x.yaml:7:19: error: alias *a5 makes the file expand to more than 1000000 values"])
    }
}
