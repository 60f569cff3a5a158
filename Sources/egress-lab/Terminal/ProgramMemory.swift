import Foundation
import Glibc

/// The memory that holds the program's own code.
enum ProgramMemory {
    /// Gives back the pages of code and constants that have been read so far. What is needed again comes back from the
    /// kernel's cache, a few pages at a time; what only the start needed does not.
    ///
    /// Of a program of this size, most of what is resident after the start is that.
    static func giveBackStart() {
        guard let text = try? String(contentsOfFile: "/proc/self/smaps", encoding: .utf8) else { return }
        var mapping: (start: UInt, end: UInt)?
        for line in text.split(separator: "\n") {
            if let named = readOnlyFile(line) {
                mapping = named
            } else if line.hasPrefix("VmFlags:") {
                mapping = nil
            } else if line.hasPrefix("Anonymous:"), let found = mapping, line.split(separator: " ")[1] == "0" {
                // Without a page of our own, every page is the file's.
                madvise(UnsafeMutableRawPointer(bitPattern: found.start), Int(found.end - found.start), MADV_DONTNEED)
            }
        }
    }

    /// `55d0c0a00000-55d0c2a00000 r-xp 00681000 fe:00 1234 /usr/bin/egress-lab`, if it can't be written to.
    private static func readOnlyFile(_ line: Substring) -> (start: UInt, end: UInt)? {
        let fields = line.split(separator: " ", omittingEmptySubsequences: true)
        guard fields.count >= 6, fields[1].hasPrefix("r"), !fields[1].contains("w"), fields[5].hasPrefix("/") else {
            return nil
        }
        let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
        return ends.count == 2 ? (ends[0], ends[1]) : nil
    }
}
