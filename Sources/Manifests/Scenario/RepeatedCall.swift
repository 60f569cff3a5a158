/// One entry of a list of calls, as Backyards' demo has it in a variable: `URL#COUNT`.
package struct RepeatedCall: Sendable, Equatable {
    /// What is wrong with a list.
    package struct Problem: Error {
        package var message: String
        package var remedy: String?
    }

    /// More calls than that in a round are a mistake.
    private static let countLimit = 1000
    private static let schemes: [Flow.Scheme] = [.http, .https, .tcp]

    /// The URL as it was written, without the count.
    package var url: String
    package var scheme: Flow.Scheme
    package var host: Flow.Host
    package var port: UInt16
    package var path: String
    /// How often a round makes it.
    package var count: Int

    /// Reads entries that blanks separate.
    package static func list(_ text: String) throws(Problem) -> [RepeatedCall] {
        var calls: [RepeatedCall] = []
        for entry in text.split(whereSeparator: \.isWhitespace) { calls.append(try RepeatedCall(String(entry))) }
        return calls
    }

    private init(_ text: String) throws(Problem) {
        let mark = text.lastIndex(of: "#")
        url = String(text[..<(mark ?? text.endIndex)])
        count = 1
        if let mark {
            let number = text[text.index(after: mark)...]
            guard let count = Int(number), (1...Self.countLimit).contains(count) else {
                throw Problem(
                    message: "\"\(text)\": \"\(number)\" is no count",
                    remedy: "write URL#COUNT with a count from 1 to \(Self.countLimit)")
            }
            self.count = count
        }
        let target: FlowTarget
        do {
            target = try FlowTarget(url, in: KnownWorkloads())
        } catch {
            throw Problem(message: error.message, remedy: error.remedy)
        }
        guard Self.schemes.contains(target.scheme) else {
            throw Problem(
                message: "\"\(url)\" can't be called",
                remedy: "begin with one of \(Self.schemes.map(\.rawValue).joined(separator: ", "))")
        }
        (scheme, host, port, path) = (target.scheme, target.host, target.port, target.path)
    }
}
