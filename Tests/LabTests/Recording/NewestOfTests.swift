import Testing

@testable import Lab

@Suite struct NewestOfTests {
    @Test("the newest are kept, in order, and positions count from the first there has ever been")
    func ring() {
        var list = NewestOf<Int>(limit: 3)
        #expect([1, 2, 3].map { list.append($0) } == [nil, nil, nil])
        #expect(list.append(4) == 1 && list.append(5) == 2)
        #expect(list.all == [3, 4, 5] && list.count == 5)
        #expect(list.after(4) == [5] && list.after(5).isEmpty && list.after(0) == [3, 4, 5])
    }
}
