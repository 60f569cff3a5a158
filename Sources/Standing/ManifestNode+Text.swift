import Foundation
import Manifests
import ProxyModel
import Yams

extension ManifestNode {
    /// The tree as JSON, keys sorted, as `kubectl get -o json` indents it.
    var json: String { json(indent: "") }

    private func json(indent: String) -> String {
        let inner = indent + "    "
        switch content {
        case .sequence(let elements) where !elements.isEmpty:
            return "[\n" + elements.map { inner + $0.json(indent: inner) }.joined(separator: ",\n") + "\n\(indent)]"
        case .mapping(let entries) where !entries.isEmpty:
            let members = entries.sorted { $0.key < $1.key }.map { entry in
                "\(inner)\(JSONText.quoted(entry.key)): \(entry.value.json(indent: inner))"
            }
            return "{\n" + members.joined(separator: ",\n") + "\n\(indent)}"
        case .sequence, .mapping, .scalar: return compactJSON
        }
    }

    /// The tree in the values that Foundation writes.
    private var foundation: Any {
        switch content {
        case .sequence(let elements): return elements.map(\.foundation)
        case .mapping(let entries):
            return Dictionary(entries.map { ($0.key, $0.value.foundation) }) { first, _ in first }
        case .scalar(let scalar):
            switch scalarType {
            case .null, nil: return NSNull()
            case .boolean(let value): return value
            case .integer(let value): return value
            case .number(let value): return value
            case .string: return scalar.text
            }
        }
    }

    /// The tree as YAML.
    var yaml: String { (try? Yams.serialize(node: yams, allowUnicode: true)) ?? "" }

    private var yams: Yams.Node {
        switch content {
        case .sequence(let elements): return .sequence(Yams.Node.Sequence(elements.map(\.yams)))
        case .mapping(let entries):
            return .mapping(Yams.Node.Mapping(entries.map { (Yams.Node($0.key), $0.value.yams) }))
        case .scalar(let scalar):
            let plain = ManifestNode.plain(scalar.text, at: location)
            let style: Yams.Node.Scalar.Style =
                if scalar.text.contains("\n") {
                    .literal
                } else if scalar.style != .plain, plain.scalarType != .string {
                    // Unquoted it would be a number, a boolean or nothing.
                    .doubleQuoted
                } else {
                    .any
                }
            return .scalar(Yams.Node.Scalar(scalar.text, Yams.Tag(.implicit), style))
        }
    }

    /// What a jsonpath prints of a value: text as it is, all else as JSON.
    var plainText: String {
        switch content {
        case .scalar(let scalar): isNull ? "" : scalar.text
        case .mapping, .sequence: compactJSON
        }
    }

    private var compactJSON: String {
        let options: JSONSerialization.WritingOptions = [.sortedKeys, .withoutEscapingSlashes, .fragmentsAllowed]
        guard let data = try? JSONSerialization.data(withJSONObject: foundation, options: options) else { return "" }
        return String(decoding: data, as: UTF8.self)
    }
}
