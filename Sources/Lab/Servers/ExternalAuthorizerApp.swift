/// What Istio's sample of an external authorizer answers (`samples/extauthz`).
enum ExternalAuthorizerApp {
    static func respond(to request: WebRequest) -> WebResponse {
        let isAllowed = request.header("x-ext-authz") == "allow"
        let headers = [
            ("x-ext-authz-check-result", isAllowed ? "allowed" : "denied"),
            (
                "x-ext-authz-additional-header-override",
                request.header("x-ext-authz-additional-header-override") ?? ""
            ),
            ("x-ext-authz-check-received", "\(request.method) \(request.host)\(request.pathAndQuery)"),
        ].map { (name: $0, value: $1) }
        if isAllowed { return WebResponse(status: 200, headers: headers) }
        return WebResponse(
            status: 403, headers: headers,
            body: "denied by ext_authz for not found header `x-ext-authz: allow` in the request",
            type: "text/plain; charset=utf-8")
    }
}
