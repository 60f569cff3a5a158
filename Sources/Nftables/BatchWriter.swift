import CLinux
import CNftnl
import Netlink

/// Writes the messages of one nftables transaction into a buffer.
final class BatchWriter {
    /// What a message was about, for errors.
    enum Subject: Sendable, Hashable {
        case batch
        case table(Int)
        case chain(table: Int, chain: Int)
        case set(table: Int, name: String)
        case rule(table: Int, chain: Int, rule: Int)
    }

    /// More than any message of ours; libnftnl never checks where a buffer ends.
    private static let headroom = 1 << 17
    /// Keeps a message's element list below the 64 kB an attribute can hold.
    private static let elementsPerMessage = 256

    private var buffer: UnsafeMutableRawBufferPointer
    private var used = 0
    private var nextSet: UInt32 = 1
    private(set) var offsets: [Int] = []
    private(set) var subjects: [Subject] = []
    var subject = Subject.batch

    init() { buffer = .allocate(byteCount: Self.headroom * 2, alignment: 8) }
    deinit { buffer.deallocate() }

    var bytes: [UInt8] { Array(buffer[..<used]) }

    /// Appends a message that `body` completes.
    func message(
        _ type: Int, family: UInt8, flags: Int, _ body: (UnsafeMutablePointer<nlmsghdr>) -> Void
    ) throws(KernelError) {
        reserve()
        let sequence = UInt32(offsets.count)
        guard let start = buffer.baseAddress?.advanced(by: used),
            let header = nftnl_nlmsg_build_hdr(start, UInt16(type), UInt16(family), UInt16(flags), sequence)
        else { throw KernelError(.failed, "build", "a batch", reason: "out of memory") }
        body(header)
        finish(Int(header.pointee.nlmsg_len))
    }

    /// Appends the message that opens the transaction.
    func begin() {
        reserve()
        guard let start = buffer.baseAddress?.advanced(by: used), nftnl_batch_begin(start, 0) != nil else { return }
        finish(Int(start.load(as: nlmsghdr.self).nlmsg_len))
    }

    /// Appends the message that commits the transaction; its acknowledgement is that of the whole.
    func end() {
        subject = .batch
        reserve()
        guard let start = buffer.baseAddress?.advanced(by: used),
            let header = nftnl_batch_end(start, UInt32(offsets.count))
        else { return }
        header.pointee.nlmsg_flags |= UInt16(NLM_F_ACK)
        finish(Int(header.pointee.nlmsg_len))
    }

    private func finish(_ length: Int) {
        offsets.append(used)
        subjects.append(subject)
        used += (length + 3) & ~3
    }

    private func reserve() {
        guard buffer.count - used < Self.headroom else { return }
        let larger = UnsafeMutableRawBufferPointer.allocate(byteCount: buffer.count * 2, alignment: 8)
        larger.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[..<used]))
        buffer.deallocate()
        buffer = larger
    }

    /// Appends a set and its elements; returns the number that names it within the batch.
    @discardableResult
    func add(_ description: NamedSet, in table: Table, isAnonymous: Bool = false) throws(KernelError) -> UInt32 {
        let id = nextSet
        nextSet += 1
        let encoding = SetEncoding(description)
        let elements = try encoding.elements()
        let family = table.family.number

        guard let set = nftnl_set_alloc() else {
            throw KernelError(.failed, "build", "set \(description.name)", reason: "out of memory")
        }
        defer { nftnl_set_free(set) }
        encoding.describe(set, id: id, table: table, isAnonymous: isAnonymous, count: elements.count)
        try message(Int(NFT_MSG_NEWSET.rawValue), family: family, flags: Int(NLM_F_CREATE)) { header in
            nftnl_set_nlmsg_build_payload(header, set)
        }

        try addElements(elements, to: description, id: id, in: table)
        return id
    }

    /// Appends elements to a set; `id` names one that was made in the same batch.
    func addElements(
        _ elements: [SetEncoding.Element], to description: NamedSet, id: UInt32?, in table: Table
    ) throws(KernelError) {
        var rest = elements[...]
        while !rest.isEmpty {
            let part = try handle(of: description, in: table)
            defer { nftnl_set_free(part) }
            if let id { nftnl_set_set_u32(part, UInt16(NFTNL_SET_ID.rawValue), id) }
            for element in rest.prefix(Self.elementsPerMessage) { element.add(to: part) }
            rest = rest.dropFirst(Self.elementsPerMessage)
            try message(Int(NFT_MSG_NEWSETELEM.rawValue), family: table.family.number, flags: Int(NLM_F_CREATE)) {
                nftnl_set_elems_nlmsg_build_payload($0, part)
            }
        }
    }

    /// Takes all elements out of a set: a deletion that names none.
    func empty(_ description: NamedSet, in table: Table) throws(KernelError) {
        let set = try handle(of: description, in: table)
        defer { nftnl_set_free(set) }
        try message(Int(NFT_MSG_DELSETELEM.rawValue), family: table.family.number, flags: 0) {
            nftnl_set_elems_nlmsg_build_payload($0, set)
        }
    }

    private func handle(of description: NamedSet, in table: Table) throws(KernelError) -> OpaquePointer {
        guard let set = nftnl_set_alloc() else {
            throw KernelError(.failed, "build", "set \(description.name)", reason: "out of memory")
        }
        nftnl_set_set_str(set, UInt16(NFTNL_SET_TABLE.rawValue), table.name)
        nftnl_set_set_str(set, UInt16(NFTNL_SET_NAME.rawValue), description.name)
        return set
    }
}

extension Table.Family {
    /// `NFPROTO_INET`, `NFPROTO_IPV4`, `NFPROTO_IPV6`.
    var number: UInt8 {
        switch self {
        case .inet: UInt8(NFPROTO_INET)
        case .ip: UInt8(NFPROTO_IPV4)
        case .ip6: UInt8(NFPROTO_IPV6)
        }
    }
}
