import Control
import Foundation
import Glibc
import Netlink
import Synchronization
import Testing

@Suite struct ControlConnectionTests {
    /// Two ends of one connection.
    private func pair() throws -> (ControlConnection, ControlConnection) {
        var ends: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        return (
            ControlConnection(FileDescriptor(owning: ends[0])), ControlConnection(FileDescriptor(owning: ends[1]))
        )
    }

    @Test("A request arrives as it was sent, with its descriptors")
    func requestsArrive() throws {
        let (client, server) = try pair()
        let request = ControlRequest.execute(
            ExecuteRequest(pod: PodSelection(namespace: "default", name: "sleep"), command: ["id", "-u"]))
        var pipes: [Int32] = [-1, -1]
        try #require(pipe(&pipes) == 0)
        defer { pipes.forEach { close($0) } }
        try client.send(request, descriptors: [pipes[1]])
        let received = try #require(try server.receive(ControlRequest.self))
        guard case .execute(let execution) = received.message else {
            Issue.record("another request: \(received.message)")
            return
        }
        #expect(execution.command == ["id", "-u"])
        let descriptor = try #require(received.descriptors.first)
        #expect(write(descriptor.number, "x", 1) == 1)
        var byte: UInt8 = 0
        #expect(read(pipes[0], &byte, 1) == 1 && byte == UInt8(ascii: "x"))
    }

    @Test("Large messages arrive whole and in order")
    func largeMessagesArrive() throws {
        let (client, server) = try pair()
        let texts = (0..<4).map { String(repeating: "\($0)", count: 300_000) }
        let thread = Thread { for text in texts { try? client.send(ControlReply.output(text)) } }
        thread.start()
        for text in texts { #expect(try server.receive(ControlReply.self)?.message == .output(text)) }
    }

    @Test("The end of one side ends the other's waiting")
    func endsAreSeen() throws {
        let (client, server) = try pair()
        client.close()
        #expect(try server.receive(ControlRequest.self) == nil)
    }

    @Test("A message that is none is an error, not a crash")
    func garbageIsRefused() throws {
        var ends: [Int32] = [-1, -1]
        try #require(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
        let server = ControlConnection(FileDescriptor(owning: ends[1]))
        let bytes: [UInt8] = [0, 0, 0, 2] + Array("{}".utf8) + [0xff, 0xff, 0xff, 0xff]
        try #require(write(ends[0], bytes, bytes.count) == bytes.count)
        #expect(throws: (any Error).self) { try server.receive(ControlRequest.self) }
        #expect(throws: KernelError.self) { try server.receive(ControlRequest.self) }
        close(ends[0])
    }
}
