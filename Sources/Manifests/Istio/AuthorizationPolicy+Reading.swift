import NetworkAddresses

extension AuthorizationPolicy {
    private static let rootFields: FieldNames = "apiVersion kind metadata spec status"
    private static let fields: FieldNames = "selector targetRef targetRefs rules action provider"
    private static let dryRunAnnotation = "istio.io/dry-run"

    /// Reads `security.istio.io/AuthorizationPolicy` with Istio's validation; one without spec allows nothing.
    init?(reading object: ObjectReader) {
        object.root.check(Self.rootFields)
        self.init(metadata: object.metadata)
        readDryRun(object)
        guard let spec = object.root["spec"] else { return }
        guard spec.check(Self.fields) else { return nil }
        if let field = spec["selector"], field.check("matchLabels") {
            let labels = field["matchLabels"]?.stringMap ?? [:]
            selector = labels.isEmpty ? nil : labels
        }
        for name in ["targetRef", "targetRefs"] {
            guard let field = spec[name] else { continue }
            hasTargetRefs = true
            if selector != nil { field.error("give only one of selector and \(name)") }
            field.warn(
                "selects Gateways of the Gateway API and waypoints, of which there are none here, so the policy has no "
                    + "effect", remedy: "select the gateway's pods with selector.matchLabels")
        }
        action = spec["action"]?.choice(Action.self) ?? .allow
        readProvider(spec)
        rules = (spec["rules"]?.list ?? []).compactMap { Rule(reading: $0) }
        guard rules.isEmpty else { return }
        switch action {
        case .allow, .audit: break
        case .deny:
            spec.warn("DENY without rules never denies", remedy: "write rules: [{}] to deny everything")
        case .custom:
            spec.error("CUSTOM without rules never asks its provider", remedy: "write rules: [{}] to ask always")
        }
    }

    private mutating func readDryRun(_ object: ObjectReader) {
        guard let annotation = object.metadata.annotations[Self.dryRunAnnotation] else { return }
        isDryRun = GoBoolean.isTrue(annotation.value)
        guard !isDryRun, !["false", "f", "0"].contains(annotation.value.lowercased()) else { return }
        object.root.say(
            .warning,
            "\(Self.dryRunAnnotation) is \"\(annotation.value)\", which is neither true nor false, so the "
                + "policy is enforced", remedy: "write \"true\" or \"false\"", at: annotation.location)
    }

    private mutating func readProvider(_ spec: FieldReader) {
        guard let field = spec["provider"] else {
            if action == .custom { spec.error("CUSTOM needs a provider", remedy: "name one of extensionProviders") }
            return
        }
        guard field.check("name") else { return }
        provider = field.required("name")?.locatedString
        if action != .custom {
            field.error("provider goes with action CUSTOM only", remedy: "write action: CUSTOM, or leave it out")
        } else if provider?.value.isEmpty == true {
            field.error("the provider's name is empty", remedy: "name one of extensionProviders")
        }
    }
}

extension AuthorizationPolicy.Rule {
    init?(reading field: FieldReader) {
        guard field.check("from to when") else { return nil }
        self.init(location: field.location)
        if let list = field["from"] {
            if list.isList, list.list.isEmpty { list.error("an empty from matches nothing", remedy: "leave it out") }
            from = list.list.compactMap { element in
                guard element.check("source"), let source = element.required("source") else { return nil }
                return AuthorizationPolicy.Source(reading: source)
            }
        }
        if let list = field["to"] {
            if list.isList, list.list.isEmpty { list.error("an empty to matches nothing", remedy: "leave it out") }
            to = list.list.compactMap { element in
                guard element.check("operation"), let operation = element.required("operation") else { return nil }
                return AuthorizationPolicy.Operation(reading: operation)
            }
        }
        when = (field["when"]?.list ?? []).compactMap { AuthorizationPolicy.Condition(reading: $0) }
    }
}

extension AuthorizationPolicy.Source {
    private static let fields: FieldNames = """
        principals notPrincipals requestPrincipals notRequestPrincipals namespaces notNamespaces serviceAccounts
        notServiceAccounts trustDomains notTrustDomains ipBlocks notIpBlocks remoteIpBlocks notRemoteIpBlocks
        """

    init?(reading field: FieldReader) {
        guard field.check(Self.fields) else { return nil }
        self.init()
        principals = .init(reading: field, "principals", "notPrincipals", PolicyText.checkNotEmpty)
        requestPrincipals = .init(
            reading: field, "requestPrincipals", "notRequestPrincipals", PolicyText.checkNotEmpty)
        namespaces = .init(reading: field, "namespaces", "notNamespaces", PolicyText.checkNotEmpty)
        serviceAccounts = .init(reading: field, "serviceAccounts", "notServiceAccounts", PolicyText.checkAccount)
        trustDomains = .init(reading: field, "trustDomains", "notTrustDomains", PolicyText.checkNotEmpty)
        ipBlocks = .init(reading: field, "ipBlocks", "notIpBlocks", PolicyText.checkAddress)
        remoteIpBlocks = .init(reading: field, "remoteIpBlocks", "notRemoteIpBlocks", PolicyText.checkAddress)
        let all = [
            principals, requestPrincipals, namespaces, serviceAccounts, trustDomains, ipBlocks, remoteIpBlocks,
        ]
        if all.allSatisfy(\.isEmpty) { field.error("a source needs at least one field") }
        if !serviceAccounts.isEmpty, !principals.isEmpty || !namespaces.isEmpty {
            field.error("serviceAccounts can't stand beside principals or namespaces in one source")
        }
    }
}

