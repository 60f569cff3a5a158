import NetworkAddresses

extension ClusterPolicy {
    /// Reads one of the three kinds with the checks of the published schemas and of adminnetworkpolicy.md §2.
    init?(reading object: ObjectReader, as kind: Kind) {
        let fields: FieldNames =
            switch kind {
            case .admin: "priority subject ingress egress"
            case .baseline: "subject ingress egress"
            case .cluster: "tier priority subject ingress egress"
            }
        guard let spec = object.spec(fields) else { return nil }
        if kind == .baseline, object.metadata.name != "default" {
            (object.root["metadata"]?["name"] ?? object.root).error(
                "a BaselineAdminNetworkPolicy is called default; there is one at most")
        }
        var tier: Tier? = kind == .baseline ? .baseline : .admin
        if kind == .cluster { tier = spec.required("tier")?.choice(Tier.self) }
        let priority = kind == .baseline ? 0 : spec.required("priority")?.integer(0...1000)
        let reader = ClusterPolicyReader(kind: kind)
        let subject = spec.required("subject").flatMap(reader.subject)
        let ingress = spec["ingress"].map { reader.rules($0, .ingress) } ?? []
        let egress = spec["egress"].map { reader.rules($0, .egress) } ?? []
        if spec["ingress"]?.list.isEmpty ?? true, spec["egress"]?.list.isEmpty ?? true {
            spec.warn("without rules the policy does nothing")
        }
        guard let tier, let priority, let subject else { return nil }
        self.init(
            kind: kind, metadata: object.metadata, tier: tier, priority: priority, subject: subject, ingress: ingress,
            egress: egress)
    }
}

/// Reads the parts that the kinds share, each with its own version's names and limits.
private struct ClusterPolicyReader {
    let kind: ClusterPolicy.Kind

    private var isV1alpha2: Bool { kind == .cluster }
    private var limit: Int { isV1alpha2 ? 25 : 100 }
    private var portsField: String { isV1alpha2 ? "protocols" : "ports" }

    // MARK: Rules

    func rules(_ field: FieldReader, _ direction: NetworkPolicy.Direction) -> [ClusterPolicy.Rule] {
        let list = field.list
        if list.count > limit { field.error("more than \(limit) rules", remedy: "split them over several policies") }
        return list.compactMap { rule($0, direction) }
    }

    private func rule(_ field: FieldReader, _ direction: NetworkPolicy.Direction) -> ClusterPolicy.Rule? {
        let peersField = direction == .ingress ? "from" : "to"
        guard field.check(FieldNames(["name", "action", "ports", "protocols", peersField])) else { return nil }
        let foreign = isV1alpha2 ? "ports" : "protocols"
        if let wrong = field[foreign] { wrong.error("\(kind.rawValue) calls it \(portsField)") }
        let name = field["name"]?.string
        if let name, name.count > 100 { field["name"]?.error("a rule's name has at most 100 characters") }
        let action = field.required("action").flatMap(self.action)
        let peers = field.required(peersField).map { self.peers($0, direction, action) }
        var ports: [ClusterPolicy.Port]?
        if let list = field[portsField] {
            ports = bounded(list, 1...limit, of: portsField).compactMap(isV1alpha2 ? protocolElement : portElement)
            checkNames(ports ?? [], list, field[peersField])
        }
        guard let action, let peers else { return nil }
        return ClusterPolicy.Rule(name: name, action: action, peers: peers, ports: ports, location: field.location)
    }

    private func action(_ field: FieldReader) -> ClusterPolicy.Action? {
        let positive = isV1alpha2 ? "Accept" : "Allow"
        if let text = field.node.text, text == (isV1alpha2 ? "Allow" : "Accept") {
            field.error("\(kind.rawValue) has no action \(text)", remedy: "write \(positive)")
            return nil
        }
        let names = [positive, "Deny"] + (kind == .baseline ? [] : ["Pass"])
        switch field.choice(of: names) {
        case positive: return .accept
        case "Deny": return .deny
        case "Pass": return .pass
        default: return nil
        }
    }

    /// The elements; says so when they are too few or too many.
    private func bounded(_ field: FieldReader, _ range: ClosedRange<Int>, of what: String) -> [FieldReader] {
        let list = field.list
        if field.isList, list.isEmpty {
            field.error(
                "an empty list of \(what) is not allowed",
                remedy: what == portsField ? "leave it out, or name at least one" : "name at least one")
        } else if list.count > range.upperBound {
            field.error("more than \(range.upperBound) \(what)", remedy: "split them over several rules")
        }
        return list
    }

