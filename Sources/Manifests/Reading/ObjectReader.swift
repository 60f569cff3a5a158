import NetworkAddresses

/// A Kubernetes object whose kind is known, while it is being read.
struct ObjectReader {
    let root: FieldReader
    let metadata: ObjectMeta
    /// What the object is called in messages.
    var kind: String { root.subject.kind }

    private static let rootFields: FieldNames = "apiVersion kind metadata spec status"

    /// `spec`, after checking the object's own fields; nil, and said, where there is none.
    func spec(_ fields: FieldNames) -> FieldReader? {
        root.check(Self.rootFields)
        guard let spec = root.required("spec"), spec.check(fields) else { return nil }
        return spec
    }
}

extension ObjectMeta {
    private static let fields: FieldNames = """
        name generateName namespace labels annotations creationTimestamp deletionTimestamp deletionGracePeriodSeconds
        finalizers generation managedFields ownerReferences resourceVersion selfLink uid clusterName initializers
        """

    /// Reads `metadata` of an object; an impossible name is said and taken as it is, as is a missing one where there is
    /// no `defaultName`.
    init?(
        reading object: FieldReader, isClusterScoped: Bool, isTemplate: Bool = false, defaultName: String? = nil
    ) {
        let mayBeMissing = isTemplate || defaultName != nil
        guard let field = mayBeMissing ? object["metadata"] : object.required("metadata") else {
            guard mayBeMissing else { return nil }
            let namespace = isTemplate || isClusterScoped ? "" : "default"
            self.init(name: defaultName ?? "", namespace: namespace, location: object.location)
            return
        }
        guard field.check(Self.fields) else { return nil }
        var name = ""
        if let given = field["name"] ?? field["generateName"] {
            guard let text = given.string else { return nil }
            name = text
        } else if let defaultName {
            name = defaultName
        } else if !isTemplate {
            _ = field.required("name")
            return nil
        }
        while field["name"] == nil, name.hasSuffix("-") { name.removeLast() }
        if !isTemplate, !name.isEmpty, !Self.isName(name) {
            field["name"]?.error(
                "\"\(name)\" is no name", remedy: "use lower-case letters, digits, '-' and '.', at most 253 of them")
        }
        var namespace = ""
        if let field = field["namespace"] {
            if isClusterScoped {
                let isError = object.subject.unknownField == .error
                field.say(
                    object.subject.unknownField,
                    "\(object.subject.kind) has no namespace" + (isError ? "" : "; this one is ignored"))
            } else {
                guard let text = field.string else { return nil }
                namespace = text
                if !Self.isName(text) || text.contains(".") {
                    field.error("\"\(text)\" is no namespace name", remedy: "use lower-case letters, digits and '-'")
                }
            }
        }
        if !isClusterScoped, namespace.isEmpty { namespace = "default" }
        var annotations: [String: Located<String>] = [:]
        for entry in field["annotations"]?.entries ?? [] {
            if entry.field.node.isNull {
                annotations[entry.key] = Located("", at: entry.location)
            } else {
                annotations[entry.key] = entry.field.locatedString
            }
        }
        self.init(
            name: name, namespace: namespace, labels: field["labels"]?.stringMap ?? [:], annotations: annotations,
            creationTimestamp: field["creationTimestamp"]?.text.flatMap(Timestamp.seconds),
            controller: Self.controller(field), isTerminating: field["deletionTimestamp"] != nil,
            location: object.location, document: isTemplate ? nil : SourceDocument(object.node))
        PodAnnotations.check(in: field)
    }

    private static func controller(_ metadata: FieldReader) -> Controller? {
        (metadata["ownerReferences"]?.list ?? []).lazy.compactMap { reference -> Controller? in
            guard reference["controller"]?.boolean == true, let kind = reference["kind"]?.string,
                let name = reference["name"]?.string
            else { return nil }
            return Controller(kind: kind, name: name)
        }.first
    }

    private static func isName(_ text: String) -> Bool {
        guard (1...253).contains(text.utf8.count), let first = text.utf8.first, let last = text.utf8.last else {
            return false
        }
        func isAlphanumeric(_ byte: UInt8) -> Bool { (48...57).contains(byte) || (97...122).contains(byte) }
        return isAlphanumeric(first) && isAlphanumeric(last)
            && text.utf8.allSatisfy { isAlphanumeric($0) || $0 == 45 || $0 == 46 }
    }
}

/// Times as Kubernetes writes them: `2018-08-01T15:32:02Z`.
enum Timestamp {
    /// Seconds since 1970; nil when the text is no such time.
    static func seconds(_ text: String) -> Double? {
        let parts = text.split { !$0.isNumber }.map { Int($0) ?? 0 }
        guard text.hasSuffix("Z"), parts.count >= 6, (1...12).contains(parts[1]), (1970...9999).contains(parts[0]),
            (1...31).contains(parts[2])
        else { return nil }
        // Days since 1970 in the proleptic Gregorian calendar, years counted from March.
        let year = parts[1] <= 2 ? parts[0] - 1 : parts[0]
        let dayOfYear = (153 * ((parts[1] + 9) % 12) + 2) / 5 + parts[2] - 1
        let days = 365 * year + year / 4 - year / 100 + year / 400 + dayOfYear - 719_468
        let fraction = parts.count > 6 ? Double("0.\(text.split { !$0.isNumber }[6])") ?? 0 : 0
        return Double(days * 86_400 + parts[3] * 3600 + parts[4] * 60 + parts[5]) + fraction
    }
}

extension LabelSelector {
    private static let fields: FieldNames = "matchLabels matchExpressions"
    private static let requirementFields: FieldNames = "key operator values"

    /// Reads a Kubernetes label selector.
    init(reading field: FieldReader) {
        field.check(Self.fields)
        self.init(matchLabels: field["matchLabels"]?.stringMap ?? [:])
        for element in field["matchExpressions"]?.list ?? [] {
            element.check(Self.requirementFields)
            guard let key = element.required("key")?.string,
                let name = element.required("operator")?.choice(of: ["In", "NotIn", "Exists", "DoesNotExist"]),
                let operation = Operator(rawValue: name)
            else { continue }
            let values = element["values"]?.strings ?? []
            switch operation {
            case .in, .notIn:
                if values.isEmpty { element.error("operator \(name) needs at least one value in values") }
            case .exists, .doesNotExist:
                if !values.isEmpty { element.error("operator \(name) takes no values") }
            }
            matchExpressions.append(Requirement(key: key, operator: operation, values: values))
        }
    }
}

extension FieldReader {
    var ipAddress: IPAddress? {
        guard let text = string else { return nil }
        guard let address = IPAddress(text) else {
            error("\"\(text)\" is not an IP address")
            return nil
        }
        return address
    }

    var ipPrefix: IPPrefix? {
        guard let text = string else { return nil }
        guard let prefix = IPPrefix(text) else {
            error("\"\(text)\" is not an IP address or a CIDR block")
            return nil
        }
        return prefix
    }

    /// A transport protocol as Kubernetes names it.
    var transport: IPProtocol? {
        guard let name = choice(of: ["TCP", "UDP", "SCTP"]) else { return nil }
        return name == "TCP" ? .tcp : name == "UDP" ? .udp : .sctp
    }
}
