internal import Foundation
package import Manifests
internal import ProxyModel

/// A whole request, as the lab's apps see it.
package struct WebRequest: Sendable {
    package var method: String
    /// As it stands in the request line: a path, or an absolute URI.
    package var target: String
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    package var isTLS: Bool
    /// The peer's address.
    package var origin: String

    package init(
        method: String, target: String, headers: [(name: String, value: String)], body: [UInt8] = [],
        isTLS: Bool = false, origin: String = ""
    ) {
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.isTLS = isTLS
        self.origin = origin
    }

    /// The first value of a header, by its name in any case.
    package func header(_ name: String) -> String? {
        headers.first { $0.name.caseInsensitiveCompare(name) == .orderedSame }?.value
    }

    /// Path and query, also of an absolute URI.
    package var pathAndQuery: String {
        guard let scheme = target.range(of: "://") else { return target }
        let rest = target[scheme.upperBound...]
        return rest.firstIndex(of: "/").map { String(rest[$0...]) } ?? "/"
    }

    package var path: String { String(pathAndQuery.prefix { $0 != "?" }) }
    package var host: String { header("host") ?? "" }
    package var url: String { "\(isTLS ? "https" : "http")://\(host)\(pathAndQuery)" }

    /// The host without its port.
    package var hostName: String {
        let host = host.lowercased()
        if host.hasPrefix("["), let end = host.firstIndex(of: "]") {
            return String(host[host.index(after: host.startIndex)..<end])
        }
        return String(host.prefix { $0 != ":" })
    }
}

/// An app's answer.
package struct WebResponse: Sendable {
    package var status: Int
    package var headers: [(name: String, value: String)]
    package var body: [UInt8]
    /// How long the app lets the client wait.
    package var delayMs: Int

    package init(
        status: Int = 200, headers: [(name: String, value: String)] = [], body: String = "",
        type: String = "text/html; charset=utf-8", delayMs: Int = 0
    ) {
        self.status = status
        self.body = Array(body.utf8)
        self.headers = body.isEmpty ? headers : [("content-type", type)] + headers
        self.delayMs = delayMs
    }
}

extension InternetHost.App {
    /// The app's answer to a request: a pure function of it.
    package func respond(to request: WebRequest) -> WebResponse {
        switch self {
        case .httpbin: Httpbin.respond(to: request)
        case .redirectToHTTPS:
            WebResponse(status: 301, headers: [("location", "https://\(request.hostName)\(request.pathAndQuery)")])
        case .externalAuthorizer: ExternalAuthorizerApp.respond(to: request)
        case .echo, .banner:
            WebResponse(
                body: String(decoding: request.body, as: UTF8.self),
                type: request.header("content-type") ?? "text/plain; charset=utf-8")
        }
    }
}

/// The part of httpbin.org that examples use.
enum Httpbin {
    static let maximumDelayMs = 10_000

    static func respond(to request: WebRequest) -> WebResponse {
        let parts = request.path.split(separator: "/").map(String.init)
        switch (parts.first ?? "", parts.dropFirst().first) {
        case ("headers", nil): return json([("headers", headers(request))])
        case ("get", nil): return method(["GET", "HEAD"], request) { describe(request, withBody: false) }
        case ("post", nil): return method(["POST"], request) { describe(request, withBody: true) }
        case ("anything", _):
            return json(describe(request, withBody: true) + [("method", JSONText.quoted(request.method))])
        case ("ip", nil): return json([("origin", JSONText.quoted(request.origin))])
        case ("user-agent", nil): return json([("user-agent", JSONText.quoted(request.header("user-agent") ?? ""))])
        case ("status", let code?):
            guard let status = Int(code), (200...599).contains(status) else {
                return WebResponse(status: 400, body: "Invalid status code")
            }
            return WebResponse(status: status)
        case ("delay", let seconds?):
            guard let seconds = Double(seconds), seconds >= 0 else { return page(request, status: 404) }
            var response = json(describe(request, withBody: true))
            response.delayMs = Int(min(seconds * 1000, Double(maximumDelayMs)))
            return response
        default: return page(request, status: 200)
        }
    }

    private static func method(
        _ allowed: [String], _ request: WebRequest, _ members: () -> [(String, String)]
    ) -> WebResponse {
        guard allowed.contains(request.method) else {
            return WebResponse(status: 405, headers: [("allow", allowed.joined(separator: ", "))])
        }
        return json(members())
    }

    private static func page(_ request: WebRequest, status: Int) -> WebResponse {
        let title = escaped(request.hostName)
        let body = """
            <!DOCTYPE html>
            <html>
            <head><title>\(title)</title></head>
            <body><h1>\(title)</h1><p>\(escaped(request.path))</p></body>
            </html>

            """
        return WebResponse(status: status, body: body)
    }

    private static func describe(_ request: WebRequest, withBody: Bool) -> [(String, String)] {
        var members = [
            ("args", arguments(request)), ("headers", headers(request)), ("origin", JSONText.quoted(request.origin)),
            ("url", JSONText.quoted(request.url)),
        ]
        if withBody {
            let text = String(decoding: request.body, as: UTF8.self)
            let isJSON =
                !text.isEmpty
                && (try? JSONSerialization.jsonObject(with: Data(request.body), options: .fragmentsAllowed)) != nil
            members += [("data", JSONText.quoted(text)), ("json", isJSON ? text : "null")]
        }
        return members
    }

    private static func arguments(_ request: WebRequest) -> String {
        guard let mark = request.pathAndQuery.firstIndex(of: "?") else { return "{}" }
        let query = request.pathAndQuery[mark...].dropFirst().prefix { $0 != "#" }
        let pairs = query.split(separator: "&").map { pair -> (String, String) in
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false).map {
                $0.replacing("+", with: " ").removingPercentEncoding ?? String($0)
            }
            return (halves.first ?? "", halves.count > 1 ? halves[1] : "")
        }
        return object(merged(pairs, separator: ", ").map { ($0, JSONText.quoted($1)) }, indentation: 2)
    }

    private static func headers(_ request: WebRequest) -> String {
        let hopByHop = ["connection", "transfer-encoding", "keep-alive"]
        let fields = request.headers.filter { !hopByHop.contains($0.name.lowercased()) }
        return object(
            merged(fields.map { (canonical($0.name), $0.value) }, separator: ",").map { ($0, JSONText.quoted($1)) },
            indentation: 2)
    }

    /// `x-envoy-decorator-operation` as httpbin prints it: `X-Envoy-Decorator-Operation`.
    static func canonical(_ name: String) -> String {
        name.split(separator: "-", omittingEmptySubsequences: false).map { part in
            part.prefix(1).uppercased() + part.dropFirst().lowercased()
        }.joined(separator: "-")
    }

    private static func merged(_ pairs: [(String, String)], separator: String) -> [(String, String)] {
        Dictionary(pairs) { "\($0)\(separator)\($1)" }.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    }

    private static func json(_ members: [(String, String)]) -> WebResponse {
        let sorted = members.sorted { $0.0 < $1.0 }
        return WebResponse(body: object(sorted, indentation: 0) + "\n", type: "application/json")
    }

    private static func object(_ members: [(String, String)], indentation: Int) -> String {
        if members.isEmpty { return "{}" }
        let blanks = String(repeating: " ", count: indentation)
        let lines = members.map { "\(blanks)  \(JSONText.quoted($0)): \($1)" }
        return "{\n" + lines.joined(separator: ",\n") + "\n\(blanks)}"
    }

    private static func escaped(_ text: String) -> String {
        text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing(">", with: "&gt;")
    }
}
