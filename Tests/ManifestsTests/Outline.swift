@testable import Manifests

/// Prints a value as an indented outline whose order does not change: what goldens of read values hold.
///
/// Fields that are nil or empty are left out, places are printed at the end of a line.
enum Outline {
    static func of(_ value: Any) -> String {
        var lines: [String] = []
        write("", value, 0, &lines)
        return lines.map { $0 + "\n" }.joined()
    }

    private static func write(_ label: String, _ value: Any, _ depth: Int, _ lines: inout [String]) {
        let indentation = String(repeating: "  ", count: depth)
        let head = label.isEmpty ? indentation : "\(indentation)\(label): "
        let mirror = Mirror(reflecting: value)
        if mirror.displayStyle == .optional {
            if let some = mirror.children.first { write(label, some.value, depth, &lines) }
            return
        }
        switch mirror.displayStyle {
        case .collection:
            for (index, child) in mirror.children.enumerated() {
                write("\(label)[\(index)]", child.value, depth, &lines)
            }
        case .dictionary:
            let pairs = mirror.children.map { Mirror(reflecting: $0.value).children.map(\.value) }
            for pair in pairs.sorted(by: { "\($0[0])" < "\($1[0])" }) {
                let mirror = Mirror(reflecting: pair[1])
                if mirror.displayStyle == .optional, mirror.children.isEmpty {
                    lines.append("\(indentation)\(label)[\(pair[0])]: nil")
                } else {
                    write("\(label)[\(pair[0])]", pair[1], depth, &lines)
                }
            }
        case .struct where !(value is any CustomStringConvertible):
            let place = mirror.children.first { $0.value is SourceLocation }?.value as? SourceLocation
            let name = "\(type(of: value))" + (place.map { " @\($0.line):\($0.column)" } ?? "")
            lines.append(head + name)
            // What was written is not what was made of it.
            for child in mirror.children where !(child.value is SourceLocation) && child.label != "document" {
                write(child.label ?? "", child.value, depth + 1, &lines)
            }
        case .enum where !mirror.children.isEmpty && !(value is any CustomStringConvertible):
            let child = mirror.children.first
            lines.append(head + (child?.label ?? ""))
            if let child { write("", child.value, depth + 1, &lines) }
        case .tuple:
            for child in mirror.children { write(child.label ?? "", child.value, depth, &lines) }
        default:
            lines.append(value is String ? "\(head)\"\(value)\"" : "\(head)\(value)")
        }
    }
}
