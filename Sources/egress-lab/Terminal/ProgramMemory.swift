import Glibc

/// The memory that holds the program's own code.
enum ProgramMemory {
    /// Gives back the pages of code and constants that have been read so far. What is needed again comes back from the
    /// kernel's cache, a few pages at a time; what only the start needed does not.
    ///
    /// Of a program of this size, most of what is resident after the start is that.
    static func giveBackStart() {
        guard let text = try? ProgramFile.bytes(of: "/proc/self/smaps") else { return }
        let program = path()
        var mapping: (start: UInt, end: UInt)?
        // Bytes, as text would take ten times as long, and that beside the first connections.
        for line in text.split(separator: UInt8(ascii: "\n")) {
            if line.first.map(isLowerCaseDigit) ?? false {
                mapping = readOnlyFile(String(decoding: line, as: UTF8.self)[...], of: program)
            } else if line.starts(with: anonymous), let found = mapping, line.dropFirst(anonymous.count).hasOnlyZero {
                // Without a page of our own, every page is the file's.
                madvise(UnsafeMutableRawPointer(bitPattern: found.start), Int(found.end - found.start), MADV_DONTNEED)
            }
        }
    }

    private static let anonymous = Array("Anonymous: ".utf8)

    /// A mapping's first line begins with its address, all others with a name in upper case.
    private static func isLowerCaseDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }

    private static func path() -> String? {
        guard let path = realpath("/proc/self/exe", nil) else { return nil }
        defer { free(path) }
        return String(cString: path)
    }

    /// `55d0c0a00000-55d0c2a00000 r-xp 00681000 fe:00 1234 /usr/bin/egress-lab`, if it can't be written to.
    ///
    /// Only of the program and its libraries, which stay where they are: another file's place could be memory by the
    /// time that it is given back.
    private static func readOnlyFile(_ line: Substring, of program: String?) -> (start: UInt, end: UInt)? {
        let fields = line.split(separator: " ", omittingEmptySubsequences: true)
        guard fields.count >= 6, fields[1].hasPrefix("r"), !fields[1].contains("w"), fields[5].hasPrefix("/") else {
            return nil
        }
        guard fields[5].contains(".so") || String(fields[5]) == program else { return nil }
        let ends = fields[0].split(separator: "-").compactMap { UInt($0, radix: 16) }
        return ends.count == 2 ? (ends[0], ends[1]) : nil
    }
}

extension Collection<UInt8> {
    /// Whether `       0 kB` is all there is.
    fileprivate var hasOnlyZero: Bool {
        let rest = drop { $0 == UInt8(ascii: " ") }
        return rest.starts(with: "0 kB".utf8)
    }
}