extension AuthorizationPolicy.Operation {
    private static let fields: FieldNames = """
        hosts notHosts ports notPorts methods notMethods paths notPaths
        """

    init?(reading field: FieldReader) {
        guard field.check(Self.fields) else { return nil }
        self.init()
        hosts = .init(reading: field, "hosts", "notHosts", PolicyText.checkNotEmpty)
        ports = .init(reading: field, "ports", "notPorts", PolicyText.checkPort)
        methods = .init(reading: field, "methods", "notMethods", PolicyText.checkNotEmpty)
        paths = .init(reading: field, "paths", "notPaths", PolicyText.checkPath)
        if [hosts, ports, methods, paths].allSatisfy(\.isEmpty) {
            field.error("an operation needs at least one field")
        }
    }
}

extension AuthorizationPolicy.Condition {
    private static let plainKeys = [
        "connection.sni", "destination.ip", "destination.port", "remote.ip", "request.auth.audiences",
        "request.auth.presenter", "request.auth.principal", "source.ip", "source.namespace", "source.principal",
        "source.serviceAccount",
    ]
    private static let bracketedKeys = ["request.headers", "request.auth.claims"]

    init?(reading field: FieldReader) {
        guard field.check("key values notValues"), let keyField = field.required("key"),
            let key = keyField.locatedString
        else { return nil }
        guard let check = Self.check(of: key.value, keyField) else { return nil }
        let values = AuthorizationPolicy.Values(reading: field, "values", "notValues", check)
        if values.isEmpty { field.error("a condition needs values or notValues") }
        self.init(key: key, values: values)
    }

    /// How the values of a key are checked; nil, and said, for a key that there is not.
    private static func check(of key: String, _ field: FieldReader) -> ((FieldReader, String) -> Void)? {
        switch key {
        case "source.ip", "remote.ip", "destination.ip": return PolicyText.checkAddress
        case "destination.port": return PolicyText.checkPort
        case "source.serviceAccount": return PolicyText.checkAccount
        case _ where plainKeys.contains(key): return PolicyText.checkNotEmpty
        default: break
        }
        if key.hasPrefix("experimental.envoy.filters.") {
            field.refuse("conditions on Envoy's metadata are not supported yet")
            return nil
        }
        for name in bracketedKeys where key.hasPrefix(name) {
            let rest = key.dropFirst(name.count)
            guard rest.hasPrefix("["), rest.hasSuffix("]"), rest.count > 2 else {
                field.error("\"\(key)\" lacks a name in brackets", remedy: "write \(name)[NAME]")
                return nil
            }
            return PolicyText.checkNotEmpty
        }
        let known = plainKeys + bracketedKeys.map { "\($0)[]" }
        field.error("\"\(key)\" is no attribute", remedy: NearestName.remedy(for: key, among: known))
        return nil
    }
}

extension AuthorizationPolicy.Values {
    fileprivate init(
        reading field: FieldReader, _ name: String, _ notName: String, _ check: (FieldReader, String) -> Void
    ) {
        func read(_ name: String) -> [Located<String>] {
            (field[name]?.list ?? []).compactMap { element in
                // Ports are written as numbers often enough to be worth the right word.
                guard let text = element.locatedString else { return nil }
                check(element, text.value)
                return text
            }
        }
        self.init(read(name), not: read(notName))
    }
}

/// What the texts of a policy may be.
private enum PolicyText {
    static func checkNotEmpty(_ field: FieldReader, _ text: String) {
        if text.isEmpty { field.error("an empty text matches nothing", remedy: "leave it out, or write *") }
    }

    static func checkPort(_ field: FieldReader, _ text: String) {
        guard let port = UInt32(text), (1...65535).contains(port) else {
            field.error("\"\(text)\" is not a port number", remedy: "write a number from 1 to 65535, in quotes")
            return
        }
    }

    static func checkAddress(_ field: FieldReader, _ text: String) {
        if IPPrefix(text) == nil { field.error("\"\(text)\" is not an IP address or a CIDR block") }
    }

    static func checkAccount(_ field: FieldReader, _ text: String) {
        let parts = text.split(separator: "/", omittingEmptySubsequences: false)
        if text.contains("*") {
            field.error("service accounts have no wildcards", remedy: "use principals for those")
        } else if parts.count > 2 || parts.contains(where: \.isEmpty) {
            field.error("\"\(text)\" is no service account", remedy: "write NAMESPACE/NAME or NAME")
        }
    }

    /// Templates are whole segments, `{**}` comes last, and neither goes with `*`.
    static func checkPath(_ field: FieldReader, _ text: String) {
        checkNotEmpty(field, text)
        guard text.contains("{") || text.contains("}") else { return }
        let segments = text.split(separator: "/", omittingEmptySubsequences: false)
        let isWellMade = segments.allSatisfy { segment in
            ["{*}", "{**}"].contains(segment) || !segment.contains { "{}*".contains($0) }
        }
        if !text.hasPrefix("/") || !isWellMade {
            field.error(
                "\"\(text)\" is no path template", remedy: "use {*} and {**} as whole segments: /users/{*}/posts")
        } else if segments.dropLast().contains("{**}"),
            segments.filter({ $0 == "{**}" }).count > 1
                || segments[(segments.firstIndex(of: "{**}") ?? 0)...].dropFirst().contains("{*}")
        {
            field.error("\"\(text)\" has more after {**}", remedy: "{**} must be the last of a path's templates")
        }
    }
}
