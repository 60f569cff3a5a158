import Foundation
import NetworkAddresses
import Proxy
import ProxyModel
import TestSupport

/// A proxy under test, with lanes side by side: in each, one conversation after the other.
struct RawProxy: Sendable {
    private let lanes: [RawLane]

    /// - Parameters:
    ///   - connect: makes a client's connection where the proxy is.
    ///   - listen: makes a listening socket there.
    init(
        _ ports: RawConfiguration, events: Collector<ProxyEvent>,
        connect: @escaping @Sendable (IPEndpoint) throws -> BlockingSocket,
        listen: (IPEndpoint) throws -> BlockingSocket
    ) throws {
        lanes = try (0..<RawConfiguration.laneCount).map { lane in
            RawLane(
                events: events, connect: connect, ports: ports, number: lane,
                server: RawServer(try listen(ports.server(lane))))
        }
    }

    /// The outcome of every case, in order. Where an outcome is expected it is waited for, else recorded when all is
    /// quiet.
    func outcomes(of cases: [RawCase], records: Bool) async -> [[String]] {
        let results = RawResults(cases.count)
        await withTaskGroup(of: Void.self) { group in
            for lane in lanes {
                group.addTask {
                    await withCheckedContinuation { done in
                        Thread.detachNewThread {
                            while let index = results.take() {
                                results.set(index, lane.outcome(of: cases[index], records: records))
                            }
                            done.resume()
                        }
                    }
                }
            }
        }
        return results.all
    }
}

/// Gives out the numbers of cases and takes their outcomes, from any thread.
private final class RawResults: @unchecked Sendable {
    private let lock = NSLock()
    private var next = 0
    private var outcomes: [[String]]

    init(_ count: Int) { outcomes = Array(repeating: [], count: count) }

    func take() -> Int? {
        lock.withLock {
            defer { next += 1 }
            return next < outcomes.count ? next : nil
        }
    }

    func set(_ index: Int, _ outcome: [String]) { lock.withLock { outcomes[index] = outcome } }
    var all: [[String]] { lock.withLock { outcomes } }
}

/// Holds conversations through listeners and clusters of its own.
struct RawLane: Sendable {
    private static let deadline = 3.0
    private static let quiet = 0.12
    private static let recordingQuiet = 0.4

    let events: Collector<ProxyEvent>
    let connect: @Sendable (IPEndpoint) throws -> BlockingSocket
    let ports: RawConfiguration
    let number: Int
    let server: RawServer

    /// What the parties saw and what the log says; empty when not even a connection could be made.
    func outcome(of conversation: RawCase, records: Bool) -> [String] {
        let transcript = RawTranscript()
        // A client's port may be one that an earlier conversation had, or that another one has towards its listener.
        let first = events.all.count
        server.begin(conversation.servers, transcript)
        defer { server.finish() }
        guard let endpoint = ports.listener(conversation.listener, lane: number),
            let client = try? connect(endpoint)
        else { return [] }
        let from = client.local
        let reader = RawReader(client, transcript)
        play(conversation.client, client, transcript)
        let expected = conversation.expected.filter { !$0.hasPrefix("log ") }
        if records {
            transcript.waitForQuiet(seconds: Self.recordingQuiet)
        } else {
            _ = transcript.becomes(expected, seconds: Self.deadline)
        }
        let lines = transcript.lines
        if client.descriptor >= 0 { client.finishSending() }
        let logged = log(
            from, to: endpoint, after: first, count: records ? nil : conversation.expected.count - expected.count)
        reader.stop()
        return lines + logged
    }

    private func play(_ steps: [RawCase.Step], _ client: BlockingSocket, _ transcript: RawTranscript) {
        var seen = 0
        for step in steps {
            switch step {
            // The proxy may have closed by then: what it made of that shows in the outcome.
            case .send(let bytes): try? client.send(bytes)
            case .until(let bytes):
                seen = transcript.waitForClient(bytes, from: seen, seconds: Self.deadline) ?? seen
            case .quiet: transcript.waitForQuiet(seconds: Self.quiet)
            case .idle:
                server.waitUntilIdle(seconds: Self.deadline)
                transcript.waitForQuiet(seconds: Self.quiet)
            case .pause(let milliseconds): Thread.sleep(forTimeInterval: Double(milliseconds) / 1000)
            case .finish: client.finishSending()
            case .close, .reset: client.resetFromElsewhere()
            case .answer, .goOn: break
            }
        }
    }

    /// The records of the connection from `client`, once the proxy says that it is over and `count` of them have come:
    /// Envoy writes records and ends to files of their own. Without a count, once no more come.
    private func log(
        _ client: IPEndpoint, to listener: IPEndpoint, after first: Int, count: Int?
    ) -> [String] {
        func id(_ events: ArraySlice<ProxyEvent>) -> UInt64? {
            for case .accepted(let id, client, listener) in events { return id }
            return nil
        }
        func records(_ events: ArraySlice<ProxyEvent>) -> [AccessLogRecord]? {
            guard let connection = id(events) else { return nil }
            var isClosed = false
            let records = events.compactMap { event -> AccessLogRecord? in
                if case .closed(connection) = event { isClosed = true }
                if case .record(connection, let record) = event { return record }
                return nil
            }
            return isClosed ? records : nil
        }
        _ = events.wait(seconds: Self.deadline) { events in
            records(events.dropFirst(first)).flatMap { $0.count >= count ?? 0 ? $0 : nil }
        }
        if count == nil { Thread.sleep(forTimeInterval: Self.recordingQuiet) }
        return (records(events.all.dropFirst(first)) ?? []).map { "log " + $0.rawLine(lane: number) }
    }
}

/// Reads a client's connection to its end.
final class RawReader: Sendable {
    private let finished = DispatchSemaphore(value: 0)

    init(_ socket: BlockingSocket, _ transcript: RawTranscript) {
        Thread.detachNewThread { [finished] in
            while let part = try? socket.receive(), !part.isEmpty { transcript.add(part, to: nil) }
            transcript.end(.closed, of: nil)
            socket.close()
            finished.signal()
        }
    }

    /// Waits until the connection is over.
    func stop() { _ = finished.wait(timeout: .now() + 3) }
}

extension AccessLogRecord {
    /// What both data planes must agree on.
    fileprivate func rawLine(lane: Int) -> String {
        func own(_ name: String?) -> String {
            guard let name else { return "-" }
            return name.hasSuffix("-\(lane)") ? String(name.dropLast("-\(lane)".count)) : name
        }
        let id = requestID.map { RawNormalization.isUUID(Array($0.utf8)) ? "UUID" : $0 }
        let flags = responseFlags.isEmpty ? "-" : responseFlags.joined(separator: ",")
        return """
            \(responseCode) \(flags) \(responseCodeDetails ?? "-") in=\(bytesReceived) out=\(bytesSent) \
            \(`protocol` ?? "-") \(method ?? "-") \(RawBytes.text(Array((path ?? "-").utf8))) \(authority ?? "-") \
            route=\(routeName ?? "-") cluster=\(own(upstreamCluster)) host=\(upstreamHost == nil ? "-" : "some") \
            local=\(upstreamLocalAddress == nil ? "-" : "some") id=\(id ?? "-") xff=\(xForwardedFor ?? "-") \
            agent=\(userAgent ?? "-")
            """
    }
}
