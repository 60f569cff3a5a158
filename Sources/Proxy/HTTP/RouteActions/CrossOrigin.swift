import ProxyModel

/// A route's policy for pages of other origins, with its expressions compiled.
struct CompiledCorsPolicy: Sendable {
    let model: CorsPolicy
    private let origins: [CompiledStringMatch]

    init(_ model: CorsPolicy) throws {
        self.model = model
        origins = try model.allowOriginStringMatch.map { try CompiledStringMatch($0, ignoresCase: false) }
    }

    /// What matches the star means every origin.
    func allows(_ origin: String) -> Bool { origins.contains { $0.matches("*") || $0.matches(origin[...]) } }
}

/// What a request from a page of another origin gets (Envoy: `CorsFilter`).
struct CrossOrigin {
    let policy: CompiledCorsPolicy
    /// nil: it may not ask.
    let origin: String?
    /// The proxy's own answer to a request that asks beforehand.
    let preflight: LocalReply?

    /// nil for requests that name no origin.
    init?(_ policy: CompiledCorsPolicy, _ head: HTTPRequestHead) {
        guard let origin = head.fields.first("origin"), !origin.isEmpty else { return nil }
        self.policy = policy
        self.origin = policy.allows(origin) ? origin : nil
        let asked = head.fields.first("access-control-request-method") ?? ""
        guard head.method == "OPTIONS", !asked.isEmpty,
            self.origin != nil || !policy.model.forwardNotMatchingPreflights
        else {
            preflight = nil
            return
        }
        var reply = LocalReply(status: 200, details: "cors_response")
        let model = policy.model
        if let origin = self.origin { reply.fields.set("access-control-allow-origin", origin) }
        if model.allowCredentials { reply.fields.set("access-control-allow-credentials", "true") }
        func tell(_ name: String, _ value: String, asked: String) {
            if value == "*" {
                reply.fields.set(name, asked)
            } else if !value.isEmpty {
                reply.fields.set(name, value)
            }
        }
        tell("access-control-allow-methods", model.allowMethods, asked: asked)
        tell(
            "access-control-allow-headers", model.allowHeaders,
            asked: head.fields.first("access-control-request-headers") ?? "")
        if !model.maxAge.isEmpty { reply.fields.set("access-control-max-age", model.maxAge) }
        preflight = reply
    }

    /// What every response tells the client's browser.
    func mutateResponse(_ fields: inout HTTPFields) {
        guard let origin else { return }
        fields.set("access-control-allow-origin", origin)
        if policy.model.allowCredentials { fields.set("access-control-allow-credentials", "true") }
        if !policy.model.exposeHeaders.isEmpty {
            fields.set("access-control-expose-headers", policy.model.exposeHeaders)
        }
    }
}
