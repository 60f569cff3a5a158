import Foundation
package import Testing

/// Compares a text with a file beside the test, which a person reads and keeps.
///
/// `EGRESS_LAB_RECORD=1` writes the file instead; in CI nothing is ever recorded.
package enum Golden {
    /// Expects `text` to equal `Goldens/NAME` in the directory of the calling file.
    package static func expect(
        _ text: String, equals name: String, file: String = #filePath,
        sourceLocation: SourceLocation = #_sourceLocation
    ) {
        let url = URL(fileURLWithPath: file).deletingLastPathComponent().appendingPathComponent("Goldens/\(name)")
        let environment = ProcessInfo.processInfo.environment
        if environment["EGRESS_LAB_RECORD"] == "1", environment["CI"] == nil {
            do {
                try FileManager.default.createDirectory(
                    at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
                try Data(text.utf8).write(to: url)
            } catch {
                Issue.record("can't record \(url.path): \(error)", sourceLocation: sourceLocation)
            }
            return
        }
        guard let data = FileManager.default.contents(atPath: url.path) else {
            Issue.record(
                "there is no golden \(url.path); record it with EGRESS_LAB_RECORD=1\n\(text)",
                sourceLocation: sourceLocation)
            return
        }
        let expected = String(decoding: data, as: UTF8.self)
        guard expected != text else { return }
        Issue.record(
            "\(name) differs (- golden, + now)\n\(difference(from: expected, to: text))", sourceLocation: sourceLocation
        )
    }

    /// The lines that differ, in order, each with `-` or `+` and its line number.
    package static func difference(from old: String, to new: String) -> String {
        let (a, b) = (lines(of: old), lines(of: new))
        let changes = b.difference(from: a).map { change -> (Int, Int, String) in
            switch change {
            case .remove(let offset, let line, _): (offset, 0, "-\(offset + 1): \(line)")
            case .insert(let offset, let line, _): (offset, 1, "+\(offset + 1): \(line)")
            }
        }
        return changes.sorted { ($0.0, $0.1) < ($1.0, $1.1) }.map(\.2).joined(separator: "\n")
    }

    private static func lines(of text: String) -> [Substring] {
        text.split(separator: "\n", omittingEmptySubsequences: false)
    }
}
