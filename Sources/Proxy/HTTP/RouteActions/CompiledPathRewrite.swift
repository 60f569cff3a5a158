import ProxyModel
import RegularExpressions

/// A route's rewrite of the path, with its expression compiled.
struct CompiledPathRewrite: Sendable {
    private enum Kind: Sendable {
        case prefix(String, length: Int)
        case whole(String)
        case regex(RegularExpression, String)
    }

    private let kind: Kind

    /// - Parameter match: of the same route, which says what a prefix rewrite replaces.
    init(_ rewrite: PathRewrite, match: StringMatch?) throws {
        switch (rewrite, match) {
        case (.prefix(let text), .prefix(let prefix)): kind = .prefix(text, length: prefix.utf8.count)
        case (.prefix(let text), nil): kind = .prefix(text, length: 0)
        case (.prefix(let text), _): kind = .whole(text)
        case (.regex(let pattern, let substitution), _):
            do {
                kind = .regex(try RegularExpression(pattern), substitution)
            } catch {
                throw RouteRegexError(pattern: pattern, reason: "\(error)")
            }
        }
    }

    /// The path that goes upstream; the query stays.
    func rewritten(_ path: String) -> String {
        let bare = path.prefix { $0 != "?" && $0 != "#" }
        switch kind {
        case .prefix(let text, let length): return text + String(decoding: path.utf8.dropFirst(length), as: UTF8.self)
        case .whole(let text): return text + path[bare.endIndex...]
        case .regex(let expression, let substitution):
            return expression.replacingMatches(in: String(bare), with: substitution) + path[bare.endIndex...]
        }
    }
}
