package import NetworkAddresses
import ProxyModel

/// What an nginx.conf says of its forward proxy: the `stream` server with `ssl_preread on` whose `proxy_pass` is the
/// ClientHello's name.
package struct NginxSNIServer: Sendable, Equatable {
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    /// What it writes when a connection has ended.
    package struct AccessLog: Sendable, Equatable {
        package var path: String
        package var format: NginxLogFormat
    }

    package var listen: [IPEndpoint]
    package var port: UInt16
    package var nameservers: [IPEndpoint]
    package var families: [IPFamily]
    /// nil: none, or none whose lines tell what became of a connection.
    package var accessLog: AccessLog?

    /// Source of truth: nginx's `ngx_stream_core_module`, `ngx_stream_ssl_preread_module` and
    /// `ngx_stream_proxy_module`.
    ///
    /// - Parameter addresses: what a name in the cluster stands for.
    init(
        readingConfiguration text: String, addresses: (String) -> [IPAddress] = { _ in [] }
    ) throws(Failure) {
        let directives = try NginxDirective.read(text)
        guard let stream = directives.first(where: { $0.name == "stream" })?.block else {
            throw Failure(description: "it has no stream block")
        }
        for server in stream where server.name == "server" {
            let inside = server.block ?? []
            func values(_ name: String) -> [[String]] {
                let own = inside.filter { $0.name == name }
                // What a server does not say itself it has from the block around it.
                return (own.isEmpty ? stream.filter { $0.name == name } : own).map(\.arguments)
            }
            guard values("ssl_preread").first == ["on"],
                let target = values("proxy_pass").first?.first,
                target.hasPrefix("$ssl_preread_server_name"),
                let port = UInt16(target.dropFirst("$ssl_preread_server_name:".count))
            else { continue }
            self.port = port
            listen = try values("listen").map { arguments throws(Failure) in
                try Self.endpoint(arguments.first ?? "", port: nil, any: .anyIPv4)
            }
            let resolver = values("resolver").first ?? []
            nameservers = []
            for word in resolver where !word.contains("=") {
                let found = addresses(word)
                guard found.isEmpty else {
                    nameservers += found.map { IPEndpoint($0, LabConstants.dnsPort) }
                    continue
                }
                nameservers.append(try Self.endpoint(word, port: LabConstants.dnsPort, any: nil))
            }
            accessLog = Self.accessLog(values("access_log"), formats: stream.filter { $0.name == "log_format" })
            families = [.ipv4, .ipv6].filter {
                !resolver.contains($0 == .ipv4 ? "ipv4=off" : "ipv6=off")
            }
            return
        }
        throw Failure(
            description: "no server of its stream block has ssl_preread on and proxy_pass $ssl_preread_server_name:PORT"
        )
    }

    /// The first whose lines can be read.
    private static func accessLog(_ given: [[String]], formats: [NginxDirective]) -> AccessLog? {
        for arguments in given where arguments.count > 1 {
            guard let format = formats.first(where: { $0.arguments.first == arguments[1] }),
                let read = NginxLogFormat(
                    format.arguments.dropFirst().filter { !$0.hasPrefix("escape=") }.joined())
            else { continue }
            return AccessLog(path: arguments[0], format: read)
        }
        return nil
    }

    /// As a stand-in for nginx has it.
    func configuration(defaultResolver: IPEndpoint) -> SNIProxyConfiguration {
        SNIProxyConfiguration(
            listen: listen, port: port, nameservers: nameservers.isEmpty ? [defaultResolver] : nameservers,
            families: families)
    }

    /// `127.0.0.1:8443`, `[::1]:8443`, `8443` or `8.8.8.8`.
    private static func endpoint(
        _ text: String, port: UInt16?, any: IPAddress?
    ) throws(Failure) -> IPEndpoint {
        if let endpoint = IPEndpoint(text) { return endpoint }
        if let any, let number = UInt16(text) { return IPEndpoint(any, number) }
        if text.hasPrefix("*:"), let any, let number = UInt16(text.dropFirst(2)) { return IPEndpoint(any, number) }
        let bare = text.hasPrefix("[") && text.hasSuffix("]") ? String(text.dropFirst().dropLast()) : text
        if let port, let address = IPAddress(bare) { return IPEndpoint(address, port) }
        throw Failure(description: "'\(text)' is no address and port")
    }
}

/// A directive of an nginx configuration, with what is in its braces.
struct NginxDirective: Equatable {
    var name: String
    var arguments: [String]
    var block: [NginxDirective]?

    /// All directives of a configuration file.
    static func read(_ text: String) throws(NginxSNIServer.Failure) -> [NginxDirective] {
        var words = NginxWords(text)
        var rest = try words.all()[...]
        let directives = try read(&rest, isNested: false)
        return directives
    }

    private static func read(
        _ words: inout ArraySlice<NginxWords.Word>, isNested: Bool
    ) throws(NginxSNIServer.Failure) -> [NginxDirective] {
        var result: [NginxDirective] = []
        var pending: [String] = []
        while let word = words.popFirst() {
            switch word {
            case .text(let text): pending.append(text)
            case .semicolon:
                guard let name = pending.first else { continue }
                result.append(NginxDirective(name: name, arguments: Array(pending.dropFirst())))
                pending = []
            case .open:
                guard let name = pending.first else {
                    throw NginxSNIServer.Failure(description: "a block has no name")
                }
                let block = try read(&words, isNested: true)
                result.append(NginxDirective(name: name, arguments: Array(pending.dropFirst()), block: block))
                pending = []
            case .close:
                guard isNested else { throw NginxSNIServer.Failure(description: "it has a } too many") }
                guard pending.isEmpty else {
                    throw NginxSNIServer.Failure(description: "'\(pending[0])' does not end with ;")
                }
                return result
            }
        }
        guard !isNested else { throw NginxSNIServer.Failure(description: "a { has no }") }
        guard pending.isEmpty else {
            throw NginxSNIServer.Failure(description: "'\(pending[0])' does not end with ;")
        }
        return result
    }
}

/// The words of an nginx configuration.
private struct NginxWords {
    enum Word: Equatable {
        case text(String)
        case semicolon
        case open
        case close
    }

    private var rest: Substring
    private let text: String

    init(_ text: String) {
        self.text = text
        rest = text[...]
    }

    mutating func all() throws(NginxSNIServer.Failure) -> [Word] {
        rest = text[...]
        var result: [Word] = []
        while let character = rest.popFirst() {
            switch character {
            case _ where character.isWhitespace: continue
            case ";": result.append(.semicolon)
            case "{": result.append(.open)
            case "}": result.append(.close)
            case "#": rest = rest.drop { !$0.isNewline }
            case "'", "\"": result.append(.text(try quoted(by: character)))
            default: result.append(.text(bare(from: character)))
            }
        }
        return result
    }

    private mutating func quoted(by quote: Character) throws(NginxSNIServer.Failure) -> String {
        var result = ""
        while let character = rest.popFirst() {
            if character == quote { return result }
            if character == "\\", let next = rest.popFirst() {
                result.append(next)
            } else {
                result.append(character)
            }
        }
        throw NginxSNIServer.Failure(description: "a \(quote) is not closed")
    }

    private mutating func bare(from first: Character) -> String {
        var result = String(first)
        while let next = rest.first, !next.isWhitespace, next != ";", next != "{" {
            result.append(next)
            rest.removeFirst()
            // `${name}` belongs to the word.
            if next == "$" || first == "$" && result.count == 1, rest.first == "{" {
                while let part = rest.popFirst() {
                    result.append(part)
                    if part == "}" { break }
                }
            }
        }
        return result
    }
}
