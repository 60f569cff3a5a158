package import Manifests
import NetworkAddresses

/// Holds a matrix against the table that was kept of an earlier one.
struct MatrixComparison {
    let kept: KeptMatrix

    func differences(from result: MatrixResult) -> [String] {
        result.tables.flatMap { table -> [String] in
            guard let section = kept.sections.first(where: { $0.probe.description == table.name }) else {
                return ["\(table.name) is not in the kept table"]
            }
            return differences(table, section, result)
        }
    }

    private func differences(
        _ table: MatrixResult.Table, _ section: KeptMatrix.Section, _ result: MatrixResult
    ) -> [String] {
        var found: [String] = []
        let columns = Names(section.columns)
        let rows = Names(section.rows.map(\.name))
        let columnOf = result.to.map { columns.position(of: $0) }
        let rowOf = result.from.map { rows.position(of: $0) }
        found += missing(result.to, columnOf, "column", table)
        found += missing(result.from, rowOf, "row", table)
        found += unknown(section.columns, result.to).map {
            "\(table.name): nobody is called \($0), a column of the table"
        }
        found += unknown(section.rows.map(\.name), result.from).map {
            "\(table.name): nobody is called \($0), a row of the table"
        }
        for (source, row) in rowOf.enumerated() {
            guard let row else { continue }
            let cells = Array(table.rows[source])
            for (destination, column) in columnOf.enumerated() {
                guard let column, let expected = section.rows[row.index].cells[column.index] else { continue }
                // A pod always reaches itself; a workload's name stands for its pods among each other.
                let isItself = result.from[source] == result.to[destination]
                if isItself, row.isWorkload, column.isWorkload, hasSiblings(result.to[destination], in: result.to) {
                    continue
                }
                guard expected.rawValue != cells[destination] else { continue }
                found.append(
                    "\(table.name) \(result.from[source].name) -> \(result.to[destination].name):"
                        + " expected \(expected.rawValue), observed \(cells[destination])"
                        + " (\(section.rows[row.index].location.fileAndLine))")
            }
        }
        return found
    }

    private func missing(
        _ ends: [MatrixResult.End], _ positions: [Names.Position?], _ word: String, _ table: MatrixResult.Table
    ) -> [String] {
        zip(ends, positions).filter { $0.1 == nil }.map { "\(table.name): the table has no \(word) for \($0.0.name)" }
    }

    private func unknown(_ names: [String], _ ends: [MatrixResult.End]) -> [String] {
        let known = Set(ends.flatMap { [$0.name, $0.workload] })
        return names.filter { !known.contains($0) }
    }

    private func hasSiblings(_ end: MatrixResult.End, in ends: [MatrixResult.End]) -> Bool {
        ends.contains { $0.workload == end.workload && $0.name != end.name }
    }

    /// The names of a table's rows or columns.
    private struct Names {
        struct Position {
            var index: Int
            /// Found by the workload's name.
            var isWorkload: Bool
        }

        private var positions: [String: Int] = [:]

        init(_ names: [String]) {
            for (position, name) in names.enumerated() where positions[name] == nil { positions[name] = position }
        }

        func position(of end: MatrixResult.End) -> Position? {
            if let exact = positions[end.name] { return Position(index: exact, isWorkload: false) }
            return positions[end.workload].map { Position(index: $0, isWorkload: true) }
        }
    }
}

extension SourceLocation {
    var fileAndLine: String { "\(file):\(line)" }
}

extension MatrixResult {
    /// The answers as a table to keep, with one row and one column for the pods of a workload that answer alike.
    package var kept: KeptMatrix {
        let groups = Groups(self)
        return KeptMatrix(
            sections: tables.map { table in
                let cells = table.rows.map(Array.init)
                let transport = ["TCP": MatrixProbe(.tcp, table.port), "UDP": MatrixProbe(.udp, table.port)]
                let location = SourceLocation(file: "")
                return KeptMatrix.Section(
                    probe: transport[table.protocol] ?? MatrixProbe(.sctp, table.port),
                    columns: groups.to.map(\.name),
                    rows: groups.from.map { row in
                        KeptMatrix.Row(
                            name: row.name,
                            cells: groups.to.map { column in
                                let position = self.position(of: row.members, column.members)
                                return MatrixCell(rawValue: cells[position.row][position.column])
                            }, location: location)
                    }, location: location)
            })
    }

    /// A pair that stands for all of two groups: of different pods, where there is one.
    private func position(of rows: [Int], _ columns: [Int]) -> (row: Int, column: Int) {
        for row in rows.prefix(2) {
            for column in columns.prefix(2) where from[row] != to[column] { return (row, column) }
        }
        return (rows[0], columns[0])
    }

    /// Pods of one workload whose rows and columns are the same.
    private struct Groups {
        struct Group {
            var name: String
            var members: [Int]
        }

        var from: [Group]
        var to: [Group]

        init(_ result: MatrixResult) {
            let cells = result.tables.map { $0.rows.map(Array.init) }
            let rowOf = Dictionary(result.from.enumerated().map { ($1.name, $0) }) { first, _ in first }
            let columnOf = Dictionary(result.to.enumerated().map { ($1.name, $0) }) { first, _ in first }
            /// True where two pods of a workload answer and are answered alike, apart from each other.
            func areAlike(_ one: MatrixResult.End, _ other: MatrixResult.End) -> Bool {
                if let a = rowOf[one.name], let b = rowOf[other.name] {
                    for table in cells {
                        for (column, end) in result.to.enumerated() where end != one && end != other {
                            if table[a][column] != table[b][column] { return false }
                        }
                    }
                }
                if let a = columnOf[one.name], let b = columnOf[other.name] {
                    for table in cells {
                        for (row, end) in result.from.enumerated() where end != one && end != other {
                            if table[row][a] != table[row][b] { return false }
                        }
                    }
                }
                // From one to the other and back.
                if let a = rowOf[one.name], let b = rowOf[other.name], let x = columnOf[one.name],
                    let y = columnOf[other.name]
                {
                    return cells.allSatisfy { $0[a][y] == $0[b][x] }
                }
                return true
            }
            let all = Array(Set(result.from + result.to))
            let members = Dictionary(grouping: all, by: \.workload)
            let alike = Set(
                members.filter { _, ends in
                    let sorted = ends.sorted { $0.name < $1.name }
                    // Among three and more, each must also meet the others alike: the first two show how.
                    return sorted.dropFirst().allSatisfy { areAlike(sorted[0], $0) }
                }.keys)
            func groups(_ ends: [MatrixResult.End]) -> [Group] {
                var found: [Group] = []
                var known: [String: Int] = [:]
                for (position, end) in ends.enumerated() {
                    let name = alike.contains(end.workload) ? end.workload : end.name
                    if let group = known[name] {
                        found[group].members.append(position)
                    } else {
                        known[name] = found.count
                        found.append(Group(name: name, members: [position]))
                    }
                }
                return found
            }
            from = groups(result.from)
            to = groups(result.to)
        }
    }
}
