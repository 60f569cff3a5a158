import ProxyModel

/// Where an answer of the proxy's own sends the client.
enum RedirectLocation {
    /// Envoy: `Http::Utility::newUri`; without an action, the URL that was asked for.
    static func url(_ action: RedirectAction?, for request: HTTPRequestHead) -> String {
        let scheme = action?.schemeRedirect ?? request.scheme ?? "http"
        let port = action?.portRedirect.map { ":\($0)" } ?? ""
        let host =
            action?.hostRedirect
            ?? String(requestHost(of: request, newScheme: scheme, replacesPort: !port.isEmpty))
        var path = request.path ?? ""
        if let redirect = action?.pathRedirect {
            // The request's query goes along, unless the redirect has its own.
            let query = path.firstIndex(of: "?").map { path[$0...] } ?? ""
            path = redirect.contains("?") ? redirect : redirect + query
        }
        if !path.hasPrefix("/") { path = "/" + path }
        return "\(scheme)://\(host)\(port)\(path)"
    }

    /// Whether answers of this status tell a location at all.
    static func isTold(status: Int) -> Bool { status == 201 || (300..<400).contains(status) }

    /// Without its port, where that is replaced, or is the default one of a scheme that is.
    private static func requestHost(
        of request: HTTPRequestHead, newScheme: String, replacesPort: Bool
    ) -> Substring {
        let authority = (request.authority ?? "")[...]
        guard let colon = authority.lastIndex(of: ":") else { return authority }
        if authority.hasPrefix("["), let bracket = authority.lastIndex(of: "]"), bracket > colon { return authority }
        let forwardedProto = request.fields.first("x-forwarded-proto") ?? "http"
        let port = authority[colon...]
        let isDefault = port == (forwardedProto == "https" ? ":443" : ":80")
        return replacesPort || newScheme != forwardedProto && isDefault ? authority[..<colon] : authority
    }
}
