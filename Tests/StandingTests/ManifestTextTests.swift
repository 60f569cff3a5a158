import Manifests
import Testing

@testable import Standing

@Suite struct ManifestTextTests {
    @Test("YAML keeps strings strings, and reads back the same")
    func yamlReadsBack() throws {
        let text = """
            a: "1"
            b: 1
            c: "true"
            d: [x, {e: null, f: "null"}]
            g: |
              two
              lines
            """
        let document = try #require(ManifestReader.documents(of: text, file: "x.yaml").value.first)
        let again = try #require(ManifestReader.documents(of: document.yaml, file: "y.yaml").value.first)
        #expect(document.json == again.json)
        #expect(again["a"]?.scalarType == .string && again["b"]?.scalarType == .integer(1))
    }
}
