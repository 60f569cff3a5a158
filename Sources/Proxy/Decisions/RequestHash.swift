import NetworkAddresses
import ProxyModel

/// What a request's host is chosen by, in clusters that hash (Envoy: `HashPolicyImpl`).
struct RequestHash {
    let value: UInt64?
    /// What the client is told to send from now on: `set-cookie` fields.
    private(set) var cookies: [String] = []

    /// - Parameter connection: what tells the client's connection from all others.
    init(_ policies: [HashPolicy], head: HTTPRequestHead, source: IPAddress, connection: String) {
        var result: UInt64?
        var cookies: [String] = []
        for policy in policies {
            var text: String?
            switch policy {
            case .header(let name):
                if let hash = Self.hash(ofHeader: name.lowercased(), head) { result = Self.combined(result, hash) }
            case .sourceIP: text = source.description
            case .queryParameter(let name): text = Self.queryParameter(name, of: head.path ?? "")
            case .cookie(let name, let ttlMs, let path):
                text = Self.cookie(name, of: head)
                guard text == nil, let ttlMs else { break }
                let made = String(XXHash64.hash(connection), radix: 16)
                let padded = String(repeating: "0", count: 16 - made.count) + made
                var cookie = "\(name)=\"\(padded)\""
                if ttlMs >= 1000 { cookie += "; Max-Age=\(ttlMs / 1000)" }
                if !path.isEmpty { cookie += "; Path=\(path)" }
                cookies.append(cookie + "; HttpOnly")
                text = padded
            }
            if let text { result = Self.combined(result, XXHash64.hash(text)) }
        }
        value = result
        self.cookies = cookies
    }

    private static func combined(_ old: UInt64?, _ new: UInt64) -> UInt64 {
        old.map { (($0 << 1) | ($0 >> 63)) ^ new } ?? new
    }

    /// The order of a field's values does not count.
    private static func hash(ofHeader name: String, _ head: HTTPRequestHead) -> UInt64? {
        let values =
            [":authority", "host"].contains(name) ? [head.authority].compactMap(\.self) : head.fields.all(name)
        if values.isEmpty { return nil }
        return values.sorted().reduce(0) { XXHash64.hash($1, seed: $0) }
    }

    /// As it stands: nothing is decoded.
    private static func queryParameter(_ name: String, of path: String) -> String? {
        guard let mark = path.firstIndex(of: "?") else { return nil }
        for pair in path[path.index(after: mark)...].prefix(while: { $0 != "#" }).split(separator: "&") {
            let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            if parts[0] == name { return parts.count > 1 ? String(parts[1]) : "" }
        }
        return nil
    }

    private static func cookie(_ name: String, of head: HTTPRequestHead) -> String? {
        for field in head.fields.all("cookie") {
            for pair in field.split(separator: ";") {
                let parts = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2, parts[0].trimmingBlanks() == name else { continue }
                let value = parts[1].trimmingBlanks()
                let bare = value.count > 1 && value.hasPrefix("\"") && value.hasSuffix("\"")
                return bare ? String(value.dropFirst().dropLast()) : String(value)
            }
        }
        return nil
    }
}
