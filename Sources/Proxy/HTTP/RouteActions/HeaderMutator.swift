import ProxyModel

/// Applies the header mutations of routes. Fields keep the places that Envoy gives them (`Router::HeaderParser`).
struct HeaderMutator {
    /// What values may refer to, so far.
    let record: AccessLogRecord
    let request: HTTPRequestHead

    /// A list of mutations, the most specific first: later ones win.
    func mutateRequest(_ fields: inout HTTPFields, by list: [HeaderMutations]) {
        for mutations in list {
            apply(mutations.requestHeadersToAdd, mutations.requestHeadersToRemove, to: &fields, response: nil)
        }
    }

    /// Likewise, for an upstream's response and for the proxy's own.
    func mutateResponse(_ fields: inout HTTPFields, by list: [HeaderMutations]) {
        for mutations in list {
            let response = fields
            apply(
                mutations.responseHeadersToAdd, mutations.responseHeadersToRemove, to: &fields, response: response)
        }
    }

    private func apply(
        _ options: [HeaderValueOption], _ removed: [String], to fields: inout HTTPFields, response: HTTPFields?
    ) {
        for name in removed { fields.remove(name.lowercased()) }
        let values = options.map { option in
            (name: option.name.lowercased(), value: value(option.value, response), action: option.action)
        }
        // What comes out empty is not added.
        for option in values where option.action == .overwrite && !option.value.isEmpty {
            fields.remove(option.name)
            fields.append(option.name, option.value)
        }
        for option in values where option.action == .append && !option.value.isEmpty {
            fields.append(option.name, option.value)
        }
        fields.mergeSingletons()
    }

    /// The value with its command operators carried out; absent ones are empty.
    private func value(_ format: String, _ response: HTTPFields?) -> String {
        guard format.utf8.contains(UInt8(ascii: "%")) else { return format }
        return AccessLogPiece.pieces(of: format).map { piece in
            switch piece {
            case .literal(let text): text
            case .command("REQ", let argument, let maxLength): cut(requestField(argument), maxLength)
            case .command("RESP", let argument, let maxLength):
                cut(argument.flatMap { response?.first($0.lowercased()) }, maxLength)
            case .command(let name, let argument, let maxLength):
                switch AccessLogOperator(name: name, argument: argument, maxLength: maxLength)
                    .value(in: record, hostName: "")
                {
                case .text(let text): text
                case .number(let number): String(number)
                case nil: ""
                }
            }
        }.joined()
    }

    /// `REQ(FIRST?OTHER)`: the first that has a value.
    private func requestField(_ argument: String?) -> String? {
        for name in (argument ?? "").lowercased().split(separator: "?") {
            let value: String? =
                switch name {
                case ":method": request.method
                case ":path": request.path
                case ":authority", "host": request.authority
                case ":scheme": request.scheme
                default: request.fields.first(String(name))
                }
            if let value { return value }
        }
        return nil
    }

    private func cut(_ text: String?, _ maxLength: Int?) -> String {
        guard let text else { return "" }
        return maxLength.map { String(text.prefix($0)) } ?? text
    }
}
