import Evidence

/// The evidence of a flow for a person: one line an observation, what says nothing left out unless all is asked for.
struct EvidenceText {
    var evidence: [FlowResult.EvidenceItem]
    var isVerbose: Bool

    /// What of an access log record explains a verdict; the rest is in the JSON and in a verbose report.
    private static let tellingFields: Set<String> = [
        "authority", "connection_termination_details", "method", "path", "requested_server_name", "response_code",
        "response_code_details", "response_flags", "upstream_cluster", "upstream_host",
        "upstream_transport_failure_reason",
    ]

    var lines: [String] { lookups + evidence.filter { !isLookup($0) && !isImplied($0) }.map(line) }

    // MARK: Names

    private func isLookup(_ item: FlowResult.EvidenceItem) -> Bool {
        item.kind == .served && item.detail["responseCode"] != nil && item.detail["name"] != nil
    }

    /// All lookups of a server and an answer in one line: a search list asks for every name four times, twice over.
    private var lookups: [String] {
        var answers: [(at: String, code: String, names: [String])] = []
        for item in evidence where isLookup(item) {
            let (name, code) = (item.detail["name"] ?? "", item.detail["responseCode"] ?? "")
            let index =
                answers.firstIndex { $0.at == item.at && $0.code == code }
                ?? {
                    answers.append((item.at, code, []))
                    return answers.count - 1
                }()
            if !answers[index].names.contains(name) { answers[index].names.append(name) }
        }
        let found = Set(answers.filter { $0.code == "NOERROR" }.map(\.at))
        return answers.compactMap { answer in
            // Names that a search list tried in vain before it found one explain nothing.
            if !isVerbose, answer.code == "NXDOMAIN", found.contains(answer.at) { return nil }
            return "lookup at \(answer.at.printable): \(answer.code) for "
                + answer.names.map(\.printable).joined(separator: ", ")
        }
    }

    // MARK: Other observations

    /// An accepted connection goes without saying where something came through it.
    private func isImplied(_ item: FlowResult.EvidenceItem) -> Bool {
        !isVerbose && item.kind == .served && item.detail["stage"] == "accepted"
            && evidence.contains {
                $0.kind == .served && $0.at == item.at && $0.detail["tuple"] == item.detail["tuple"]
                    && $0.detail["stage"] != "accepted"
            }
    }

    private func line(_ item: FlowResult.EvidenceItem) -> String {
        let place = item.at == item.kind.rawValue ? "" : " at \(item.at.printable)"
        var words = [item.detail["tuple"].map(\.printable)].compactMap { $0 }
        // One attempt is the tuple itself.
        let attempts = item.detail["attempts"] == item.detail["tuple"] ? "attempts" : ""
        words += item.detail.sorted { $0.key < $1.key }
            .filter { key, value in
                !value.isEmpty && key != "tuple" && key != attempts && isTelling(key, value, of: item)
            }
            .map { "\($0.key)=\($0.value.printable)" }
        return "\(item.kind.rawValue)\(place): " + words.joined(separator: " ")
    }

    private func isTelling(_ key: String, _ value: String, of item: FlowResult.EvidenceItem) -> Bool {
        guard !isVerbose else { return true }
        switch item.kind {
        case .accessLog: return Self.tellingFields.contains(key) && value != "-"
        case .served: return key != "x-request-id"
        case .packet, .drop, .client: return true
        }
    }
}
