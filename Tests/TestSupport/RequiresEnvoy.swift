import Envoy
import Glibc
package import Testing

extension Trait where Self == ConditionTrait {
    /// The test runs Envoy: it is skipped where that is not installed.
    ///
    /// In CI, where nobody would notice, it is not skipped and fails.
    package static var requiresEnvoy: Self {
        .enabled(
            if: (try? EnvoyLocator().find()) != nil || getenv("CI") != nil,
            "needs Envoy; install it with `make setup-envoy`")
    }
}
