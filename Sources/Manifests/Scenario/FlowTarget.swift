import NetworkAddresses

/// `to` of a flow, taken apart.
///
/// The host is an internet name, an address (IPv6 in brackets), a Service's name, or `namespace/workload`. The last
/// looks like a host with a path: it is taken for a workload when the first part is a namespace that has workloads at
/// this step and the second one of them; for schemes that have no paths, always.
struct FlowTarget {
    var scheme: Flow.Scheme
    var host: Flow.Host
    var port: UInt16
    var path: String

    /// What is wrong with `to`.
    struct Problem: Error {
        var message: String
        var remedy: String?
    }

    init(_ text: String, in cluster: KnownWorkloads) throws(Problem) {
        let schemes = Flow.Scheme.allCases.map(\.rawValue)
        let (head, tail) = text.parted(by: "://")
        guard let tail else {
            throw Problem(
                message: "\"\(text)\" is no URL", remedy: "begin with one of \(schemes.joined(separator: ", ")) and ://"
            )
        }
        guard let scheme = Flow.Scheme(rawValue: head.lowercased()) else {
            throw Problem(
                message: "unknown scheme \"\(head)\"",
                remedy: NearestName.remedy(for: String(head), among: schemes)
                    ?? "use one of \(schemes.joined(separator: ", "))")
        }
        self.scheme = scheme
        switch scheme {
        case .http: port = 80
        case .https, .tls: port = 443
        case .dns: port = 53
        case .tcp, .udp, .sctp, .icmp: port = 0
        }
        path = scheme == .dns ? "" : "/"
        host = .name("")
        if scheme == .dns {
            try parseQuestion(String(tail), cluster)
            return
        }
        // A fragment never leaves the client.
        let address = tail.prefix { $0 != "#" }
        let end = address.firstIndex { $0 == "/" || $0 == "?" } ?? address.endIndex
        let authority = String(address[..<end])
        let rest = String(address[end...])
        if let workload = try workload(authority, rest, cluster) {
            host = .workload(workload.reference)
            try setPort(workload.port)
            path = Self.path(workload.rest)
            return
        }
        try setHost(authority)
        if ![.http, .https].contains(scheme), !rest.isEmpty, rest != "/" {
            throw Problem(
                message: "\(scheme.rawValue)://\(authority) has no path, but \"\(rest)\" follows it", remedy: nil)
        }
        path = Self.path(rest)
    }

    private static func path(_ rest: String) -> String {
        rest.isEmpty ? "/" : rest.hasPrefix("/") ? rest : "/" + rest
    }

    /// `dns://SERVER[:port]/NAME`, or `dns://NAME` for the pod's own resolver: then the host is the empty name.
    private mutating func parseQuestion(_ text: String, _ cluster: KnownWorkloads) throws(Problem) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        switch parts.count {
        case 1:
            path = parts[0]
        case 2 where parts[1].isEmpty:
            path = parts[0]
        case 2:
            try setHost(parts[0])
            path = parts[1]
        case 3:
            // namespace/workload/NAME: a pod asked as a server.
            guard let workload = try workload(parts[0], "/" + parts[1], cluster) else {
                throw Problem(message: "\"\(parts[0])/\(parts[1])\" is no workload", remedy: nil)
            }
            host = .workload(workload.reference)
            try setPort(workload.port)
            path = parts[2]
        default:
            throw Problem(message: "expected dns://SERVER/NAME or dns://NAME", remedy: nil)
        }
        guard HostName.isValid(path) else {
            throw Problem(message: "\"\(path)\" is no name to ask for", remedy: nil)
        }
    }

    private typealias WorkloadTarget = (reference: WorkloadReference, port: String?, rest: String)

    private func workload(
        _ authority: String, _ rest: String, _ cluster: KnownWorkloads
    ) throws(Problem) -> WorkloadTarget? {
        guard rest.hasPrefix("/"), !authority.isEmpty, !authority.contains(":"), !authority.contains("."),
            !authority.contains("[")
        else { return nil }
        let tail = rest.dropFirst()
        let end = tail.firstIndex { $0 == "/" || $0 == "?" } ?? tail.endIndex
        let parts = tail[..<end].split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        guard let name = parts.first, !name.isEmpty else { return nil }
        let reference = WorkloadReference(namespace: authority, name: name)
        if cluster.contains(reference) {
            return (reference, parts.count > 1 ? parts[1] : nil, String(tail[end...]))
        }
        let hasPaths = scheme == .http || scheme == .https
        if !hasPaths || (cluster.hasWorkloads(in: authority) && !cluster.hasService(named: authority)) {
            throw Problem(
                message: "no workload \(reference) at this step", remedy: cluster.nearest(to: reference))
        }
        return nil
    }

    private mutating func setHost(_ authority: String) throws(Problem) {
        var name = authority
        var portText: String?
        if authority.hasPrefix("[") {
            guard let close = authority.firstIndex(of: "]") else {
                throw Problem(message: "\"\(authority)\" lacks a ]", remedy: nil)
            }
            name = String(authority[authority.index(after: authority.startIndex)..<close])
            let rest = authority[authority.index(after: close)...]
            if rest.hasPrefix(":") {
                portText = String(rest.dropFirst())
            } else if !rest.isEmpty {
                throw Problem(message: "\"\(rest)\" follows the address", remedy: nil)
            }
            guard let address = IPAddress(name), address.family == .ipv6 else {
                throw Problem(message: "\"\(name)\" is not an IPv6 address", remedy: nil)
            }
        } else if authority.filter({ $0 == ":" }).count > 1 {
            throw Problem(
                message: "\"\(authority)\" is not HOST:PORT", remedy: "write an IPv6 address in brackets")
        } else if let colon = authority.firstIndex(of: ":") {
            name = String(authority[..<colon])
            portText = String(authority[authority.index(after: colon)...])
        }
        if let address = IPAddress(name) {
            host = .address(address)
        } else if HostName.isValid(name), !name.contains("*") {
            let digits = name.split(separator: ".").last?.allSatisfy(\.isNumber) ?? false
            if digits { throw Problem(message: "\"\(name)\" is not an IP address", remedy: nil) }
            host = .name(name)
        } else {
            throw Problem(message: "\"\(name)\" is no host", remedy: nil)
        }
        try setPort(portText)
    }

    private mutating func setPort(_ text: String?) throws(Problem) {
        if scheme == .icmp {
            if text != nil { throw Problem(message: "icmp has no ports", remedy: nil) }
            return
        }
        if let text {
            guard let number = UInt16(text), number > 0 else {
                throw Problem(message: "\"\(text)\" is not a port number", remedy: nil)
            }
            port = number
        } else if port == 0 {
            throw Problem(
                message: "\(scheme.rawValue) needs a port", remedy: "write \(scheme.rawValue)://HOST:PORT")
        }
    }
}

extension String {
    /// The text before and after the first `separator`; the second part is nil without one.
    func parted(by separator: String) -> (String, String?) {
        var index = startIndex
        while index < endIndex {
            if self[index...].hasPrefix(separator) {
                return (String(self[..<index]), String(self[index...].dropFirst(separator.count)))
            }
            index = self.index(after: index)
        }
        return (self, nil)
    }
}
