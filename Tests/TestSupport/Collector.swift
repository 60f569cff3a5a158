import Foundation

/// Gathers values from any thread; tests wait for what they expect.
package final class Collector<Value: Sendable>: @unchecked Sendable {
    private let condition = NSCondition()
    private var values: [Value] = []

    package init() {}

    package func add(_ value: Value) {
        condition.withLock {
            values.append(value)
            condition.broadcast()
        }
    }

    package var all: [Value] { condition.withLock { values } }

    /// The first value for which `pick` gives a result; nil after `seconds`.
    package func wait<T>(seconds: Double = 8, _ pick: ([Value]) -> T?) -> T? {
        let end = Date().addingTimeInterval(seconds)
        return condition.withLock {
            while true {
                if let found = pick(values) { return found }
                guard condition.wait(until: end) else { return pick(values) }
            }
        }
    }
}
