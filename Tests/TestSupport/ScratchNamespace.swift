import Glibc
package import Netlink

/// Runs `body` with a new namespace that has nothing but `lo`, up; it is gone when nothing refers to it any more.
package func withScratchNamespace<Result>(_ body: (NetworkNamespace) throws -> Result) throws -> Result {
    let namespace = try NetworkNamespace.create()
    try namespace.enter {
        var batch = RouteBatch()
        batch.setLink(index: 1, isUp: true)
        try RouteConnection().send(batch)
    }
    return try body(namespace)
}
