/// A set of addresses of both families, kept as sorted ranges that neither overlap nor touch.
package struct IPPrefixSet: Hashable, Sendable {
    /// The ranges, IPv4 before IPv6, ascending.
    package private(set) var ranges: [ClosedRange<IPAddress>] = []

    package init() {}
    package init(_ prefixes: some Sequence<IPPrefix>) {
        self.init(ranges: prefixes.map { $0.first...$0.last })
    }
    package init(ranges unsorted: [ClosedRange<IPAddress>]) {
        for range in unsorted.sorted(by: { $0.lowerBound < $1.lowerBound }) {
            if let last = ranges.last, last.lowerBound.family == range.lowerBound.family,
                range.lowerBound <= last.upperBound || range.lowerBound.value == last.upperBound.value + 1
            {
                ranges[ranges.count - 1] = last.lowerBound...max(last.upperBound, range.upperBound)
            } else {
                ranges.append(range)
            }
        }
    }

    package var isEmpty: Bool { ranges.isEmpty }

    package func contains(_ address: IPAddress) -> Bool { ranges.contains { $0.contains(address) } }

    package func union(_ other: IPPrefixSet) -> IPPrefixSet { IPPrefixSet(ranges: ranges + other.ranges) }

    /// The addresses of this set that are not in `other`.
    package func subtracting(_ other: IPPrefixSet) -> IPPrefixSet {
        var result: [ClosedRange<IPAddress>] = []
        for range in ranges {
            let family = range.lowerBound.family
            var next: UInt128? = range.lowerBound.value
            for hole in other.ranges
            where hole.lowerBound.family == family && hole.lowerBound <= range.upperBound
                && hole.upperBound >= range.lowerBound
            {
                if let start = next, hole.lowerBound.value > start {
                    result.append(
                        IPAddress(
                            family: family, value: start)...IPAddress(
                                family: family, value: hole.lowerBound.value - 1))
                }
                next = hole.upperBound >= range.upperBound ? nil : hole.upperBound.value + 1
            }
            if let start = next, start <= range.upperBound.value {
                result.append(IPAddress(family: family, value: start)...range.upperBound)
            }
        }
        return IPPrefixSet(ranges: result)
    }

    /// The part of the set that is of `family`.
    package func restricted(to family: IPFamily) -> IPPrefixSet {
        IPPrefixSet(ranges: ranges.filter { $0.lowerBound.family == family })
    }
}
