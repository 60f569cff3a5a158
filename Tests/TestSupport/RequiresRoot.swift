import Glibc
import Netlink
package import Testing

extension Trait where Self == ConditionTrait {
    /// The test makes namespaces, links or rules: it is skipped without the rights to do so.
    ///
    /// In CI, where nobody would notice, it is not skipped and fails.
    package static var requiresRoot: Self {
        .enabled(
            if: Credentials.canAdministerNetworks || getenv("CI") != nil,
            "needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN); run the tests as root")
    }
}
