/// A small generator of random numbers whose sequence depends on its seed alone, on every machine and in every version
/// of the standard library (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
struct SplitMix64: Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

/// Choices made with random numbers.
struct Dice: Sendable {
    private var numbers: SplitMix64

    /// One sequence for each index of each seed.
    init(seed: UInt64, index: Int) {
        var mixer = SplitMix64(seed: seed)
        numbers = SplitMix64(seed: mixer.next() ^ (UInt64(truncatingIfNeeded: index) &* 0xD6E8_FEB8_6659_FD93))
    }

    /// A number from 0 to `limit - 1`; 0 when there is no choice.
    mutating func below(_ limit: Int) -> Int {
        guard limit > 1 else { return 0 }
        return Int(numbers.next() % UInt64(limit))
    }

    mutating func between(_ range: ClosedRange<Int>) -> Int { range.lowerBound + below(range.count) }

    /// True in so many of a hundred cases.
    mutating func chance(_ percent: Int) -> Bool { below(100) < percent }

    /// One of the elements; nil when there is none.
    mutating func pick<Element>(_ elements: [Element]) -> Element? {
        elements.isEmpty ? nil : elements[below(elements.count)]
    }

    /// One of the elements, `first` among them.
    mutating func pick<Element>(_ first: Element, _ others: Element...) -> Element {
        let position = below(others.count + 1)
        return position == 0 ? first : others[position - 1]
    }

    /// One of the values, as often as its weight says; `fallback` where no weight is positive.
    mutating func weighted<Value>(_ choices: KeyValuePairs<Value, Int>, or fallback: Value) -> Value {
        var position = below(choices.reduce(0) { $0 + $1.value })
        for (value, weight) in choices {
            if position < weight { return value }
            position -= weight
        }
        return fallback
    }

    /// So many different elements, in their order; all when there are no more.
    mutating func some<Element>(_ count: Int, of elements: [Element]) -> [Element] {
        var left = Array(elements.indices)
        while left.count > max(count, 0) { left.remove(at: below(left.count)) }
        return left.map { elements[$0] }
    }
}
