import Glibc

/// Reads a file of the user's into YAML documents, refusing what is no text or too large.
enum ManifestFile {
    static let sizeLimit = 64 << 20

    enum Kind { case missing, file, directory, other }

    /// What is at the path, links followed.
    static func kind(of path: String) -> Kind {
        guard let status = status(of: path) else { return .missing }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .file
        case S_IFDIR: return .directory
        default: return .other
        }
    }

    private static func status(of path: String) -> stat? {
        var status = stat()
        return stat(path, &status) == 0 ? status : nil
    }

    /// The documents of the file. `asked` is where the file was named; problems of the file itself are told there.
    static func documents(at path: String, askedAt asked: SourceLocation?) -> ReadResult<[ManifestNode]> {
        let read = bytes(at: path, askedAt: asked)
        guard let bytes = read.value else { return ReadResult([], diagnostics: read.diagnostics) }
        return documents(of: bytes, file: path)
    }

    /// What is in the file; nil, and told at `asked`, where it can't be read.
    static func bytes(at path: String, askedAt asked: SourceLocation?) -> ReadResult<[UInt8]?> {
        func refuse(_ message: String, at location: SourceLocation?) -> ReadResult<[UInt8]?> {
            ReadResult(nil, diagnostics: [Diagnostic(.error, message, at: location)])
        }
        switch kind(of: path) {
        case .missing: return refuse("no file \(path)", at: asked)
        case .directory: return refuse("\(path) is a directory, not a file", at: asked)
        case .other: return refuse("\(path) is not a regular file", at: asked)
        case .file: break
        }
        let size = status(of: path).map { Int($0.st_size) } ?? 0
        if size > sizeLimit {
            return refuse(
                "the file is \(size >> 20) MiB large; at most \(sizeLimit >> 20) MiB are read",
                at: SourceLocation(file: path))
        }
        let file = open(path, O_RDONLY | O_CLOEXEC)
        guard file >= 0 else {
            return refuse("can't open \(path): \(String(cString: strerror(errno)))", at: asked)
        }
        defer { close(file) }
        var failure: Int32 = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, count in
            while count < size {
                let got = read(file, buffer.baseAddress?.advanced(by: count), size - count)
                if got < 0 { failure = errno }
                if got <= 0 { return }
                count += got
            }
        }
        guard failure == 0 else {
            return refuse("can't read \(path): \(String(cString: strerror(failure)))", at: asked)
        }
        return ReadResult(bytes, diagnostics: [])
    }

    static func documents(of bytes: [UInt8], file: String) -> ReadResult<[ManifestNode]> {
        guard let text = String(validating: bytes, as: UTF8.self), !text.utf8.contains(0) else {
            let offset = firstBinaryByte(of: bytes)
            let location = bytes.withUnsafeBufferPointer { LineIndex($0).location(ofByte: offset, file: file) }
            let what = offset < bytes.count && bytes[offset] == 0 ? "a NUL byte" : "bytes that are not UTF-8"
            return ReadResult(
                [], diagnostics: [Diagnostic(.error, "not text: the file holds \(what)", at: location)])
        }
        return YAMLParser.parse(text, file: file)
    }

    /// The offset of the first NUL or of the first byte of an invalid sequence.
    private static func firstBinaryByte(of bytes: [UInt8]) -> Int {
        var decoder = UTF8()
        var iterator = bytes.makeIterator()
        var offset = 0
        while true {
            switch decoder.decode(&iterator) {
            case .scalarValue(let scalar):
                if scalar.value == 0 { return offset }
                offset += UTF8.width(scalar)
            case .error, .emptyInput:
                return offset
            }
        }
    }

    /// The files below a directory whose names end like manifests, sorted by path; `scenario.yaml` is none.
    static func manifests(below directory: String) -> [String] {
        var visited: Set<String> = []
        return manifests(below: directory, &visited)
    }

    /// `visited` has the directories and files seen so far: links may lead in circles.
    private static func manifests(below directory: String, _ visited: inout Set<String>) -> [String] {
        guard visited.insert(realPath(directory)).inserted else { return [] }
        var files: [String] = []
        // Hidden files are editors' and git's.
        for name in entries(of: directory) where !name.hasPrefix(".") {
            let path = join(directory, name)
            switch kind(of: path) {
            case .directory: files += manifests(below: path, &visited)
            case .file:
                let isManifest = [".yaml", ".yml", ".json"].contains { name.hasSuffix($0) }
                if isManifest, name != ScenarioLocator.fileName, visited.insert(realPath(path)).inserted {
                    files.append(path)
                }
            case .missing, .other: break
            }
        }
        return files
    }

    /// The path without links; as it is where there is nothing. The corresponding C function is `realpath`.
    static func realPath(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    /// The names in a directory, sorted.
    static func entries(of directory: String) -> [String] {
        guard let handle = opendir(directory) else { return [] }
        defer { closedir(handle) }
        var names: [String] = []
        while let entry = readdir(handle) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name != ".", name != ".." { names.append(name) }
        }
        return names.sorted()
    }

    static func join(_ directory: String, _ path: String) -> String {
        if path.hasPrefix("/") || directory.isEmpty || directory == "." { return path }
        return directory.hasSuffix("/") ? directory + path : "\(directory)/\(path)"
    }

    static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "" }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
