import Envoy
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

    /// What is asked of the machine; tests answer in its stead.
    struct Machine: Sendable {
        var canAdministerNetworks: Bool
        /// `uname -r`.
        var release: String
        var hasIPv6: Bool
        var makeNamespace: @Sendable () throws -> Void
        /// Takes rules in a namespace of their own.
        var install: @Sendable (Ruleset) throws -> Void
        var openPacketLog: @Sendable () throws -> Void
        var hasProgram: @Sendable (String) -> Bool
        /// The version of the Envoy that data plane `envoy` would run; throws what is to be done to have one.
        var envoyVersion: @Sendable () throws -> String
    }

    private let machine: Machine

    init(of machine: Machine) { self.machine = machine }

    /// Asks the machine that this runs on.
    package init() { self.init(of: .current) }

    /// Why no lab can run here, in one sentence; nil when one can. Takes a few milliseconds.
    package func obstacle() -> String? {
        // One after the other: without root nothing is even tried.
        for check in [\Self.privilege, \.kernelVersion, \.ipv6, \.namespaces].lazy.map({ self[keyPath: $0] })
        where check.isFatal {
            return check.sentence
        }
        // All at once, and one by one only to find the culprit.
        let culprit = problem(of: Self.features) == nil ? nil : check(Self.features).first { $0.isFatal }
        return (culprit ?? packetLog).isFatal ? (culprit ?? packetLog).sentence : nil
    }

    /// All checks, for `doctor`.
    package func all() -> [Check] {
        guard !privilege.isFatal else {
            let untried = Check(
                "namespaces, nf_tables and packet logging", problem: "not tried without root",
                remedy: "run `sudo egress-lab doctor`", isUntried: true)
            return [privilege, kernelVersion, ipv6, untried] + programs
        }
        guard !namespaces.isFatal else { return [privilege, kernelVersion, ipv6, namespaces] + programs }
        return [privilege, kernelVersion, ipv6, namespaces] + features + programs
    }

    // MARK: Privilege and kernel

    private var privilege: Check {
        Check(
            "privilege (CAP_NET_ADMIN, CAP_SYS_ADMIN)",
            problem: machine.canAdministerNetworks ? nil : "needs root", remedy: "run with sudo")
    }

    private var kernelVersion: Check {
        let release = machine.release
        let numbers = release.split { !$0.isNumber }.prefix(2).compactMap { Int($0) }
        let isNewEnough = numbers.count == 2 && (numbers[0], numbers[1]) >= (5, 10)
        return Check(
            "Linux 5.10 or newer (\(release))", problem: isNewEnough ? nil : "the kernel is Linux \(release)",
            remedy: "boot Linux 5.10 or newer")
    }

    /// Without IPv6 in the kernel a lab could not show the ways out that it opens.
    private var ipv6: Check {
        Check(
            "IPv6", problem: machine.hasIPv6 ? nil : "the kernel has no IPv6",
            remedy: "boot without ipv6.disable=1, or modprobe ipv6")
    }

    private var namespaces: Check {
        let remedy = "needs CONFIG_NET_NS; in a container, run it with --privileged"
        do {
            try machine.makeNamespace()
            return Check("network namespaces", problem: nil, remedy: remedy)
        } catch {
            return Check("network namespaces", problem: "\(error)", remedy: remedy)
        }
    }

    // MARK: Kernel features

    /// Rules tried in a scratch namespace.
    private struct Feature: Sendable {
        var name: String
        /// The modules that bring it, where they are not built in.
        var modules: [String]
        var kind: BaseChain.Kind
        var statements: [any Statement]

        init(_ name: String, _ modules: String..., kind: BaseChain.Kind = .filter, rule statements: [any Statement]) {
            (self.name, self.modules, self.kind, self.statements) = (name, modules, kind, statements)
        }

        var remedy: String { modules.map { "modprobe \($0)" }.joined(separator: " && ") }

        var table: Table {
            let base = BaseChain(type: kind, hook: .output, priority: kind == .nat ? -100 : 0)
            // One table each, so that all can stand beside each other.
            let name = "doctor-" + name.filter { $0.isLetter }
            return Table(name: name, chains: [Chain("output", base: base, rules: [Rule(statements)])])
        }
    }

    /// The first is what every other one needs.
    private static let features: [Feature] = [
        Feature("nf_tables", "nf_tables", rule: [Match(.tcpDport, .port(80)), Verdict.accept]),
        Feature("nf_tables sets", "nf_tables", rule: [Match(.tcpDport, .ports([80, 443])), Verdict.accept]),
        Feature("connection tracking", "nft_ct", rule: [Match(.ctState, .ctState(.established)), Verdict.accept]),
        Feature(
            "redirection", "nft_redir", kind: .nat, rule: [Match(.metaL4proto, .proto(.tcp)), Redirect(to: 15001)]),
        Feature(
            "address translation", "nft_nat", kind: .nat,
            rule: [Match(.metaL4proto, .proto(.tcp)), DNAT(to: IPEndpoint(IPAddress(192, 0, 2, 1), 80))]),
        Feature("rejection", "nft_reject_inet", rule: [Match(.metaL4proto, .proto(.tcp)), Reject.tcpReset]),
        Feature("balancing", "nft_numgen", rule: [NumGen([.continue, .accept])]),
        Feature("packet logging", "nft_log", "nfnetlink_log", rule: [Log(prefix: "doctor", group: 1), Verdict.drop]),
    ]

    /// Without the first nothing can be said of the others.
    private var features: [Check] {
        guard let first = check(Array(Self.features.prefix(1))).first, first.isFatal else {
            return check(Self.features) + [packetLog]
        }
        let untried = Check(
            "the parts of nf_tables and packet logging", problem: "not tried without nf_tables",
            remedy: "load nf_tables, then run doctor again", isUntried: true)
        return [first, untried]
    }

    private func check(_ features: [Feature]) -> [Check] {
        features.map { feature in
            let problem = problem(of: [feature]).map { "the kernel lacks \(feature.name) (\($0))" }
            return Check(feature.name, problem: problem, remedy: feature.remedy)
        }
    }

    /// Why the kernel refuses the rules of `features`; nil if it takes them.
    private func problem(of features: [Feature]) -> String? {
        do {
            try machine.install(Ruleset(tables: features.map(\.table)))
            return nil
        } catch {
            return "\(error)"
        }
    }

    private var packetLog: Check {
        let name = "packet log reading"
        do {
            try machine.openPacketLog()
            return Check(name, problem: nil, remedy: "modprobe nfnetlink_log")
        } catch {
            return Check(name, problem: "the kernel lacks nfnetlink_log (\(error))", remedy: "modprobe nfnetlink_log")
        }
    }

    // MARK: Programs

    /// Programs that scenarios' `commands` usually call; labs run without them.
    private var programs: [Check] {
        ["curl", "openssl"].map { name in
            Check(
                name, problem: machine.hasProgram(name) ? nil : "there is no \(name) in PATH",
                remedy: "apt-get install \(name)",
                onlyFor: "scenarios whose commands call it")
        } + [envoy]
    }

    /// Data plane `envoy` runs it; the bundled one needs none.
    private var envoy: Check {
        do {
            return Check("Envoy (\(try machine.envoyVersion()))", problem: nil, remedy: "")
        } catch {
            return Check("Envoy", problem: "\(error)", remedy: "", onlyFor: "--data-plane envoy")
        }
    }
}

