import Control
import Foundation
import Glibc
import Netlink
import Testing

@Suite struct LabRegistryTests {
    private let directory: String
    private let registry: LabRegistry

    init() throws {
        directory = NSTemporaryDirectory() + "/registry-\(UUID().uuidString)"
        registry = LabRegistry(directory: directory)
    }

    private func mode(_ path: String) -> mode_t {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_mode & 0o777 : 0
    }

    @Test("Directory and socket are their owner's alone")
    func modes() throws {
        let reservation = try registry.reserve("a")
        #expect(mode(directory) == 0o700)
        #expect(mode("\(directory)/a.socket") == 0o600)
        #expect(registry.names() == ["a"])
        withExtendedLifetime(reservation) {}
    }

    @Test("A name is taken as long as its lab lives")
    func namesAreTaken() throws {
        let first = try registry.reserve("a")
        #expect(throws: LabRegistry.Failure.nameTaken("a")) { try registry.reserve("a") }
        _ = try registry.reserve("b")
        withExtendedLifetime(first) {}
    }

    @Test("What a dead lab left is noticed and removed")
    func deadLabsAreRemoved() throws {
        do { _ = try registry.reserve("a") }
        #expect(FileManager.default.fileExists(atPath: "\(directory)/a.socket"))
        #expect(throws: LabRegistry.Failure.notRunning(name: "a", others: [])) { try registry.connect("a") }
        #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == [])
    }

    @Test("Without a name the only lab is meant, and several are told")
    func theOnlyLab() throws {
        #expect(throws: LabRegistry.Failure.noneRuns) { try registry.connect(nil) }
        let first = try registry.reserve("a")
        _ = try registry.connect(nil)
        let second = try registry.reserve("b")
        #expect(throws: LabRegistry.Failure.several(["a", "b"])) { try registry.connect(nil) }
        withExtendedLifetime((first, second)) {}
    }

    @Test("A directory that others may enter is refused")
    func openDirectoriesAreRefused() throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        chmod(directory, 0o755)
        #expect(throws: LabRegistry.Failure.unsafeDirectory(directory)) { try registry.reserve("a") }
    }

    @Test(
        "Names stay within their directory",
        arguments: ["../a", "", "A", "a/b", "-", String(repeating: "a", count: 41)])
    func badNames(name: String) {
        #expect(throws: LabRegistry.Failure.badName(name)) { try registry.reserve(name) }
        #expect(throws: LabRegistry.Failure.badName(name)) { try registry.connect(name) }
    }
}