    // MARK: Pods

    private static let selectorFields: FieldNames = "namespaces pods"

    func subject(_ field: FieldReader) -> ClusterPolicy.Pods? {
        guard field.check(Self.selectorFields), let key = only(field, ["namespaces", "pods"]) else { return nil }
        return pods(key)
    }

    /// The one key that is given; says so when there is none or are several.
    private func only(_ field: FieldReader, _ keys: [String]) -> FieldReader? {
        let given = keys.compactMap { field[$0] }
        guard given.count == 1 else {
            let choices = keys.joined(separator: ", ")
            field.error(given.isEmpty ? "one of \(choices) is needed" : "only one of \(choices) is allowed")
            return nil
        }
        return given[0]
    }

    private func pods(_ field: FieldReader) -> ClusterPolicy.Pods? {
        if tellOldShape(field) { return nil }
        if field.path.hasSuffix("namespaces") {
            return field.isMapping ? .init(namespaces: LabelSelector(reading: field)) : mismatch(field)
        }
        guard field.check("namespaceSelector podSelector") else { return nil }
        let namespaces = isV1alpha2 ? field["namespaceSelector"] : field.required("namespaceSelector")
        let selector = field.required("podSelector")
        guard isV1alpha2 || namespaces != nil, let selector else { return nil }
        return .init(
            namespaces: namespaces.map(LabelSelector.init(reading:)) ?? LabelSelector(),
            pods: LabelSelector(reading: selector))
    }

    private func mismatch(_ field: FieldReader) -> ClusterPolicy.Pods? {
        field.error("expected a label selector, found \(field.node.summary)")
        return nil
    }

    /// The shape up to v0.1.2 has the same apiVersion: a newer cluster would prune it and select everything.
    private func tellOldShape(_ field: FieldReader) -> Bool {
        let inner = field.path.hasSuffix("pods") ? field["namespaces"] : field
        for key in ["sameLabels", "notSameLabels"] {
            if let found = inner?.keyed(key) {
                found.field.say(
                    .error, "\(key) was removed from the API in v0.1.3",
                    remedy: "write one policy for each namespace, with the label's value", at: found.location)
                return true
            }
        }
        if field.path.hasSuffix("namespaces"), let found = field.keyed("namespaceSelector") {
            found.field.say(
                .error, "namespaces is the selector itself since v0.1.3",
                remedy: "write what is below namespaceSelector directly below namespaces", at: found.location)
            return true
        }
        if field.path.hasSuffix("pods"), let found = field.keyed("namespaces") {
            found.field.say(
                .error, "pods has no namespaces since v0.1.3",
                remedy: "write pods: {namespaceSelector: …, podSelector: …}", at: found.location)
            return true
        }
        return false
    }

    // MARK: Peers

    private func peers(
        _ field: FieldReader, _ direction: NetworkPolicy.Direction, _ action: ClusterPolicy.Action?
    ) -> [ClusterPolicy.Peer] {
        bounded(field, 1...limit, of: "peers").compactMap { peer($0, direction, action) }
    }

    private func peer(
        _ field: FieldReader, _ direction: NetworkPolicy.Direction, _ action: ClusterPolicy.Action?
    ) -> ClusterPolicy.Peer? {
        let all = ["namespaces", "pods", "nodes", "networks", "domainNames"]
        guard field.check(FieldNames(Set(all))), let key = only(field, all) else { return nil }
        let name = key.path.split(separator: ".").last.map(String.init) ?? ""
        if direction == .ingress, !["namespaces", "pods"].contains(name) {
            key.error("\(name) is known in egress only", remedy: "ingress rules select namespaces or pods")
            return nil
        }
        switch name {
        case "namespaces", "pods": return pods(key).map(ClusterPolicy.Peer.pods)
        case "nodes": return .nodes(LabelSelector(reading: key))
        case "networks": return .networks(networks(key))
        default: return domainNames(key, action).map(ClusterPolicy.Peer.domainNames)
        }
    }

