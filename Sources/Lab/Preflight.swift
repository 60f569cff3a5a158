import Glibc
import Netlink
import NetworkAddresses
import Nftables

/// What this machine must have to run labs, each thing tried rather than looked up.
///
/// Whatever it makes lies in a namespace of its own that ends with the check.
package struct Preflight: Sendable {
    /// One thing needed.
    package struct Check: Sendable {
        package var name: String
        /// nil: it is there.
        package var problem: String?
        /// How to get it.
        package var remedy: String
        /// What can't be done without it; nil when no lab runs.
        package var onlyFor: String?
        /// Could not be tried, because something before it is missing.
        package var isUntried: Bool

        init(
            _ name: String, problem: String?, remedy: String, onlyFor: String? = nil, isUntried: Bool = false
        ) {
            self.name = name
            self.problem = problem
            self.remedy = remedy
            self.onlyFor = onlyFor
            self.isUntried = isUntried
        }

        /// True when no lab can run for want of it.
        package var isFatal: Bool { problem != nil && onlyFor == nil && !isUntried }
    }

    package init() {}

    /// Why no lab can run here, in one sentence; nil when one can. Takes a few milliseconds.
    package func obstacle() -> String? {
        for check in [privilege, kernelVersion] where check.isFatal { return check.sentence }
        if let namespaces = namespaceCheck(), namespaces.isFatal { return namespaces.sentence }
        return Self.features.prefix(1).lazy.map { Self.attempt($0) }.first { $0.isFatal }?.sentence
    }

    /// All checks, for `doctor`.
    package func all() -> [Check] {
        var checks = [privilege, kernelVersion, ipv6]
        let needsPrivilege = [namespaceCheck()].compactMap { $0 }
        checks += needsPrivilege
        let canTry = !privilege.isFatal && needsPrivilege.allSatisfy { !$0.isFatal }
        checks += Self.features.map { feature in
            canTry
                ? Self.attempt(feature)
                : Check(feature.name, problem: "not tried", remedy: "run `sudo egress-lab doctor`", isUntried: true)
        }
        checks += programs
        return checks
    }

    // MARK: Privilege and kernel

    private var privilege: Check {
        Check(
            "privilege (CAP_NET_ADMIN, CAP_SYS_ADMIN)",
            problem: Credentials.canAdministerNetworks ? nil : "needs root", remedy: "run with sudo")
    }

    private var kernelVersion: Check {
        var name = utsname()
        guard uname(&name) == 0 else { return Check("Linux 5.10 or newer", problem: "unknown", remedy: "") }
        let release = withUnsafeBytes(of: &name.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
        let numbers = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
        let isNewEnough = numbers.count == 2 && (numbers[0], numbers[1]) >= (5, 10)
        return Check(
            "Linux 5.10 or newer (\(release))", problem: isNewEnough ? nil : "the kernel is Linux \(release)",
            remedy: "boot Linux 5.10 or newer")
    }

    /// Without IPv6 in the kernel a lab could not show the ways out that it opens.
    private var ipv6: Check {
        let descriptor = socket(AF_INET6, Int32(SOCK_DGRAM.rawValue), 0)
        if descriptor >= 0 { close(descriptor) }
        return Check(
            "IPv6", problem: descriptor >= 0 ? nil : "the kernel has no IPv6",
            remedy: "boot without ipv6.disable=1, or modprobe ipv6")
    }

    private func namespaceCheck() -> Check? {
        guard Credentials.canAdministerNetworks else { return nil }
        let remedy = "needs CONFIG_NET_NS; in a container, run it with --privileged"
        do {
            _ = try NetworkNamespace.create()
            return Check("network namespaces", problem: nil, remedy: remedy)
        } catch {
            return Check("network namespaces", problem: "\(error)", remedy: remedy)
        }
    }

    // MARK: Kernel features

    /// Something tried in a scratch namespace.
    private struct Feature: Sendable {
        var name: String
        var remedy: String
        var attempt: @Sendable () throws -> Void
    }

    private static func attempt(_ feature: Feature) -> Check {
        do {
            try NetworkNamespace.create().enter { try feature.attempt() }
            return Check(feature.name, problem: nil, remedy: feature.remedy)
        } catch {
            return Check(feature.name, problem: "the kernel lacks \(feature.name) (\(error))", remedy: feature.remedy)
        }
    }

    /// The first is what every other one needs.
    private static let features: [Feature] = [
        rules("nf_tables", module: "nf_tables", [Match(.tcpDport, .port(80)), Verdict.accept]),
        rules("nf_tables sets", module: "nf_tables", [Match(.tcpDport, .ports([80, 443])), Verdict.accept]),
        rules("connection tracking", module: "nft_ct", [Match(.ctState, .ctState(.established)), Verdict.accept]),
        rules(
            "redirection", module: "nft_redir", kind: .nat, [Match(.metaL4proto, .proto(.tcp)), Redirect(to: 15001)]),
        rules(
            "address translation", module: "nft_nat", kind: .nat,
            [
                Match(.metaL4proto, .proto(.tcp)),
                DNAT(to: IPEndpoint(IPAddress(192, 0, 2, 1), 80)),
            ]),
        rules("rejection", module: "nft_reject_inet", [Match(.metaL4proto, .proto(.tcp)), Reject.tcpReset]),
        rules(
            "balancing (numgen)", module: "nft_numgen",
            [NumGen([.continue, .accept])]),
        rules("packet logging", module: "nft_log nfnetlink_log", [Log(prefix: "doctor", group: 1), Verdict.drop]),
        Feature(name: "packet log reading (nfnetlink_log)", remedy: "modprobe nfnetlink_log") {
            _ = try PacketLog(groups: [1])
        },
    ]

    private static func rules(
        _ name: String, module: String, kind: BaseChain.Kind = .filter, _ statements: [any Statement]
    ) -> Feature {
        Feature(name: name, remedy: "modprobe \(module.split(separator: " ").joined(separator: " && modprobe "))") {
            let base = BaseChain(type: kind, hook: .output, priority: kind == .nat ? -100 : 0)
            let chain = Chain("output", base: base, rules: [Rule(statements)])
            try NftablesConnection().install(Ruleset(tables: [Table(name: "doctor", chains: [chain])]))
        }
    }

    // MARK: Programs

    /// Programs that scenarios' `commands` usually call; labs run without them.
    private var programs: [Check] {
        ["curl", "openssl"].map { name in
            let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/sbin:/usr/bin:/sbin:/bin"
            let isThere = path.split(separator: ":").contains { access("\($0)/\(name)", X_OK) == 0 }
            return Check(
                name, problem: isThere ? nil : "there is no \(name) in PATH", remedy: "apt-get install \(name)",
                onlyFor: "scenarios whose commands call it")
        }
    }
}

extension Preflight.Check {
    /// `needs root: run with sudo`.
    package var sentence: String { (problem ?? name) + (remedy.isEmpty ? "" : ": \(remedy)") }
}
