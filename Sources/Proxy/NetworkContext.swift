/// Where sockets are made: a network namespace and an owner.
package protocol NetworkContext: Sendable {
    /// Runs `body` inside the namespace and as the owner.
    ///
    /// Sockets belong to namespace and owner from `socket()` on, so `body` is synchronous: nothing may suspend in it.
    func enter<T>(_ body: () throws -> T) throws -> T
}

/// The namespace and owner that the process already has.
package struct CurrentNetworkContext: NetworkContext {
    package init() {}

    package func enter<T>(_ body: () throws -> T) throws -> T { try body() }
}
