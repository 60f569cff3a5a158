import Foundation
import Testing

/// `make test` runs the proxy's suites one by one, by the names that it finds at the beginning of lines.
@Suite struct SuiteTests {
    @Test("Every file of the proxy's tests has a suite that is found")
    func areFound() throws {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .appending(path: "ProxyTests")
        let files = try #require(FileManager.default.enumerator(at: folder, includingPropertiesForKeys: nil))
        var suites = 0
        for case let file as URL in files where file.pathExtension == "swift" {
            let text = try String(contentsOf: file, encoding: .utf8)
            guard text.contains("@Test") else { continue }
            let declared = text.matches(of: /(?m)^(@Suite.* )?struct \w+Tests\b/).count
            suites += declared
            #expect(declared == max(1, text.matches(of: /(?m)^@Suite/).count), "\(file.lastPathComponent)")
        }
        #expect(suites > 0)
    }
}
