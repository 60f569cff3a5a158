import NetworkAddresses

/// A matrix as a file keeps it: for each probe a table of cells, with names for rows and columns.
///
/// A table begins with a line of the probe and the columns' names (`TCP 80  default/a  internet`); each line after it
/// has a row's name and its cells. `*` stands for any answer; what follows `#` is left out. A name is a pod's, or a
/// workload's for all of its pods.
package struct KeptMatrix: Sendable, Equatable {
    /// The table of one probe.
    package struct Section: Sendable, Equatable {
        package var probe: MatrixProbe
        package var columns: [String]
        package var rows: [Row]
        package var location: SourceLocation

        package init(probe: MatrixProbe, columns: [String], rows: [Row] = [], location: SourceLocation) {
            self.probe = probe
            self.columns = columns
            self.rows = rows
            self.location = location
        }
    }

    /// Who asks, and what becomes of it; nil: whatever does.
    package struct Row: Sendable, Equatable {
        package var name: String
        package var cells: [MatrixCell?]
        package var location: SourceLocation

        package init(name: String, cells: [MatrixCell?], location: SourceLocation) {
            self.name = name
            self.cells = cells
            self.location = location
        }
    }

    package var sections: [Section]

    package init(sections: [Section]) { self.sections = sections }

    private static let transports: [String: IPProtocol] = ["TCP": .tcp, "UDP": .udp, "SCTP": .sctp]

    /// Reads a table from its text; `file` names it in messages.
    package static func read(text: String, file: String) -> ReadResult<KeptMatrix> {
        var sections: [Section] = []
        var diagnostics: [Diagnostic] = []
        for (number, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            let location = SourceLocation(file: file, line: number + 1)
            let words = line.prefix { $0 != "#" }.split(whereSeparator: \.isWhitespace).map(String.init)
            guard let first = words.first else { continue }
            if let transport = transports[first], words.count > 1, let port = UInt16(words[1]) {
                let probe = MatrixProbe(transport, port)
                if sections.contains(where: { $0.probe == probe }) {
                    diagnostics.append(Diagnostic(.error, "there are two tables for \(probe)", at: location))
                }
                sections.append(Section(probe: probe, columns: Array(words.dropFirst(2)), location: location))
                continue
            }
            guard let section = sections.indices.last else {
                diagnostics.append(
                    Diagnostic(
                        .error, "expected the first line of a table, found \"\(first)\"",
                        remedy: "begin with the probe and the columns' names: TCP 80 default/a internet", at: location))
                return ReadResult(KeptMatrix(sections: []), diagnostics: diagnostics)
            }
            guard words.count - 1 == sections[section].columns.count else {
                diagnostics.append(
                    Diagnostic(
                        .error,
                        "row \(first) has \(words.count - 1) cells, and the table \(sections[section].columns.count)"
                            + " columns", at: location))
                continue
            }
            var cells: [MatrixCell?] = []
            for word in words.dropFirst() {
                let cell = word.count == 1 ? word.first.flatMap { MatrixCell(rawValue: $0) } : nil
                if cell == nil, word != "*" {
                    diagnostics.append(
                        Diagnostic(
                            .error, "\"\(word)\" is no cell", remedy: "write one of . X - ? *, each by itself",
                            at: location))
                }
                cells.append(cell)
            }
            sections[section].rows.append(Row(name: first, cells: cells, location: location))
        }
        if sections.isEmpty, diagnostics.isEmpty {
            diagnostics.append(Diagnostic(.error, "the file has no table", at: SourceLocation(file: file)))
        }
        return ReadResult(KeptMatrix(sections: sections), diagnostics: diagnostics)
    }

    /// The text that `read` takes, in aligned columns.
    package var text: String {
        sections.map(Self.text).joined(separator: "\n")
    }

    private static func text(of section: Section) -> String {
        let first = section.probe.description
        let width = max(first.count, section.rows.map(\.name.count).max() ?? 0)
        func line(_ head: String, _ words: [String]) -> String {
            var text = head + String(repeating: " ", count: width - head.count)
            for (word, column) in zip(words, section.columns) {
                text += "  " + word + String(repeating: " ", count: column.count - word.count)
            }
            while text.last == " " { text.removeLast() }
            return text + "\n"
        }
        return line(first, section.columns)
            + section.rows.map { row in
                line(row.name, row.cells.map { $0.map { String($0.rawValue) } ?? "*" })
            }.joined()
    }
}
