import Control
import Foundation
import Lab
import Mesh
import Proxy
import ProxyModel

extension StandingLab {
    /// Writes a log to the caller, and with `follows` what is added to it until the caller goes.
    nonisolated func logs(_ request: LogsRequest, _ call: ControlCall) async throws -> Int32 {
        let pods = try await pods(request.pod)
        for pod in pods { try await check(request.pod.container, of: pod) }
        // Subscribed before the first look, so that nothing falls between.
        let changes = ledger.changes()
        try await lab.settle()
        var written: [PodID: Int] = [:]
        for pod in pods {
            guard let log = pod.followedLog(of: request.pod.container) else {
                call.diagnose("pod \(pod.id.name) has no proxy, and nothing else that writes a log")
                continue
            }
            let (lines, count) = log(0)
            written[pod.id] = count
            for line in request.tail.map({ lines.suffix($0) }) ?? lines[...] { call.output(line.asLine) }
            if lines.isEmpty, pod.plan.proxy?.writesAccessLog == false {
                call.diagnose("the mesh writes no access log: set accessLogFile in its configuration")
            }
        }
        guard request.follows, !written.isEmpty else { return 0 }
        call.onHangUp { [ledger] in ledger.wake() }
        for await _ in changes {
            if call.hasHungUp { break }
            for pod in pods {
                guard let before = written[pod.id], let log = pod.followedLog(of: request.pod.container) else {
                    continue
                }
                let (lines, count) = log(before)
                written[pod.id] = count
                for line in lines { call.output(line.asLine) }
            }
        }
        return 0
    }

    /// A proxy's statistics, `name: value`, sorted.
    nonisolated func statistics(_ request: StatisticsRequest) async throws -> Answer {
        let filter = try request.filter.map { text in
            do {
                return try Regex(text)
            } catch {
                throw Refusal("error: --filter \"\(text)\" is no regular expression: \(error)", status: 2)
            }
        }
        var answer = Answer()
        for pod in try await pods(request.pod) {
            guard let proxy = pod.proxy else { throw Refusal("error: pod \(pod.id.name) has no proxy") }
            try await proxy.settle()
            let all = try await proxy.statistics().sorted { $0.key < $1.key }
            for (name, value) in all {
                if let filter, name.firstMatch(of: filter) == nil { continue }
                answer.output += "\(name): \(value)\n"
            }
        }
        return answer
    }
}

extension String {
    fileprivate var asLine: String { hasSuffix("\n") ? self : self + "\n" }
}
