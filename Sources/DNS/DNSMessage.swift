internal import CLdns
package import NetworkAddresses

/// A response, as far as a client needs it.
package struct DNSResponse: Sendable, Equatable {
    package var id: UInt16
    package var code: DNSResponseCode
    package var isTruncated: Bool
    package var type: DNSRecordType
    /// The name asked for, in lower case and without the final dot.
    package var name: String
    package var addresses: [IPAddress]
    /// The shortest time to live of the answer's records.
    package var ttlSeconds: Int?
    package var canonicalName: String?
}

/// Reads and writes DNS messages (RFC 1035, RFC 6891) with libldns.
package enum DNSMessage {
    /// What a client tells servers that it takes in one datagram, as glibc does with `edns0`.
    package static let clientUDPSize: UInt16 = 1232

    /// A recursive query for one name; nil when `name` isn't a domain name.
    package static func query(id: UInt16, name: String, type: DNSRecordType) -> [UInt8]? {
        guard let owner = domainName(name) else { return nil }
        guard
            let packet = ldns_pkt_query_new(
                owner, ldns_rr_type(rawValue: UInt32(type.rawValue)), LDNS_RR_CLASS_IN, UInt16(LDNS_RD))
        else {
            ldns_rdf_deep_free(owner)
            return nil
        }
        defer { ldns_pkt_free(packet) }
        ldns_pkt_set_id(packet, id)
        ldns_pkt_set_edns_udp_size(packet, clientUDPSize)
        return wire(packet)
    }

    /// A response from its bytes; nil when they aren't one.
    package static func response(_ bytes: some Collection<UInt8>) -> DNSResponse? {
        guard let packet = parse(bytes) else { return nil }
        defer { ldns_pkt_free(packet) }
        guard ldns_pkt_qr(packet) != 0, let question = firstQuestion(packet) else { return nil }
        var response = DNSResponse(
            id: ldns_pkt_id(packet), code: DNSResponseCode(rawValue: UInt8(ldns_pkt_get_rcode(packet).rawValue)),
            isTruncated: ldns_pkt_tc(packet) != 0, type: question.type, name: question.name, addresses: [])
        guard let answers = ldns_pkt_answer(packet) else { return response }
        for index in 0..<ldns_rr_list_rr_count(answers) {
            guard let record = ldns_rr_list_rr(answers, index), let data = ldns_rr_rdf(record, 0) else { continue }
            let type = DNSRecordType(rawValue: UInt16(truncatingIfNeeded: ldns_rr_get_type(record).rawValue))
            let ttl = Int(ldns_rr_ttl(record))
            response.ttlSeconds = min(ttl, response.ttlSeconds ?? ttl)
            if type == .cname {
                response.canonicalName = text(of: data)
            } else if type == question.type, type.family != nil, let start = ldns_rdf_data(data),
                let address = IPAddress(bytes: UnsafeBufferPointer(start: start, count: ldns_rdf_size(data)))
            {
                response.addresses.append(address)
            }
        }
        return response
    }

    /// What a query asks; nil when the bytes aren't one, or were cut off.
    package static func question(_ bytes: some Collection<UInt8>) -> DNSQuestion? {
        guard let packet = parse(bytes) else { return nil }
        defer { ldns_pkt_free(packet) }
        return ldns_pkt_qr(packet) == 0 ? firstQuestion(packet) : nil
    }

    /// The reply to a query's bytes, and what was asked; nil when nothing should be sent.
    ///
    /// A message that isn't a whole query is answered with FORMERR when its header can be read, else not at all.
    /// Over UDP a reply is cut to the size that the client takes, and says so (TC).
    package static func reply(
        to bytes: some Collection<UInt8>, overUDP: Bool, from responder: any DNSResponder
    ) -> (bytes: [UInt8], question: DNSQuestion?)? {
        let header = Array(bytes.prefix(12))
        // A response is never answered: two servers would talk for ever.
        guard header.count == 12, header[2] & 0x80 == 0 else { return nil }
        guard let packet = parse(bytes) else { return (bareReply(header, .formatError), nil) }
        defer { ldns_pkt_free(packet) }
        guard header[2] & 0x78 == 0 else { return (bareReply(header, .notImplemented), nil) }
        guard let questions = ldns_pkt_question(packet), ldns_rr_list_rr_count(questions) == 1,
            let asked = firstQuestion(packet)
        else { return (bareReply(header, .formatError), nil) }
        let answer = decide(asked, class: ldns_rr_get_class(ldns_rr_list_rr(questions, 0)), responder)
        var question = asked
        question.code = answer.code
        question.addresses = answer.addresses
        question.ttlSeconds = answer.ttlSeconds
        guard let reply = ldns_pkt_new() else { return nil }
        defer { ldns_pkt_free(reply) }
        ldns_pkt_set_id(reply, ldns_pkt_id(packet))
        ldns_pkt_set_qr(reply, 1)
        ldns_pkt_set_aa(reply, 1)
        ldns_pkt_set_rd(reply, ldns_pkt_rd(packet))
        ldns_pkt_set_ra(reply, 1)
        ldns_pkt_set_rcode(reply, answer.code.rawValue)
        if let clone = ldns_rr_clone(ldns_rr_list_rr(questions, 0)) {
            ldns_pkt_push_rr(reply, LDNS_SECTION_QUESTION, clone)
        }
        fill(reply, question: asked, answer: answer)
        var limit = 65_535
        if ldns_pkt_edns(packet) != 0 {
            ldns_pkt_set_edns_udp_size(reply, 4096)
            if overUDP { limit = max(512, Int(ldns_pkt_edns_udp_size(packet))) }
        } else if overUDP {
            limit = 512
        }
        guard let whole = wire(reply) else { return (bareReply(header, .serverFailure), question) }
        if whole.count <= limit { return (whole, question) }
        ldns_pkt_set_tc(reply, 1)
        let full = ldns_pkt_answer(reply)
        ldns_pkt_set_answer(reply, ldns_rr_list_new())
        // libldns keeps its own count; without this the header would announce records that aren't there.
        ldns_pkt_set_ancount(reply, 0)
        ldns_rr_list_deep_free(full)
        return wire(reply).map { ($0, question) }
    }

    private static func decide(
        _ question: DNSQuestion, class: ldns_rr_class, _ responder: any DNSResponder
    ) -> DNSAnswer {
        guard `class` == LDNS_RR_CLASS_IN else { return DNSAnswer(code: .refused) }
        // Meta types (ANY, AXFR, …) ask for more than one answer (RFC 6895, 3.1).
        guard question.type.rawValue < 128 else { return DNSAnswer(code: .notImplemented) }
        return responder.answer(name: question.name, type: question.type)
    }

    private static func fill(
        _ reply: UnsafeMutablePointer<ldns_pkt>, question: DNSQuestion, answer: DNSAnswer
    ) {
        var owner = question.name
        var count = 0
        func push(_ type: ldns_rr_type, _ data: [UnsafeMutablePointer<ldns_rdf>?]) {
            guard let record = record(owner, type, ttl: answer.ttlSeconds, data) else { return }
            ldns_pkt_push_rr(reply, LDNS_SECTION_ANSWER, record)
            count += 1
        }
        for alias in answer.canonicalNames {
            push(LDNS_RR_TYPE_CNAME, [domainName(alias)])
            owner = alias
        }
        for address in answer.addresses where address.family == question.type.family {
            let bytes = address.bytes
            let isIPv4 = address.family == .ipv4
            let kind = isIPv4 ? LDNS_RDF_TYPE_A : LDNS_RDF_TYPE_AAAA
            push(isIPv4 ? LDNS_RR_TYPE_A : LDNS_RR_TYPE_AAAA, [ldns_rdf_new_frm_data(kind, bytes.count, bytes)])
        }
        if question.type == .srv {
            for service in answer.services {
                push(
                    LDNS_RR_TYPE_SRV,
                    [0, 100, service.port].map { ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, $0) }
                        + [domainName(service.target)])
            }
        }
        guard count == 0, answer.code == .noError || answer.code == .nameError else { return }
        // RFC 2308: a negative answer carries the zone's SOA, whose last field says how long it may be kept.
        let zone = answer.zone ?? "."
        let suffix = zone == "." ? "" : zone
        let numbers: [UInt32] = [1, 7200, 1800, 86_400, answer.ttlSeconds]
        let data: [UnsafeMutablePointer<ldns_rdf>?] =
            [domainName(suffix.isEmpty ? "ns" : "ns.dns." + suffix)]
            + [domainName(suffix.isEmpty ? "hostmaster" : "hostmaster." + suffix)]
            + numbers.enumerated().map {
                ldns_native2rdf_int32($0.offset == 0 ? LDNS_RDF_TYPE_INT32 : LDNS_RDF_TYPE_PERIOD, $0.element)
            }
        if let soa = record(zone, LDNS_RR_TYPE_SOA, ttl: answer.ttlSeconds, data) {
            ldns_pkt_push_rr(reply, LDNS_SECTION_AUTHORITY, soa)
        }
    }

    private static func record(
        _ owner: String, _ type: ldns_rr_type, ttl: UInt32, _ data: [UnsafeMutablePointer<ldns_rdf>?]
    ) -> UnsafeMutablePointer<ldns_rr>? {
        guard let name = domainName(owner), let record = ldns_rr_new(), !data.contains(where: { $0 == nil }) else {
            data.forEach { if let field = $0 { ldns_rdf_deep_free(field) } }
            return nil
        }
        ldns_rr_set_owner(record, name)
        ldns_rr_set_type(record, type)
        ldns_rr_set_class(record, LDNS_RR_CLASS_IN)
        ldns_rr_set_ttl(record, ttl)
        for case let field? in data { ldns_rr_push_rdf(record, field) }
        return record
    }

    private static func firstQuestion(_ packet: UnsafeMutablePointer<ldns_pkt>) -> DNSQuestion? {
        guard let list = ldns_pkt_question(packet), ldns_rr_list_rr_count(list) > 0,
            let record = ldns_rr_list_rr(list, 0), let owner = ldns_rr_owner(record), let name = text(of: owner)
        else { return nil }
        let type = DNSRecordType(rawValue: UInt16(truncatingIfNeeded: ldns_rr_get_type(record).rawValue))
        return DNSQuestion(name: name, type: type, code: .noError)
    }

    private static func parse(_ bytes: some Collection<UInt8>) -> UnsafeMutablePointer<ldns_pkt>? {
        var packet: UnsafeMutablePointer<ldns_pkt>?
        let copy = Array(bytes)
        guard ldns_wire2pkt(&packet, copy, copy.count) == LDNS_STATUS_OK else { return nil }
        return packet
    }

    private static func wire(_ packet: UnsafeMutablePointer<ldns_pkt>) -> [UInt8]? {
        var bytes: UnsafeMutablePointer<UInt8>?
        var size = 0
        guard ldns_pkt2wire(&bytes, packet, &size) == LDNS_STATUS_OK, let bytes else { return nil }
        defer { free(bytes) }
        return Array(UnsafeBufferPointer(start: bytes, count: size))
    }

    /// The header alone, as a response.
    private static func bareReply(_ header: [UInt8], _ code: DNSResponseCode) -> [UInt8] {
        [header[0], header[1], header[2] & 0x79 | 0x80, 0x80 | code.rawValue] + [UInt8](repeating: 0, count: 8)
    }

    private static func domainName(_ name: String) -> UnsafeMutablePointer<ldns_rdf>? {
        ldns_dname_new_frm_str(name.isEmpty ? "." : name)
    }

    /// Lower case, without the final dot; the root is empty.
    private static func text(of name: UnsafeMutablePointer<ldns_rdf>) -> String? {
        guard let text = ldns_rdf2str(name) else { return nil }
        defer { free(text) }
        var string = String(cString: text).lowercased()
        if string.hasSuffix(".") { string.removeLast() }
        return string
    }
}

/// What a server was asked, and how it answered.
package struct DNSQuestion: Sendable, Equatable {
    package var name: String
    package var type: DNSRecordType
    package var code: DNSResponseCode
    /// What the answer gave, and for how long.
    package var addresses: [IPAddress] = []
    package var ttlSeconds: UInt32 = 0
}
