import Testing

@testable import Proxy

@Suite struct DescriptorBudgetTests {
    @Test(
        "clients get all descriptors but a part for the proxy's own needs",
        arguments: [
            (64, 48), (1024, 992), (20_000, 19_375), (Int.max, Int(Int32.max)),
        ])
    func limit(_ limit: Int, _ first: Int) {
        let budget = DescriptorBudget(limit: limit)
        #expect(budget.admits(Int32(first - 1)))
        #expect(!budget.admits(Int32(first)))
    }
}
