import CLinux
import CNftnl
import Netlink
import NetworkAddresses

/// A set's description and elements as the kernel wants them.
struct SetEncoding {
    private let description: NamedSet
    private let listing: SetListing

    init(_ description: NamedSet) {
        self.description = description
        listing = SetListing(keys: description.keys, flags: description.flags, elements: description.elements)
    }

    private var isInterval: Bool { description.flags.contains(.interval) }
    private var isConcatenated: Bool { description.keys.count > 1 }

    /// An element as the kernel wants it.
    struct Element {
        var key: [UInt8]
        var keyEnd: [UInt8]?
        var isIntervalEnd = false
        var verdict: Verdict?
        var timeout: Duration?

        func add(to set: OpaquePointer) {
            guard let element = nftnl_set_elem_alloc() else { return }
            nftnl_set_elem_set(element, UInt16(NFTNL_SET_ELEM_KEY), key, UInt32(key.count))
            if let keyEnd { nftnl_set_elem_set(element, UInt16(NFTNL_SET_ELEM_KEY_END), keyEnd, UInt32(keyEnd.count)) }
            if isIntervalEnd {
                nftnl_set_elem_set_u32(
                    element, UInt16(NFTNL_SET_ELEM_FLAGS), UInt32(NFT_SET_ELEM_INTERVAL_END.rawValue))
            }
            if let timeout {
                nftnl_set_elem_set_u64(element, UInt16(NFTNL_SET_ELEM_TIMEOUT), timeout.wholeMilliseconds)
            }
            if let verdict {
                nftnl_set_elem_set_u32(element, UInt16(NFTNL_SET_ELEM_VERDICT), verdict.number)
                if let chain = verdict.chain {
                    nftnl_set_elem_set_str(element, UInt16(NFTNL_SET_ELEM_CHAIN), chain)
                }
            }
            nftnl_set_elem_add(set, element)
        }
    }

    func describe(_ set: OpaquePointer, id: UInt32, table: Table, isAnonymous: Bool, count: Int) {
        let keys = description.keys
        nftnl_set_set_str(set, UInt16(NFTNL_SET_TABLE.rawValue), table.name)
        nftnl_set_set_str(set, UInt16(NFTNL_SET_NAME.rawValue), description.name)
        nftnl_set_set_u32(set, UInt16(NFTNL_SET_FAMILY.rawValue), UInt32(table.family.number))
        nftnl_set_set_u32(set, UInt16(NFTNL_SET_ID.rawValue), id)
        var flags: UInt32 = 0
        if isInterval { flags |= UInt32(NFT_SET_INTERVAL.rawValue) }
        if isInterval, isConcatenated { flags |= UInt32(NFT_SET_CONCAT.rawValue) }
        if description.flags.contains(.timeout) { flags |= UInt32(NFT_SET_TIMEOUT.rawValue) }
        if description.kind == .verdictMap { flags |= UInt32(NFT_SET_MAP.rawValue) }
        if description.flags.contains(.dynamic) {
            flags |= UInt32(NFT_SET_EVAL.rawValue)
            nftnl_set_set_u32(set, UInt16(NFTNL_SET_DESC_SIZE.rawValue), NamedSet.dynamicSize)
        }
        if let seconds = description.timeoutSeconds {
            flags |= UInt32(NFT_SET_TIMEOUT.rawValue)
            nftnl_set_set_u64(set, UInt16(NFTNL_SET_TIMEOUT.rawValue), UInt64(seconds) * 1000)
        }
        if isAnonymous { flags |= UInt32(NFT_SET_ANONYMOUS.rawValue | NFT_SET_CONSTANT.rawValue) }
        nftnl_set_set_u32(set, UInt16(NFTNL_SET_FLAGS.rawValue), flags)
        // nft packs the types of a concatenation six bits each.
        nftnl_set_set_u32(
            set, UInt16(NFTNL_SET_KEY_TYPE.rawValue), keys.reduce(0) { $0 << 6 | $1.identifier })
        let length = isConcatenated ? keys.reduce(0) { $0 + ($1.byteCount + 3) & ~3 } : keys.first?.byteCount ?? 0
        nftnl_set_set_u32(set, UInt16(NFTNL_SET_KEY_LEN.rawValue), UInt32(length))
        if description.kind == .verdictMap {
            nftnl_set_set_u32(set, UInt16(NFTNL_SET_DATA_TYPE.rawValue), UInt32(NFT_DATA_VERDICT.rawValue))
            nftnl_set_set_u32(set, UInt16(NFTNL_SET_DATA_LEN.rawValue), 16)
        }
        // A known size lets the kernel choose a fixed hash table; nft would print it for a named set.
        if isAnonymous { nftnl_set_set_u32(set, UInt16(NFTNL_SET_DESC_SIZE.rawValue), UInt32(count)) }
        if isInterval, isConcatenated {
            let lengths = keys.map { UInt8($0.byteCount) }
            nftnl_set_set_data(set, UInt16(NFTNL_SET_DESC_CONCAT.rawValue), lengths, UInt32(lengths.count))
        }
        if keys.count == 1, let data = nftnl_udata_buf_alloc(64) {
            // nft reads the keys' byte order from here when it lists: its BYTEORDER_HOST_ENDIAN or _BIG_ENDIAN.
            nftnl_udata_put_u32(data, UInt8(NFTNL_UDATA_SET_KEYBYTEORDER.rawValue), keys[0].isHostOrder ? 1 : 2)
            nftnl_set_set_data(
                set, UInt16(NFTNL_SET_USERDATA.rawValue), nftnl_udata_buf_data(data), nftnl_udata_buf_len(data))
            nftnl_udata_buf_free(data)
        }
    }

