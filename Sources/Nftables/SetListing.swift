import NetworkAddresses

/// The elements of a set in the order and form in which nft lists them.
struct SetListing {
    let keys: [DataType]
    let flags: NamedSet.Flags
    let elements: [SetElement]

    /// The elements' texts.
    var texts: [String] {
        normalised.map { element in
            let key = zip(element.key, keys).map { $0.text(as: $1) }.joined(separator: " . ")
            let timed = element.timeout.map { "\(key) timeout \(Self.text($0))" } ?? key
            return element.verdict.map { "\(timed) : \($0.text)" } ?? timed
        }
    }

    /// As nft writes times: `1m30s`, `500ms`.
    private static func text(_ time: Duration) -> String {
        var rest = time.wholeMilliseconds
        var text = ""
        for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)]
            as [(String, UInt64)]
        where rest >= size {
            text += "\(rest / size)\(unit)"
            rest %= size
        }
        return text.isEmpty ? "0s" : text
    }

    /// The elements without duplicates; sorted as nft sorts them, ranges merged where they overlap or touch.
    ///
    /// Concatenations with ranges keep their order: the kernel lists them as they were added, and nft doesn't sort them.
    var normalised: [SetElement] {
        if flags.contains(.interval), keys.count > 1 {
            var seen: Set<[Value]> = []
            return elements.filter { seen.insert($0.key).inserted }
        }
        let sorted = elements.map { (bounds: bounds(of: $0), element: $0) }.sorted {
            $0.bounds.low.lexicographicallyPrecedes($1.bounds.low)
        }
        var result: [(bounds: Bounds, element: SetElement)] = []
        for item in sorted {
            guard let last = result.last else {
                result.append(item)
                continue
            }
            if item.bounds == last.bounds { continue }
            let merges = flags.contains(.interval) && item.element.verdict == nil && last.element.verdict == nil
            if merges, let joined = joined(last.element.key, item.element.key) {
                let element = SetElement(key: [joined])
                result[result.count - 1] = (bounds(of: element), element)
            } else {
                result.append(item)
            }
        }
        return result.map(\.element)
    }

    struct Bounds: Equatable {
        var low: [UInt8]
        var high: [UInt8]
    }

    private func bounds(of element: SetElement) -> Bounds {
        var bounds = Bounds(low: [], high: [])
        for (value, type) in zip(element.key, keys) {
            let (low, high) = value.bytes(as: type)
            bounds.low += low
            bounds.high += high
        }
        // nft compares values in host order, and all concatenations, as one little-endian number.
        if keys.count > 1 || keys[0].isHostOrder {
            bounds.low.reverse()
            bounds.high.reverse()
        }
        return bounds
    }

    /// The two ranges as one, if they overlap or touch; `a` starts no later than `b`.
    private func joined(_ a: [Value], _ b: [Value]) -> Value? {
        guard a.count == 1, b.count == 1 else { return nil }
        if let x = a[0].addressRange, let y = b[0].addressRange {
            let set = IPPrefixSet(ranges: [x, y])
            return set.ranges.count == 1 ? .addresses(set.ranges[0]) : nil
        }
        if let x = a[0].portRange, let y = b[0].portRange {
            guard Int(y.first) <= Int(x.last) + 1 else { return nil }
            return PortRange(x.first, through: max(x.last, y.last)).map(Value.ports)
        }
        return nil
    }
}

extension Value {
    /// True for what needs a set with ranges.
    var isInterval: Bool {
        switch self {
        case .prefix(let prefix): !prefix.isHost
        case .addresses(let range): range.lowerBound != range.upperBound
        case .ports(let range): range.first != range.last
        default: false
        }
    }

    var addressRange: ClosedRange<IPAddress>? {
        switch self {
        case .address(let address): address...address
        case .prefix(let prefix): prefix.first...prefix.last
        case .addresses(let range): range
        default: nil
        }
    }

    var portRange: PortRange? {
        switch self {
        case .port(let port): PortRange(port)
        case .ports(let range): range
        default: nil
        }
    }

    /// The lowest and the highest value as the kernel's bytes, network order unless the type is in host order.
    func bytes(as type: DataType) -> (low: [UInt8], high: [UInt8]) {
        switch self {
        case .address, .prefix, .addresses:
            let range = addressRange
            return (range?.lowerBound.bytes ?? [], range?.upperBound.bytes ?? [])
        case .port, .ports:
            let range = portRange
            return (Self.bigEndian(range?.first ?? 0), Self.bigEndian(range?.last ?? 0))
        case .proto(let proto): return Self.same([proto.rawValue])
        case .number(let number): return Self.same(Self.native(number))
        case .ctState(let state): return Self.same(Self.native(state.rawValue))
        case .interface(let name):
            let bytes = Array(name.utf8.prefix(15))
            return Self.same(bytes + Array(repeating: 0, count: 16 - bytes.count))
        // NFPROTO_IPV4 and NFPROTO_IPV6.
        case .family(let family): return Self.same([family == .ipv4 ? 2 : 10])
        case .ctDirection(let direction): return Self.same([direction.rawValue])
        case .icmp(let number): return Self.same([number])
        }
    }

    private static func same(_ bytes: [UInt8]) -> ([UInt8], [UInt8]) { (bytes, bytes) }
    private static func bigEndian(_ number: UInt16) -> [UInt8] {
        [UInt8(number >> 8), UInt8(truncatingIfNeeded: number)]
    }
    private static func native(_ number: UInt32) -> [UInt8] { withUnsafeBytes(of: number) { Array($0) } }
}

extension Duration {
    /// Rounded up: nothing may be gone before its time.
    var wholeMilliseconds: UInt64 {
        let (seconds, attoseconds) = components
        return UInt64(max(0, seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000))
    }
}
