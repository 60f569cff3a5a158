import NetworkAddresses

extension ScenarioPass {
    private static let flowFields: FieldNames = """
        id from to method path headers body httpVersion sni host address uid gid family count hold expect
        """

    /// Reads one element of a step's `flows`.
    mutating func flow(_ field: FieldReader, defaultID: String) -> Flow? {
        guard field.check(Self.flowFields) else { return nil }
        let id = field["id"]?.text ?? defaultID
        if !flowIDs.insert(id).inserted { (field["id"] ?? field).error("the flow id \(id) is given twice") }
        let from = field.required("from").flatMap { source($0) }
        let expectation = field.required("expect").flatMap { FlowExpectation(reading: $0) }
        guard let to = field.required("to"), let text = to.text else { return nil }
        // The rest is read even when something is missing, for what is to be said of it.
        let placeholder = FlowExpectation(outcome: .allowed)
        let target: FlowTarget
        do {
            target = try FlowTarget(text, in: cluster)
        } catch {
            to.error(error.message, remedy: error.remedy)
            return nil
        }
        var flow = Flow(
            id: id, location: field.location, from: from ?? .node(""), to: text, scheme: target.scheme,
            host: target.host,
            port: target.port, path: target.path, expect: expectation ?? placeholder)
        readRequest(field, into: &flow)
        readClient(field, into: &flow)
        return from == nil || expectation == nil ? nil : flow
    }

    private func readRequest(_ field: FieldReader, into flow: inout Flow) {
        let isHTTP = flow.scheme == .http || flow.scheme == .https
        for name in ["method", "path", "headers", "httpVersion", "host"] where !isHTTP {
            guard let extra = field[name] else { continue }
            extra.error("only http and https flows have this field")
        }
        if let sni = field["sni"] {
            if ![.https, .tls].contains(flow.scheme) { sni.error("only https and tls flows have this field") }
            flow.sni = sni.text
        }
        if let method = field["method"]?.text { flow.method = method }
        if let path = field["path"], let text = path.text, isHTTP {
            flow.path = text
            if !text.hasPrefix("/"), text != "*", !text.contains("://") { path.error("a path begins with /") }
        }
        for entry in field["headers"]?.entries ?? [] {
            for value in entry.field.listOrSelf {
                guard let text = value.text else { continue }
                flow.headers.append(HeaderField(name: entry.key, value: text))
            }
        }
        flow.body = field["body"]?.text
        if let version = field["httpVersion"] {
            if ["2", "2.0", "h2"].contains(version.node.text) {
                flow.httpVersion = "2"
            } else if version.node.text == "3" {
                version.refuse("HTTP/3 clients are not supported yet")
            } else if let text = version.choice(of: ["1.0", "1.1", "2"]) {
                flow.httpVersion = text
            }
        }
        flow.hostHeader = field["host"]?.text
    }

    private func readClient(_ field: FieldReader, into flow: inout Flow) {
        flow.address = field["address"]?.ipAddress
        flow.uid = field["uid"]?.userID
        flow.gid = field["gid"]?.userID
        flow.family = field["family"]?.choice(IPFamily.self)
        flow.count = field["count"]?.integer(1...100_000) ?? 1
        if let hold = field["hold"] {
            if hold.node.text == "until-end" {
                flow.hold = .untilEnd
            } else if hold.node.scalarType == .string {
                flow.hold = hold.milliseconds.map { .seconds(Double($0) / 1000) }
            } else {
                flow.hold = hold.number.map { .seconds($0) }
            }
        }
    }

    /// `namespace/workload[:container]`, `node/NAME` or `internet/ADDRESS`.
    private func source(_ field: FieldReader) -> Flow.Source? {
        guard let text = field.text else { return nil }
        if text.hasPrefix("node/") { return .node(String(text.dropFirst(5))) }
        if text.hasPrefix("internet/") {
            guard let address = IPAddress(text.dropFirst(9)) else {
                field.error("\"\(text.dropFirst(9))\" is not an IP address")
                return nil
            }
            return .internet(address)
        }
        return reference(field).map { .workload($0) }
    }
}

extension FlowExpectation {
    private static let fields: FieldNames = "outcome by path status headers body duration error"

    /// Reads an outcome, or a map of what is expected; a map without outcome expects `allowed`.
    init?(reading field: FieldReader) {
        guard field.isMapping else {
            guard let outcome = field.choice(Outcome.self) else { return nil }
            self.init(outcome: outcome)
            return
        }
        field.check(Self.fields)
        var outcome = Outcome.allowed
        if let given = field["outcome"] {
            guard let value = given.choice(Outcome.self) else { return nil }
            outcome = value
        }
        self.init(outcome: outcome, by: field["by"]?.choice(Enforcer.self))
        if let list = field["path"] {
            path = list.listOrSelf.compactMap { element in
                guard let text = element.text else { return nil }
                let role = text.split(separator: " ").first.map(String.init) ?? ""
                let roles = ["sidecar", "gateway", "sni-proxy"]
                guard roles.contains(role) else {
                    element.error(
                        "expected \(roles.joined(separator: ", ")), or one with its name, found \"\(text)\"",
                        remedy: NearestName.remedy(for: role, among: roles))
                    return nil
                }
                return text
            }
        }
        status = field["status"]?.integer(100...599)
        for entry in field["headers"]?.entries ?? [] {
            if entry.field.node.isNull {
                headers.updateValue(nil, forKey: entry.key)
            } else if let text = entry.field.text {
                headers[entry.key] = text
            }
        }
        body = field["body"]?.text
        error = field["error"]?.text
        if let duration = field["duration"], let text = duration.text {
            let (low, high) = text.parted(by: "..")
            if let high, let from = DurationText.milliseconds(low),
                let to = DurationText.milliseconds(high), from <= to
            {
                durationMs = from...to
            } else {
                duration.error("expected a range of durations such as 3s..4s, found \(duration.node.summary)")
            }
        }
    }
}