    /// The elements; ranges of a plain set become pairs of a start and an end.
    func elements() throws(KernelError) -> [Element] {
        let normalised = listing.normalised
        for element in normalised { try check(element) }
        if isConcatenated { return normalised.map(concatenated) }
        if !isInterval {
            return normalised.map { Element(key: self.bounds($0).low, verdict: $0.verdict, timeout: $0.timeout) }
        }

        var result: [Element] = []
        let bounds = normalised.map { self.bounds($0) }
        for (index, element) in normalised.enumerated() {
            let (low, high) = bounds[index]
            if index == 0, low.contains(where: { $0 != 0 }) {
                // As nft does: all below the first range is outside.
                result.append(Element(key: low.map { _ in 0 }, isIntervalEnd: true))
            }
            result.append(Element(key: low, verdict: element.verdict))
            guard index + 1 == bounds.count || high.lexicographicallyPrecedes(bounds[index + 1].low) else {
                throw KernelError(
                    .invalidRequest, "build", "set \(description.name)", reason: "ranges with verdicts overlap")
            }
            // A range up to the highest value has no end.
            guard let next = Self.successor(of: high) else { continue }
            result.append(Element(key: next, isIntervalEnd: true))
        }
        return result
    }

    private func bounds(_ element: SetElement) -> (low: [UInt8], high: [UInt8]) {
        element.key[0].bytes(as: description.keys[0])
    }

    /// Each value is padded to 4 bytes.
    private func concatenated(_ element: SetElement) -> Element {
        var (low, high): ([UInt8], [UInt8]) = ([], [])
        for (value, type) in zip(element.key, description.keys) {
            let (first, last) = value.bytes(as: type)
            let padding = [UInt8](repeating: 0, count: (4 - type.byteCount % 4) % 4)
            low += first + padding
            high += last + padding
        }
        return Element(key: low, keyEnd: isInterval ? high : nil, verdict: element.verdict)
    }

    private func check(_ element: SetElement) throws(KernelError) {
        let types = description.keys
        let isValid =
            element.key.count == types.count
            && zip(element.key, types).allSatisfy { value, type in
                value.fits(type) && (isInterval || !value.isInterval)
            } && (element.verdict != nil) == (description.kind == .verdictMap)
        guard isValid else {
            let text = zip(element.key, types).map { $0.text(as: $1) }.joined(separator: " . ")
            throw KernelError(
                .invalidRequest, "build", "set \(description.name)",
                reason: "element \(text) does not fit its type or flags")
        }
    }

    private static func successor(of bytes: [UInt8]) -> [UInt8]? {
        var result = bytes
        for index in result.indices.reversed() {
            if result[index] < 0xff {
                result[index] += 1
                return result
            }
            result[index] = 0
        }
        return nil
    }
}

extension Value {
    /// Whether a field of `type` can have the value.
    func fits(_ type: DataType) -> Bool {
        switch (self, type) {
        case (.address, .ipv4Address), (.prefix, .ipv4Address), (.addresses, .ipv4Address):
            addressRange.map { $0.lowerBound.family == .ipv4 && $0.upperBound.family == .ipv4 } ?? false
        case (.address, .ipv6Address), (.prefix, .ipv6Address), (.addresses, .ipv6Address):
            addressRange.map { $0.lowerBound.family == .ipv6 && $0.upperBound.family == .ipv6 } ?? false
        case (.port, .inetService), (.ports, .inetService): true
        case (.proto, .inetProtocol): true
        case (.number, .mark), (.number, .uid), (.number, .gid), (.number, .integer): true
        case (.interface(let name), .interfaceName): !name.isEmpty && name.utf8.count < 16
        case (.family, .nfproto), (.ctState, .ctState), (.ctDirection, .ctDirection): true
        case (.icmp, .icmpType), (.icmp, .icmpv6Type): true
        default: false
        }
    }
}
