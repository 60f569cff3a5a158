import Foundation
import Testing

/// Compares with a file beside the tests; `EGRESS_LAB_RECORD=1` writes it anew.
func expectGolden(
  _ text: String, _ name: String, file: String = #filePath,
  sourceLocation: SourceLocation = #_sourceLocation
) throws {
  let golden = URL(fileURLWithPath: file).deletingLastPathComponent().appending(
    path: "Goldens/\(name)")
  if ProcessInfo.processInfo.environment["EGRESS_LAB_RECORD"] != nil {
    try Data(text.utf8).write(to: golden)
    return
  }
  let recorded = String(decoding: try Data(contentsOf: golden), as: UTF8.self)
  #expect(text == recorded, sourceLocation: sourceLocation)
}
