/// Finds lines and columns in UTF-8 text. Valid only as long as the buffer it was made from.
struct LineIndex {
    private let bytes: UnsafeBufferPointer<UInt8>
    private let starts: Starts

    /// Computed at the first use only: most files never need it.
    private final class Starts {
        var offsets: [Int]?
    }

    init(_ bytes: UnsafeBufferPointer<UInt8>) {
        self.bytes = bytes
        starts = Starts()
    }

    private var lineStarts: [Int] {
        if let offsets = starts.offsets { return offsets }
        var offsets = [0]
        for (index, byte) in bytes.enumerated() where byte == 10 { offsets.append(index + 1) }
        starts.offsets = offsets
        return offsets
    }

    /// How many spaces the literal block that begins below `line` (counted from 1) is indented by.
    func indentation(below line: Int, of text: String) -> Int {
        // The text's first line that is not empty decides; what it keeps of its own spaces is not indentation.
        let contents = text.split(separator: "\n", omittingEmptySubsequences: false)
        guard let index = contents.firstIndex(where: { !$0.allSatisfy { $0 == " " } }) else { return 0 }
        let kept = contents[index].prefix { $0 == " " }.count
        let starts = lineStarts
        guard line + index < starts.count else { return 0 }
        var spaces = 0
        while starts[line + index] + spaces < bytes.count, bytes[starts[line + index] + spaces] == 32 { spaces += 1 }
        return max(0, spaces - kept)
    }

    /// The line and the column (in characters) of a byte.
    func location(ofByte offset: Int, file: String) -> SourceLocation {
        var (line, column) = (1, 1)
        for byte in bytes.prefix(max(0, offset)) {
            if byte == 10 {
                (line, column) = (line + 1, 1)
            } else if byte & 0xc0 != 0x80 {
                column += 1
            }
        }
        return SourceLocation(file: file, line: line, column: column)
    }
}
