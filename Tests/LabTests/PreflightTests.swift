import Nftables
import Testing

@testable import Lab

@Suite("What a machine lacks is named, with how to get it")
struct PreflightTests {
    private struct Refused: Error, CustomStringConvertible {
        var description: String { "No such file or directory" }
    }

    /// A machine that has everything, but for what a test takes away.
    private func machine(_ change: (inout Preflight.Machine) -> Void = { _ in }) -> Preflight {
        var machine = Preflight.Machine(
            canAdministerNetworks: true, release: "6.1.0", hasIPv6: true, makeNamespace: {}, install: { _ in },
            openPacketLog: {}, hasProgram: { _ in true }, envoyVersion: { "1.40.0" })
        change(&machine)
        return Preflight(of: machine)
    }

    @Test("a machine that has everything can run labs")
    func complete() {
        #expect(machine().obstacle() == nil)
        #expect(machine().all().allSatisfy { $0.problem == nil })
    }

    @Test("a kernel without nf_tables is told to load nf_tables, before anything that needs it")
    func noNfTables() {
        let machine = machine { $0.install = { _ in throw Refused() } }
        #expect(
            machine.obstacle() == "the kernel lacks nf_tables (No such file or directory): modprobe nf_tables")
        #expect(machine.all().filter(\.isFatal).map(\.name) == ["nf_tables"])
    }

    @Test(
        "a kernel without a part of nf_tables is told which module to load",
        arguments: [
            ("redirect", "the kernel lacks redirection (No such file or directory): modprobe nft_redir"),
            (
                "log prefix",
                "the kernel lacks packet logging (No such file or directory): modprobe nft_log && modprobe nfnetlink_log"
            ),
            ("ct state", "the kernel lacks connection tracking (No such file or directory): modprobe nft_ct"),
            ("numgen", "the kernel lacks balancing (No such file or directory): modprobe nft_numgen"),
        ])
    func noModule(statement: String, sentence: String) {
        let machine = machine {
            $0.install = { ruleset in if ruleset.text.contains(statement) { throw Refused() } }
        }
        #expect(machine.obstacle() == sentence)
        #expect(machine.all().count { $0.isFatal } == 1)
    }

    @Test("without root only what needs none is tried, and one sentence says what to do")
    func noRoot() {
        let machine = machine {
            $0.canAdministerNetworks = false
            $0.install = { _ in Issue.record("rules were tried without root") }
            $0.makeNamespace = { Issue.record("a namespace was made without root") }
        }
        #expect(machine.obstacle() == "needs root: run with sudo")
        #expect(machine.all().contains { $0.isUntried })
    }

    @Test("an old kernel, one without IPv6 and one without namespaces are named")
    func others() {
        #expect(machine { $0.release = "4.19.0-21-amd64" }.obstacle()?.contains("Linux 4.19.0-21-amd64") == true)
        #expect(machine { $0.release = "5.10.0" }.obstacle() == nil)
        #expect(machine { $0.hasIPv6 = false }.obstacle()?.hasPrefix("the kernel has no IPv6") == true)
        #expect(machine { $0.makeNamespace = { throw Refused() } }.obstacle()?.contains("CONFIG_NET_NS") == true)
        #expect(machine { $0.openPacketLog = { throw Refused() } }.obstacle()?.contains("nfnetlink_log") == true)
    }

    @Test("a missing program forbids no lab")
    func programs() {
        let machine = machine { $0.hasProgram = { _ in false } }
        #expect(machine.obstacle() == nil)
        #expect(machine.all().count { $0.problem != nil && $0.onlyFor != nil } == 2)
    }

    @Test("without Envoy labs run all the same, and doctor says what needs it")
    func envoy() {
        let machine = machine { $0.envoyVersion = { throw Refused() } }
        #expect(machine.obstacle() == nil)
        #expect(machine.all().filter { $0.problem != nil }.map(\.onlyFor) == ["--data-plane envoy"])
        #expect(self.machine().all().last?.name == "Envoy (1.40.0)")
    }
}
