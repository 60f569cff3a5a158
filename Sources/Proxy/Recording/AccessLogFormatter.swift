package import ProxyModel

/// Prints records in a configured format.
package struct AccessLogFormatter: Sendable {
    private enum Piece: Sendable {
        case literal(String)
        case command(AccessLogOperator)
    }

    private enum Form: Sendable {
        case text([Piece])
        /// Sorted by key.
        case json([(key: String, pieces: [Piece])])
    }

    private let form: Form
    /// Envoy of Istio 1.0's time did not know the local address of the connections that it kept for HTTP.
    private let hidesLocalAddressOfHTTP: Bool
    private let filter: LogFilter?
    private let hostName: String

    /// - Parameter hostName: the pod's.
    package init(_ configuration: AccessLogConfiguration, hostName: String = "-") {
        self.init(configuration.format, filter: configuration.filter, hostName: hostName)
    }

    package init(_ format: AccessLogConfiguration.Format, filter: String? = nil, hostName: String = "-") {
        self.hostName = hostName
        // One that is none logs nothing, as where it can't be worked out.
        self.filter = filter.map { LogFilter((try? LogExpression($0)) ?? .literal(.bool(false))) }
        hidesLocalAddressOfHTTP = format == .istio10Text
        switch format {
        case .text(let text): form = .text(Self.pieces(of: text))
        case .json(let object):
            form = .json(object.sorted { $0.key < $1.key }.map { ($0.key, Self.pieces(of: $0.value)) })
        }
    }

    /// Whether the record is one that the log is to have.
    package func logs(_ record: AccessLogRecord) -> Bool { filter?.passes(record) ?? true }

    /// The record's line, without its newline. Absent values are `-` in text and null in JSON.
    package func line(for record: AccessLogRecord) -> String {
        var record = record
        if hidesLocalAddressOfHTTP, record.kind == .http { record.upstreamLocalAddress = nil }
        switch form {
        case .text(let pieces):
            let line = join(pieces, record)
            return line.hasSuffix("\n") ? String(line.dropLast()) : line
        case .json(let fields):
            let members = fields.map { "\(JSONText.quoted($0.key)):\(json($0.pieces, record))" }
            return "{\(members.joined(separator: ","))}"
        }
    }

    private func join(_ pieces: [Piece], _ record: AccessLogRecord) -> String {
        var result = ""
        for piece in pieces {
            switch piece {
            case .literal(let text): result += text
            case .command(let command):
                switch command.value(in: record, hostName: hostName) {
                case .text(let text): result += text
                case .number(let number): result += String(number)
                case nil: result += "-"
                }
            }
        }
        return result
    }

    /// A lone operator keeps its type; text around it makes a string.
    private func json(_ pieces: [Piece], _ record: AccessLogRecord) -> String {
        guard pieces.count == 1, case .command(let command) = pieces[0] else {
            return JSONText.quoted(join(pieces, record))
        }
        return switch command.value(in: record, hostName: hostName) {
        case .text(let text): JSONText.quoted(text)
        case .number(let number): String(number)
        case nil: "null"
        }
    }

    private static func pieces(of format: String) -> [Piece] {
        AccessLogPiece.pieces(of: format).map { piece in
            switch piece {
            case .literal(let text): .literal(text)
            case .command(let name, let argument, let maxLength):
                .command(AccessLogOperator(name: name, argument: argument, maxLength: maxLength))
            }
        }
    }
}
