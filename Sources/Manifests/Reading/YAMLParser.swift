import CYaml

/// Reads YAML text into located trees, event by event.
///
/// It stands on the event parser of Yams' own libyaml rather than on `Yams.compose`: that one recurses, compares whole
/// subtrees for duplicate keys and calls `fatalError` on what it doesn't expect, so nested aliases or brackets in a
/// file could take the process down. Here depth and expanded size are bounded before anything grows.
struct YAMLParser {
    /// What a file may hold.
    struct Limits {
        /// Nodes after expansion of aliases, over all documents of a file.
        var nodes = 1_000_000
        /// Nesting of mappings and lists after expansion of aliases.
        var depth = 200
    }

    private let file: String
    private let limits: Limits
    private let origin: ManifestNode.TextOrigin?
    /// Where everything is said to be when the text can't be mapped to lines of the file (quoted YAML in YAML).
    private let fixedLocation: SourceLocation?
    private var diagnostics: [Diagnostic] = []
    private var nodes = 0
    private var stack: [Open] = []
    private var anchors: [String: Anchored] = [:]
    private var documents: [ManifestNode] = []

    /// A mapping or list whose end has not come yet.
    private struct Open {
        var isMapping: Bool
        var location: SourceLocation
        var anchor: String?
        var entries: [ManifestNode.Entry] = []
        var items: [ManifestNode] = []
        var keys: Set<String> = []
        var pendingKey: (text: String, location: SourceLocation, isMerge: Bool)?
        var merges: [ManifestNode] = []
        var size = 1
        var height = 1
    }

    private struct Anchored {
        /// nil while the node is still being read: an alias to it would be a cycle.
        var node: ManifestNode?
        var size = 0
        var height = 0
    }

    private struct Failure: Error {}

    private static let byteOrderMark: [UInt8] = [0xef, 0xbb, 0xbf]

    init(
        file: String, limits: Limits = Limits(), origin: ManifestNode.TextOrigin? = nil,
        fixedLocation: SourceLocation? = nil
    ) {
        self.file = file
        self.limits = limits
        self.origin = origin
        self.fixedLocation = fixedLocation
    }

    /// The documents of the text; those before an error are kept.
    static func parse(
        _ text: String, file: String, limits: Limits = Limits(), origin: ManifestNode.TextOrigin? = nil,
        fixedLocation: SourceLocation? = nil
    ) -> ReadResult<[ManifestNode]> {
        var parser = YAMLParser(file: file, limits: limits, origin: origin, fixedLocation: fixedLocation)
        var text = text
        text.withUTF8 { bytes in
            // Told that the text is UTF-8, libyaml takes a byte order mark, which Windows' editors write, for content.
            parser.run(UnsafeBufferPointer(rebasing: bytes.dropFirst(bytes.starts(with: byteOrderMark) ? 3 : 0)))
        }
        return ReadResult(parser.documents, diagnostics: parser.diagnostics)
    }

