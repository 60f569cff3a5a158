/// What two runs of one scenario may say differently and be right both times.
///
/// Nothing else is passed over: there is no list of accepted differences.
enum VolatileText {
    /// A pattern inside of texts (headers, bodies, what programs print), and what stands for it.
    struct Rule: Sendable {
        var name: String
        var reason: String
        var replace: @Sendable (String) -> String
    }

    static let rules: [Rule] = [
        Rule(
            name: "end or reset",
            reason: """
                a peer that closes at once is seen to end the connection, or to reset it, whichever comes first: its \
                close or the client's next bytes
                """
        ) {
            $0.replacing(
                /TLS handshake failed: (the peer closed the connection during the handshake|Connection reset by peer)/,
                with: "TLS handshake failed: <closed>"
            )
            .replacing(/closed without an answer(: Connection reset by peer)?$/, with: "<closed>")
            .replacing(/connection reset: (Connection reset by peer|Broken pipe)$/, with: "<closed>")
        },
        Rule(name: "date", reason: "an HTTP date is the moment of the answer") {
            $0.replacing(/(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT/, with: "<date>")
        },
        Rule(
            name: "certificate",
            reason:
                "each run makes its certificates: as programs print them, validity, serial number, key and signature"
        ) {
            $0.replacing(
                /(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) +\d{1,2} \d\d:\d\d:\d\d \d{4} GMT/, with: "<date>"
            )
            .replacing(/([0-9a-f]{2}:\s*){7,}[0-9a-f]{2}\b/, with: "<bytes>")
            .replacing(
                /-----BEGIN CERTIFICATE-----[A-Za-z0-9+\/=\s]*-----END CERTIFICATE-----/, with: "<certificate>")
        },
        Rule(name: "x-envoy-upstream-service-time", reason: "as a program prints it: how long the upstream took") {
            $0.replacing(/(?<name>(?i)x-envoy-upstream-service-time"?: *"?)\d+/) { "\($0.output.name)<ms>" }
        },
        Rule(name: "curl's waiting", reason: "curl says how long it waited and, of time-outs, for what at that moment")
        {
            $0.replacing(/curl: \(28\) .*/, with: "curl: (28) <time-out>")
                .replacing(/after \d+ ms:/, with: "after <ms> ms:")
        },
        Rule(name: "header block", reason: "the order of header fields means nothing but among those of one name") {
            $0.replacing(/(?<status>HTTP\/1\.[01] \d{3}[^\r\n]*\r\n)(?<fields>(?:[^\r\n]+\r\n)+)/) { match in
                let fields = match.output.fields.split(separator: "\r\n").map { field in
                    (name: field.prefix { $0 != ":" }.lowercased(), field: field)
                }
                // Stable within a name: there the order counts.
                let sorted = fields.enumerated().sorted { ($0.element.name, $0.offset) < ($1.element.name, $1.offset) }
                return match.output.status + sorted.map { "\($0.element.field)\r\n" }.joined()
            }
        },
        Rule(
            name: "ephemeral port",
            reason: "ports from 20000 to 60999, where clients and proxies speak from, are handed out in turn"
        ) {
            $0.replacing(/(?<host>\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):(?<port>\d{5})\b/) { match in
                let port = Int(match.output.port) ?? 0
                return (20_000..<61_000).contains(port) ? "\(match.output.host):<port>" : String(match.output.0)
            }
        },
    ]

    /// Header fields of which only the presence is compared, in lower case.
    static let headers: [String: String] = ["x-envoy-upstream-service-time": "it is how long the upstream took"]

    /// Fields of access-log records, and why their values are not compared as they are.
    enum RecordField {
        /// Present on both sides or on none.
        static let presenceOnly: [String: String] = [
            "upstream_service_time": "it is how long the upstream took",
            "duration": "it is how long the request or connection took",
            "start_time": "it is the moment of the request",
        ]

        /// Addresses whose port is ephemeral: the host is compared.
        static let hostOnly: [String: String] = [
            "upstream_local_address": "the proxy's own end has the next free port",
            "downstream_remote_address": "the client's end has the next free port",
        ]

        /// Not compared where the bytes are TLS.
        static let sizes: Set<String> = ["bytes_received", "bytes_sent"]
        static let whyNoSizesOfTLS = "ECDSA signatures, and with them handshakes, differ in length by a few bytes"
    }

    static func normalized(_ text: String) -> String {
        rules.reduce(text) { text, rule in rule.replace(text) }
    }
}

/// Which request id of the left side is which one of the right: proxies draw them anew in every run (RFC 9562 UUIDs),
/// and then hand them on, so that each must stand wherever its counterpart stands.
struct RequestIDPairing {
    private var rightOfLeft: [String: String] = [:]
    private var leftOfRight: [String: String] = [:]

    /// True when the texts are equal but for what is volatile.
    mutating func areEqual(_ left: String, _ right: String) -> Bool {
        if left == right { return true }
        let (left, right) = (VolatileText.normalized(left), VolatileText.normalized(right))
        if left == right { return true }
        let identifiers = (Self.identifiers(in: left), Self.identifiers(in: right))
        guard identifiers.0.count == identifiers.1.count, Self.masked(left) == Self.masked(right) else { return false }
        return zip(identifiers.0, identifiers.1).allSatisfy { pair($0, $1) }
    }

    private mutating func pair(_ left: String, _ right: String) -> Bool {
        if let known = rightOfLeft[left] { return known == right }
        if leftOfRight[right] != nil { return false }
        rightOfLeft[left] = right
        leftOfRight[right] = left
        return true
    }

    private static func identifiers(in text: String) -> [String] {
        text.matches(of: /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/).map { String($0.output) }
    }

    private static func masked(_ text: String) -> String {
        text.replacing(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/, with: "<request-id>")
    }
}
