import NetworkAddresses

extension FlowRecord {
    /// The evidence as the results show it, in the order of the chain.
    package var evidenceItems: [FlowResult.EvidenceItem] {
        attempts.flatMap { $0.hop.evidenceItems } + [client.evidenceItem(attempts)]
    }
}

extension Hop {
    fileprivate var evidenceItems: [FlowResult.EvidenceItem] {
        var items: [FlowResult.EvidenceItem] = []
        items += drops.map {
            FlowResult.EvidenceItem(
                at: $0.at, kind: .drop,
                detail: [
                    "tuple": "\($0.tuple)", "direction": $0.direction, "pod": $0.pod,
                    "policies": $0.policies.joined(separator: "; "),
                ])
        }
        items += packets.map {
            FlowResult.EvidenceItem(at: $0.place.rawValue, kind: .packet, detail: ["tuple": "\($0.tuple)"])
        }
        for proxy in proxied {
            items += proxy.records.map {
                FlowResult.EvidenceItem(at: proxy.connection.proxy, kind: .accessLog, detail: $0.fields)
            }
            items += proxy.lookups.flatMap(\.evidenceItems)
            items += proxy.upstream.flatMap(\.evidenceItems)
        }
        items += served.filter { $0.stage != .closed }.map {
            var detail = $0.fields
            detail["tuple"] = "\($0.tuple)"
            detail["stage"] = $0.stage.rawValue
            return FlowResult.EvidenceItem(at: $0.at, kind: .served, detail: detail)
        }
        items += names.map(\.evidenceItem)
        if let agent {
            items += agent.asked.flatMap(\.evidenceItems)
            items += agent.answers.map(\.evidenceItem)
            if agent.answers.isEmpty {
                items.append(FlowResult.EvidenceItem(at: agent.at, kind: .served, detail: ["tuple": "\(tuple)"]))
            }
        }
        return items
    }
}

extension NameServed {
    fileprivate var evidenceItem: FlowResult.EvidenceItem {
        FlowResult.EvidenceItem(
            at: at, kind: .served,
            detail: ["tuple": "\(tuple)", "name": name, "type": type, "responseCode": responseCode])
    }
}

extension ClientSaw {
    fileprivate func evidenceItem(_ attempts: [Attempt]) -> FlowResult.EvidenceItem {
        var detail: [String: String] = [
            "attempts": attempts.filter { $0.purpose == .exchange }.map { "\($0.hop.tuple)" }.joined(separator: ", ")
        ]
        if let tuple { detail["tuple"] = "\(tuple)" }
        if let status { detail["status"] = "\(status)" }
        if let error { detail["error"] = error }
        return FlowResult.EvidenceItem(at: "client", kind: .client, detail: detail)
    }
}
