import ArgumentParser
import Envoy
import Foundation
import Manifests
import Mesh
import NetworkAddresses
import Nftables
import ProxyModel

/// `render PATH`: what would be installed, without installing it.
struct RenderCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "render",
        abstract: "Prints what a scenario or manifests would install: rules and proxy configurations.")

    /// What of the plan is printed.
    enum Part: String, ExpressibleByArgument, CaseIterable {
        /// Each pod's rules.
        case capture
        /// The nodes' rules, and those of the boundary where it is not a node's.
        case policy
        /// Each sidecar's configuration.
        case proxy
        /// Each sidecar's configuration as Envoy takes it.
        case envoy
        /// What each pod's DNS agent answers itself.
        case names
    }

    @Argument(help: "A scenario, a manifest, or a directory of manifests.", completion: .file())
    var path: String

    @Option(help: ArgumentHelp("Only this pod, or the pods of this workload.", valueName: "ns/pod"))
    var pod: String?

    @Option(
        help: """
            capture (the pods' rules), policy (the nodes'), proxy (the sidecars' configurations), envoy (the same as \
            Envoy's bootstraps), or names (what the pods' DNS agents answer); without it, both rulesets.
            """)
    var what: Part?

    @Option(help: ArgumentHelp("After this step, by number or name; 0 is before the first.", valueName: "step"))
    var step: String?

    func run() throws {
        let scenario = try readScenario()
        // What planning finds was told when the input was read.
        let plan = try moment(of: DryPlan(scenario)).plan
        let pods = try wanted(plan)
        switch what {
        case .proxy: Console.report(try configurations(pods))
        case .capture: Console.report(capture(pods))
        case .policy: Console.report(plan.fabric == nil ? plan.nodes[0].ruleset.text : policy(plan))
        case .envoy: Console.report(try bootstraps(pods))
        case .names: Console.report(names(pods))
        case nil: Console.report(capture(pods) + (pod == nil ? "\n" + policy(plan) : ""))
        }
    }

    // MARK: Input

    private func readScenario() throws -> Scenario {
        let inputs = Input.resolve([path])
        let read = ReadInputs(inputs)
        try read.requireUsable()
        guard inputs.count == 1 else {
            throw Failure.input("\(path) holds \(inputs.count) scenarios; name one of them")
        }
        return read.scenarios.first ?? Scenario(manifests: read.resources, of: path)
    }

    private func moment(of plans: DryPlan) throws -> DryPlan.Moment {
        let known = plans.moments.dropFirst().enumerated().map { "\($0.offset + 1) (\($0.element.step?.name ?? ""))" }
        let found: DryPlan.Moment? =
            if let step, let number = Int(step) {
                plans.moments.indices.contains(number) ? plans.moments[number] : nil
            } else if let step {
                plans.moments.first { $0.step?.name == step }
            } else {
                plans.moments.last
            }
        guard let found else {
            throw Failure.input(
                "no step '\(step ?? "")' in \(path); there are 0 (the manifests), \(known.joined(separator: ", "))")
        }
        return found
    }

    private func wanted(_ plan: LabPlan) throws -> [PodPlan] {
        guard let pod else { return plan.pods }
        let pods = plan.pods.filter {
            $0.pod.id.description == pod || "\($0.pod.id.namespace)/\($0.pod.workload)" == pod
        }
        guard !pods.isEmpty else {
            let known = plan.pods.map(\.pod.id.description).sorted().joined(separator: ", ")
            throw Failure.input("no pod or workload \(pod) in \(path); there are \(known)")
        }
        return pods
    }

    // MARK: Output

    /// Comments keep the whole loadable by `nft -f`.
    private func capture(_ pods: [PodPlan]) -> String {
        pods.map { pod in
            let head = "# pod \(pod.pod.id)"
            return pod.ruleset.tables.isEmpty ? head + ": no rules\n" : head + "\n" + pod.ruleset.text
        }.joined(separator: "\n")
    }

    /// As a `hosts` file has them, but for wildcards.
    private func names(_ pods: [PodPlan]) -> String {
        pods.map { pod in
            let head = "# pod \(pod.pod.id)"
            guard let agent = pod.agent else { return head + ": no DNS capture\n" }
            let servers = agent.nameservers.map(\.description).joined(separator: ", ")
            return head + ", everything else from \(servers)\n"
                + agent.names.entries.flatMap { entry in entry.addresses.map { "\($0)\t\(entry.name)\n" } }.joined()
        }.joined(separator: "\n")
    }

    /// The rules of every node and of the fabric that joins them, each with its name.
    private func policy(_ plan: LabPlan) -> String {
        let places = plan.nodes.map { ("node \($0.name)", $0.ruleset) }
        let fabric = plan.fabric.map { [("fabric", $0.ruleset)] } ?? []
        return (places + fabric).map { "# \($0)\n" + $1.text }.joined(separator: "\n")
    }

    /// One configuration as `proxy --config` reads it; several by the names of their pods.
    private func configurations(_ pods: [PodPlan]) throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return try sidecars(pods) { String(decoding: try encoder.encode($0), as: UTF8.self) + "\n" }
    }

    /// One bootstrap as `envoy -c` reads it; several by the names of their pods.
    private func bootstraps(_ pods: [PodPlan]) throws -> String {
        try sidecars(pods) { configuration in
            do throws(EnvoyRenderingError) {
                return try EnvoyBootstrap(configuration).json
            } catch {
                throw Failure.input("pod \(configuration.node.namespace)/\(configuration.node.pod): \(error)")
            }
        }
    }

    /// What `text` makes of the one sidecar, or an object of what it makes of each.
    private func sidecars(_ pods: [PodPlan], text: (ProxyConfiguration) throws -> String) throws -> String {
        let all = pods.compactMap { pod in pod.proxy.map { (pod.pod.id.description, $0) } }
        guard let first = all.first else {
            if let pod { throw Failure.input("pod \(pod) has no sidecar: there is no proxy to render") }
            Console.diagnose("egress-lab: no pod has a sidecar")
            return "{}\n"
        }
        if all.count == 1 { return try text(first.1) }
        let members = try all.sorted { $0.0 < $1.0 }.map { name, configuration in
            let lines = try text(configuration).split(separator: "\n")
            return "  \(JSONText.quoted(name)): " + lines.joined(separator: "\n  ")
        }
        return "{\n" + members.joined(separator: ",\n") + "\n}\n"
    }
}