    private mutating func run(_ bytes: UnsafeBufferPointer<UInt8>) {
        let parser = UnsafeMutablePointer<yaml_parser_t>.allocate(capacity: 1)
        defer { parser.deallocate() }
        guard yaml_parser_initialize(parser) == 1 else { return }
        defer { yaml_parser_delete(parser) }
        yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING)
        yaml_parser_set_input_string(parser, bytes.baseAddress, bytes.count)
        let lines = LineIndex(bytes)
        var event = yaml_event_t()
        while true {
            guard yaml_parser_parse(parser, &event) == 1 else {
                report(parser.pointee, lines)
                return
            }
            defer { yaml_event_delete(&event) }
            if event.type == YAML_STREAM_END_EVENT { return }
            do {
                try handle(&event, lines)
            } catch {
                return
            }
        }
    }

    private mutating func handle(_ event: inout yaml_event_t, _ lines: LineIndex) throws(Failure) {
        let location = place(event.start_mark)
        switch event.type {
        case YAML_DOCUMENT_START_EVENT:
            anchors = [:]
            stack = []
        case YAML_SCALAR_EVENT:
            let scalar = scalar(event, lines)
            let node = ManifestNode(.scalar(scalar), at: location)
            if let anchor = name(event.data.scalar.anchor) {
                anchors[anchor] = Anchored(node: node, size: 1, height: 0)
            }
            try count(1, at: location, alias: nil)
            try add(node, size: 1, height: 0)
        case YAML_ALIAS_EVENT:
            let alias = name(event.data.alias.anchor) ?? ""
            guard let target = anchors[alias] else {
                throw fail("alias *\(alias) refers to an anchor that is not defined before it", at: location)
            }
            guard let node = target.node else {
                throw fail(
                    "alias *\(alias) refers to a value that contains the alias itself (a cycle)", at: location)
            }
            try count(target.size, at: location, alias: alias)
            try checkDepth(stack.count + target.height, at: location)
            try add(node, size: target.size, height: target.height)
        case YAML_SEQUENCE_START_EVENT:
            try open(isMapping: false, anchor: name(event.data.sequence_start.anchor), at: location)
        case YAML_MAPPING_START_EVENT:
            try open(isMapping: true, anchor: name(event.data.mapping_start.anchor), at: location)
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT:
            try close()
        default:
            break
        }
    }

    // MARK: Building

    private mutating func open(isMapping: Bool, anchor: String?, at location: SourceLocation) throws(Failure) {
        try count(1, at: location, alias: nil)
        try checkDepth(stack.count + 1, at: location)
        if let top = stack.last, top.isMapping, top.pendingKey == nil {
            throw fail("a key must be text, not a mapping or a list", at: location)
        }
        if let anchor { anchors[anchor] = Anchored(node: nil) }
        stack.append(Open(isMapping: isMapping, location: location, anchor: anchor))
    }

    private mutating func close() throws(Failure) {
        guard var top = stack.popLast() else { return }
        for merge in top.merges { try Self.merge(merge, into: &top, reporting: &diagnostics) }
        let node = ManifestNode(top.isMapping ? .mapping(top.entries) : .sequence(top.items), at: top.location)
        if let anchor = top.anchor {
            anchors[anchor] = Anchored(node: node, size: top.size, height: top.height)
        }
        try add(node, size: top.size, height: top.height)
    }

    private mutating func add(_ node: ManifestNode, size: Int, height: Int) throws(Failure) {
        guard !stack.isEmpty else {
            documents.append(node)
            return
        }
        let top = stack.count - 1
        stack[top].size += size
        stack[top].height = max(stack[top].height, height + 1)
        guard stack[top].isMapping else {
            stack[top].items.append(node)
            return
        }
        if let key = stack[top].pendingKey {
            stack[top].pendingKey = nil
            if key.isMerge {
                stack[top].merges.append(node)
            } else if stack[top].keys.insert(key.text).inserted {
                stack[top].entries.append(.init(key: key.text, location: key.location, value: node))
            } else {
                diagnostics.append(
                    Diagnostic(
                        .error, "key \(key.text) is given twice in this mapping", remedy: "keep one of them",
                        at: key.location))
            }
        } else {
            guard case .scalar(let scalar) = node.content else {
                throw fail("a key must be text, not a mapping or a list", at: node.location)
            }
            stack[top].pendingKey = (scalar.text, node.location, scalar.text == "<<" && scalar.style == .plain)
        }
    }

    /// YAML 1.1 merge: keys of the mapping itself win, then the earlier source.
    private static func merge(
        _ node: ManifestNode, into open: inout Open, reporting diagnostics: inout [Diagnostic]
    ) throws(Failure) {
        switch node.content {
        case .mapping(let entries):
            for entry in entries where open.keys.insert(entry.key).inserted { open.entries.append(entry) }
        case .sequence(let items):
            for item in items {
                guard case .mapping = item.content else { continue }
                try merge(item, into: &open, reporting: &diagnostics)
            }
        case .scalar:
            diagnostics.append(
                Diagnostic(.error, "<<: expected a mapping, found \(node.summary)", at: node.location))
        }
    }

    private mutating func count(_ size: Int, at location: SourceLocation, alias: String?) throws(Failure) {
        nodes += size
        guard nodes > limits.nodes else { return }
        let cause = alias.map { "alias *\($0) makes the file expand to" } ?? "the file holds"
        throw fail("\(cause) more than \(limits.nodes) values", at: location)
    }

    private mutating func checkDepth(_ depth: Int, at location: SourceLocation) throws(Failure) {
        guard depth > limits.depth else { return }
        throw fail("values are nested more than \(limits.depth) deep", at: location)
    }

    private mutating func fail(_ message: String, at location: SourceLocation) -> Failure {
        diagnostics.append(Diagnostic(.error, message, at: location))
        return Failure()
    }

    // MARK: Events

    private func name(_ text: UnsafeMutablePointer<yaml_char_t>?) -> String? {
        text.map { String(cString: $0) }
    }

    private func scalar(_ event: yaml_event_t, _ lines: LineIndex) -> ManifestNode.Scalar {
        let data = event.data.scalar
        let text = String(decoding: UnsafeBufferPointer(start: data.value, count: data.length), as: UTF8.self)
        switch data.style {
        case YAML_LITERAL_SCALAR_STYLE:
            let line = Int(event.start_mark.line) + 1
            let origin =
                origin == nil && fixedLocation == nil
                ? ManifestNode.TextOrigin(line: line + 1, indentation: lines.indentation(below: line, of: text)) : nil
            return .init(text: text, style: .literal, origin: origin)
        case YAML_FOLDED_SCALAR_STYLE:
            return .init(text: text, style: .folded, origin: nil)
        case YAML_PLAIN_SCALAR_STYLE:
            // An explicit `!!str` makes a plain scalar text.
            let isString = name(data.tag).map { $0.hasSuffix(":str") || $0 == "!" } ?? false
            return .init(text: text, style: isString ? .quoted : .plain, origin: nil)
        default:
            return .init(text: text, style: .quoted, origin: nil)
        }
    }

    private func place(_ mark: yaml_mark_t) -> SourceLocation {
        if let fixedLocation { return fixedLocation }
        let (line, column) = (Int(mark.line), Int(mark.column))
        guard let origin else { return SourceLocation(file: file, line: line + 1, column: column + 1) }
        return SourceLocation(file: file, line: origin.line + line, column: origin.indentation + column + 1)
    }

    private mutating func report(_ parser: yaml_parser_t, _ lines: LineIndex) {
        let problem = parser.problem.map { String(cString: $0) } ?? "unreadable"
        if parser.error == YAML_READER_ERROR {
            let location = fixedLocation ?? lines.location(ofByte: Int(parser.problem_offset), file: file)
            diagnostics.append(Diagnostic(.error, "not valid YAML: \(problem)", at: location))
            return
        }
        // libyaml's own bound on nesting gives no place; the scanner has stopped right there.
        if problem.hasPrefix("Maximum nesting level") {
            diagnostics.append(
                Diagnostic(
                    .error, "values are nested more than \(limits.depth) deep", at: place(parser.mark)))
            return
        }
        let context = parser.context.map { String(cString: $0) + ": " } ?? ""
        diagnostics.append(
            Diagnostic(.error, "not valid YAML: \(context)\(problem)", at: place(parser.problem_mark)))
    }
}
