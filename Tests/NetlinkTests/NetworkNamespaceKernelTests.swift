import Netlink
import TestSupport
import Testing

@Suite("Network namespaces", .requiresRoot)
struct NetworkNamespaceKernelTests {
    private struct Problem: Error {}

    @Test("a new namespace is another one, empty, and the thread stays where it was")
    func create() throws {
        let before = try NetworkNamespace.current().identity
        let namespace = try NetworkNamespace.create()
        #expect(namespace.identity != before)
        #expect(try NetworkNamespace.current().identity == before)
        let links = try namespace.enter { try RouteConnection().links() }
        #expect(links.map(\.name) == ["lo"] && links.allSatisfy { !$0.isUp })
    }

    @Test("entering returns, also when the body throws, and nests")
    func enterReturns() throws {
        let before = try NetworkNamespace.current().identity
        let (outer, inner) = (try NetworkNamespace.create(), try NetworkNamespace.create())
        let seen = try outer.enter {
            (
                try NetworkNamespace.current().identity, try inner.enter { try NetworkNamespace.current().identity },
                try NetworkNamespace.current().identity
            )
        }
        #expect(seen == (outer.identity, inner.identity, outer.identity))
        #expect(throws: Problem.self) { try outer.enter { throw Problem() } }
        #expect(try NetworkNamespace.current().identity == before)
    }

    @Test("parallel tasks that enter namespaces and owners never leak them to each other")
    func parallelEntriesNeverLeak() async throws {
        let home = try NetworkNamespace.current().identity
        let wrong = try await withThrowingTaskGroup(of: Int.self) { group in
            for number in 0..<100 {
                group.addTask {
                    let namespace = try NetworkNamespace.create()
                    var wrong = 0
                    for round in 0..<20 {
                        let uid = UInt32(1000 + number * 20 + round)
                        let seen = try namespace.enter(as: uid, gid: uid + 1) {
                            (try NetworkNamespace.current().identity, CurrentOwner.uid, CurrentOwner.gid)
                        }
                        if seen != (namespace.identity, uid, uid + 1) { wrong += 1 }
                        // A suspension between the entries lets tasks change threads.
                        await Task.yield()
                        let outside = (try NetworkNamespace.current().identity, CurrentOwner.uid, CurrentOwner.gid)
                        if outside != (home, 0, 0) { wrong += 1 }
                    }
                    return wrong
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(wrong == 0)
    }

    @Test("a parameter of the network is the namespace's own")
    func sysctlIsLocal() throws {
        let (first, second) = (try NetworkNamespace.create(), try NetworkNamespace.create())
        try first.enter { try Sysctl.write("net/ipv4/ip_forward", "1") }
        #expect(try first.enter { try Sysctl.read("net/ipv4/ip_forward") } == "1")
        #expect(try second.enter { try Sysctl.read("net/ipv4/ip_forward") } == "0")
    }

    @Test("a parameter that does not exist is named")
    func sysctlError() {
        let error = #expect(throws: KernelError.self) { try Sysctl.write("net/ipv4/no_such", "1") }
        #expect(error?.description == "can't set sysctl net/ipv4/no_such to 1: No such file or directory")
    }
}
