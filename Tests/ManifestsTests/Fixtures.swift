import Glibc
import Testing

@testable import Manifests

/// The files beside the tests.
enum Fixtures {
    static let directory =
        String(#filePath.prefix(upTo: #filePath.lastIndex(of: "/") ?? #filePath.endIndex)) + "/Fixtures"

    /// The names of the YAML files in a directory, without their ending.
    static func names(in folder: String) -> [String] {
        ManifestFile.entries(of: "\(directory)/\(folder)").compactMap { name in
            name.hasSuffix(".yaml") ? String(name.dropLast(5)) : nil
        }
    }

    /// Text with the fixtures' own place taken out, so that goldens hold on every machine.
    static func portable(_ text: String) -> String {
        var rest = text[...]
        var result = ""
        while let range = rest.firstRange(of: directory + "/") {
            result += rest[..<range.lowerBound]
            rest = rest[range.upperBound...]
        }
        return result + rest
    }

    /// Compares with the golden file, or writes it where `EGRESS_LAB_RECORD` is set.
    static func expect(_ text: String, equals golden: String) {
        let path = "\(directory)/\(golden)"
        let text = portable(text)
        if getenv("EGRESS_LAB_RECORD") != nil {
            let file = fopen(path, "w")
            fputs(text, file)
            if let file { fclose(file) }
            return
        }
        let recorded = read(path)
        #expect(recorded == text, "\(golden) differs; record with EGRESS_LAB_RECORD=1 and read the difference")
    }

    static func read(_ path: String) -> String {
        guard let file = fopen(path, "r") else { return "" }
        defer { fclose(file) }
        var bytes: [UInt8] = []
        while case let byte = fgetc(file), byte >= 0 { bytes.append(UInt8(byte)) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