extension Preflight.Machine {
    /// The machine that this runs on; each thing is tried when it is asked for.
    static var current: Self {
        Self(
            canAdministerNetworks: Credentials.canAdministerNetworks, release: kernelRelease, hasIPv6: hasIPv6,
            makeNamespace: { _ = try NetworkNamespace.create() },
            install: { ruleset in try NetworkNamespace.create().enter { try NftablesConnection().install(ruleset) } },
            openPacketLog: { try NetworkNamespace.create().enter { _ = try PacketLog(groups: [1]) } },
            hasProgram: { name in
                let path = getenv("PATH").map { String(cString: $0) } ?? "/usr/sbin:/usr/bin:/sbin:/bin"
                return path.split(separator: ":").contains { access("\($0)/\(name)", X_OK) == 0 }
            }, envoyVersion: { try EnvoyProgram(path: EnvoyLocator().find()).version() })
    }

    private static var kernelRelease: String {
        var name = utsname()
        guard uname(&name) == 0 else { return "of unknown version" }
        return withUnsafeBytes(of: &name.release) { bytes in
            String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    private static var hasIPv6: Bool {
        let descriptor = socket(AF_INET6, Int32(SOCK_DGRAM.rawValue), 0)
        if descriptor >= 0 { close(descriptor) }
        return descriptor >= 0
    }
}

extension Preflight.Check {
    /// `needs root: run with sudo`.
    package var sentence: String { (problem ?? name) + (remedy.isEmpty ? "" : ": \(remedy)") }
}
