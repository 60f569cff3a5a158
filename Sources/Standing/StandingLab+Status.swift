import Control
import Foundation
import Lab
import Manifests
import Mesh
import NetworkAddresses

extension StandingLab {
    /// What runs, and with `flows` who called whom; with `watch` again whenever that changes.
    nonisolated func status(_ request: StatusRequest, name: String, _ call: ControlCall) async throws -> Int32 {
        let changes = ledger.changes()
        var last = ""
        func tell() async -> Bool {
            let text = await statusText(name: name, flows: request.flows)
            guard text != last else { return true }
            defer { last = text }
            return call.output(last.isEmpty ? text : "\n" + text)
        }
        _ = await tell()
        guard request.watch else { return 0 }
        call.onHangUp { [ledger] in ledger.wake() }
        for await _ in changes {
            if call.hasHungUp { break }
            guard await tell() else { break }
        }
        return 0
    }

    private func statusText(name: String, flows: Bool) async -> String {
        let mesh = state.mesh().config
        let policy = mesh.outboundTrafficPolicy?.value == .registryOnly ? "REGISTRY_ONLY" : "ALLOW_ANY"
        var text =
            "lab '\(name)': \(scenario.file), \(scenario.dataPlane.rawValue) data plane, outboundTrafficPolicy \(policy)\n"
        if flows { return text + callsText() }
        var rows = [["NAMESPACE", "POD", "PROXY", "ADDRESSES"]]
        for pod in await lab.allPods {
            let proxy = pod.plan.pod.isRouter ? "gateway" : pod.plan.pod.hasSidecar ? "sidecar" : "none"
            rows.append([
                pod.id.namespace, pod.id.name, proxy,
                pod.plan.pod.addresses.map(\.description).joined(separator: ", "),
            ])
        }
        text += ObjectTable.aligned(rows)
        return text
    }

    private func callsText() -> String {
        var rows = [["SOURCE", "DESTINATION", "BY", "RESULT", "FLAGS", "CALLS"]]
        for (call, count) in ledger.calls() {
            rows.append([
                call.source, call.destination, call.way, call.code.map { "HTTP \($0)" } ?? "TCP", call.flags,
                "\(count.calls)",
            ])
        }
        return rows.count == 1 ? "no calls yet\n" : ObjectTable.aligned(rows)
    }
}
