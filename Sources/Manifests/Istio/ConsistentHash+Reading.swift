extension TrafficPolicy.ConsistentHash {
    private static let keys = ["httpHeaderName", "httpCookie", "useSourceIp", "httpQueryParameterName"]
    private static let fields: FieldNames = """
        httpHeaderName httpCookie useSourceIp httpQueryParameterName ringHash maglev minimumRingSize
        """
    /// Envoy's `MaxTableSize`.
    private static let largestTable = 5_000_011

    /// Reads `loadBalancer.consistentHash` with Istio's validation.
    init?(reading field: FieldReader) {
        guard field.check(Self.fields) else { return nil }
        let given = Self.keys.compactMap { name in field[name].map { (name, $0) } }
        guard let (name, value) = given.first else {
            field.error("consistentHash needs one of \(Self.keys.joined(separator: ", "))")
            return nil
        }
        for (other, extra) in given.dropFirst() { extra.error("\(other) can't be combined with \(name)") }
        self.init(key: nil, algorithm: Self.algorithm(field))
        switch name {
        case "httpHeaderName": key = Self.name(value).map(Key.header)
        case "httpQueryParameterName": key = Self.name(value).map(Key.queryParameter)
        case "useSourceIp": key = value.boolean == true ? .sourceIP : nil
        default: key = Self.cookie(value)
        }
    }

    private static func name(_ field: FieldReader) -> String? {
        guard let text = field.string else { return nil }
        if text.isEmpty { field.error("must not be empty") }
        return text
    }

    private static func cookie(_ field: FieldReader) -> Key? {
        guard field.check("name path ttl"), let name = field.required("name").flatMap(name) else { return nil }
        return .cookie(name: name, path: field["path"]?.string ?? "", ttlMs: field["ttl"]?.milliseconds)
    }

    private static func algorithm(_ field: FieldReader) -> Algorithm {
        let old = field["minimumRingSize"]
        old?.warn("minimumRingSize is deprecated", remedy: "use ringHash.minimumRingSize")
        if let maglev = field["maglev"], maglev.check("tableSize") {
            if let ring = field["ringHash"] { ring.error("give only one of ringHash and maglev") }
            guard let size = maglev["tableSize"], let value = size.integer() else { return .maglev(tableSize: nil) }
            guard value <= largestTable, isPrime(value) else {
                size.error("tableSize must be a prime number up to \(largestTable)", remedy: "leave it out for 65537")
                return .maglev(tableSize: nil)
            }
            return .maglev(tableSize: value)
        }
        if let ring = field["ringHash"], ring.check("minimumRingSize") {
            return .ringHash(minimumRingSize: ring["minimumRingSize"]?.integer(0...8_388_608).flatMap(positive))
        }
        return .ringHash(minimumRingSize: old?.integer(0...8_388_608).flatMap(positive))
    }

    /// 0 says nothing, as in the API.
    private static func positive(_ value: Int) -> Int? { value > 0 ? value : nil }

    private static func isPrime(_ number: Int) -> Bool {
        guard number > 1 else { return false }
        var divisor = 2
        while divisor * divisor <= number {
            if number % divisor == 0 { return false }
            divisor += 1
        }
        return true
    }
}
