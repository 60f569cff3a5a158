/// The newest elements of a list that grows for as long as a lab stays up.
struct NewestOf<Element: Sendable>: Sendable {
    private let limit: Int
    /// A ring once it is full; `oldest` is then the place of the next element.
    private var elements: [Element] = []
    private var oldest = 0
    /// How many there have ever been.
    private(set) var count = 0

    /// - Parameter limit: as many as proxies keep records, unless told otherwise.
    init(limit: Int = 100_000) { self.limit = max(limit, 1) }

    /// Adds an element; the one that has to make room for it is returned.
    @discardableResult
    mutating func append(_ element: Element) -> Element? {
        count += 1
        guard elements.count == limit else {
            elements.append(element)
            return nil
        }
        let gone = elements[oldest]
        elements[oldest] = element
        oldest = (oldest + 1) % limit
        return gone
    }

    /// Those kept, oldest first.
    var all: [Element] { Array(elements[oldest...] + elements[..<oldest]) }

    /// Those after the first `count` there have ever been, as far as they are kept.
    func after(_ count: Int) -> [Element] { Array(all.suffix(max(self.count - count, 0))) }
}