    private func networks(_ field: FieldReader) -> [IPPrefix] {
        var seen: Set<String> = []
        return bounded(field, 1...25, of: "networks").compactMap { element in
            guard let text = element.string else { return nil }
            guard text.contains("/"), text.utf8.count <= 43, let prefix = IPPrefix(text),
                let address = IPAddress(String(text.prefix { $0 != "/" }))
            else {
                element.error("\"\(text)\" is not a CIDR block such as 192.0.2.0/24")
                return nil
            }
            if !seen.insert(text).inserted { element.error("\(text) is given twice") }
            if address != prefix.address { element.warn("\(text) has bits behind its length; it is read as \(prefix)") }
            return prefix
        }
    }

    private func domainNames(_ field: FieldReader, _ action: ClusterPolicy.Action?) -> [DomainPattern]? {
        guard kind != .baseline else {
            field.error("BaselineAdminNetworkPolicy has no domainNames")
            return nil
        }
        if let action, action != .accept {
            field.error("domainNames are for rules that allow; this one says \(action.rawValue)")
        }
        var seen: Set<String> = []
        return bounded(field, 1...25, of: "domainNames").compactMap { element in
            guard let text = element.string else { return nil }
            guard let pattern = DomainPattern(text) else {
                element.error(
                    "\"\(text)\" is no domain name", remedy: "write a name such as example.org or *.example.org")
                return nil
            }
            if !seen.insert(text).inserted { element.error("\(text) is given twice") }
            return pattern
        }
    }

    // MARK: Ports

    private func portElement(_ field: FieldReader) -> ClusterPolicy.Port? {
        let keys = ["portNumber", "portRange", "namedPort"]
        guard field.check(FieldNames(Set(keys))), let key = only(field, keys) else { return nil }
        switch key.path.split(separator: ".").last {
        case "portNumber":
            guard key.check("protocol port") else { return nil }
            let transport = self.transport(key)
            guard let number = key.required("port")?.port, let transport else { return nil }
            return .range(transport, PortRange(number))
        case "portRange":
            guard key.check("protocol start end") else { return nil }
            let transport = self.transport(key)
            guard let range = self.range(key), let transport else { return nil }
            return .range(transport, range)
        default: return key.string.map(ClusterPolicy.Port.named)
        }
    }

    private func transport(_ field: FieldReader) -> IPProtocol? {
        field["protocol"].map(\.transport) ?? .tcp
    }

    private func protocolElement(_ field: FieldReader) -> ClusterPolicy.Port? {
        let keys = ["tcp", "udp", "sctp", "destinationNamedPort"]
        guard field.check(FieldNames(Set(keys + ["destinationPort"]))) else { return nil }
        if let misplaced = field.keyed("destinationPort") {
            misplaced.field.say(
                .error, "destinationPort belongs inside tcp, udp or sctp", at: misplaced.location)
            return nil
        }
        guard let key = only(field, keys) else { return nil }
        guard let word = key.path.split(separator: ".").last, word != "destinationNamedPort" else {
            return key.string.map(ClusterPolicy.Port.named)
        }
        guard key.check("destinationPort") else { return nil }
        let transport: IPProtocol = word == "udp" ? .udp : word == "sctp" ? .sctp : .tcp
        guard let port = key["destinationPort"] else {
            key.error(
                "destinationPort is required",
                remedy: "for every port write destinationPort: {range: {start: 1, end: 65535}}")
            return nil
        }
        guard port.check("number range"), let choice = only(port, ["number", "range"]) else { return nil }
        guard choice.path.hasSuffix("range") else {
            return choice.port.map { .range(transport, PortRange($0)) }
        }
        guard choice.check("start end") else { return nil }
        return range(choice).map { .range(transport, $0) }
    }

    private func range(_ field: FieldReader) -> PortRange? {
        guard let start = field.required("start"), let end = field.required("end"), let first = start.port,
            let last = end.port
        else { return nil }
        guard first < last, let range = PortRange(first, through: last) else {
            end.error("end \(last) must be above start \(first)", remedy: "for one port write its number")
            return nil
        }
        return range
    }

    /// Names mean something in pods alone.
    private func checkNames(_ ports: [ClusterPolicy.Port], _ field: FieldReader, _ peers: FieldReader?) {
        let hasName = ports.contains { if case .named = $0 { true } else { false } }
        guard hasName, let peers else { return }
        let word = isV1alpha2 ? "destinationNamedPort" : "namedPort"
        for peer in peers.isList ? peers.list : [] {
            for key in ["networks", "nodes", "domainNames"] where peer[key] != nil {
                field.error("\(word) can't be combined with \(key) in one rule", remedy: "write two rules")
                return
            }
        }
    }
}
