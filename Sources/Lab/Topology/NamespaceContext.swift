package import Netlink
import Proxy

/// The place where a pod's sockets are made: its namespace, and the user whose process it would be.
package struct NamespaceContext: NetworkContext {
    package let namespace: NetworkNamespace
    package let uid: UInt32
    package let gid: UInt32

    package init(_ namespace: NetworkNamespace, uid: UInt32 = 0, gid: UInt32 = 0) {
        self.namespace = namespace
        self.uid = uid
        self.gid = gid
    }

    package func enter<T>(_ body: () throws -> T) throws -> T {
        uid == 0 && gid == 0 ? try namespace.enter(body) : try namespace.enter(as: uid, gid: gid, body)
    }
}
