extension VirtualService.CorsPolicy {
    private static let fields: FieldNames = """
        allowOrigin allowOrigins allowMethods allowHeaders exposeHeaders maxAge allowCredentials unmatchedPreflights
        """
    private static let methods = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"]

    /// Reads `http[].corsPolicy` with Istio's validation.
    init?(reading field: FieldReader) {
        guard field.check(Self.fields) else { return nil }
        self.init()
        // The list of plain strings is older, and counts only without the other.
        let old = field["allowOrigin"]?.strings.map(VirtualService.StringMatch.exact) ?? []
        allowOrigins =
            field["allowOrigins"].map { $0.list.compactMap { VirtualService.StringMatch(reading: $0) } } ?? old
        allowMethods = Self.methods(field["allowMethods"])
        allowHeaders = field["allowHeaders"]?.strings ?? []
        exposeHeaders = field["exposeHeaders"]?.strings ?? []
        if let age = field["maxAge"], let value = age.milliseconds {
            if value % 1000 != 0 { age.error("maxAge is told in whole seconds", remedy: "write \(value / 1000)s") }
            maxAgeMs = value
        }
        allowCredentials = field["allowCredentials"]?.boolean ?? false
        forwardsUnmatchedPreflights =
            field["unmatchedPreflights"]?.choice(of: ["UNSPECIFIED", "FORWARD", "IGNORE"]) != "IGNORE"
    }

    private static func methods(_ field: FieldReader?) -> [String] {
        (field?.list ?? []).compactMap { element in
            guard let method = element.string else { return nil }
            if method != "*", !methods.contains(method) {
                element.error(
                    "\"\(method)\" is no method of HTTP", remedy: NearestName.remedy(for: method, among: methods))
            }
            return method
        }
    }
}
