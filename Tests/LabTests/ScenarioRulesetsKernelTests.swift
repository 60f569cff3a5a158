import Foundation
import Manifests
import Mesh
import NIOCore
import NIOPosix
import Netlink
import Nftables
import TestSupport
import Testing

@testable import Lab

/// The scenarios of this repository, as inputs of tests.
enum RepositoryScenarios {
    static let all: [String] = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().appendingPathComponent("scenarios").path
        return ScenarioLocator.find(paths: [root]).value
    }()
}

@Suite struct ScenarioRulesetsKernelTests {
    @Test("there are scenarios to test with")
    func scenariosAreFound() { #expect(RepositoryScenarios.all.count > 20) }

    @Test(
        "what is printed for every namespace and step equals what nft lists there", .requiresRoot,
        arguments: RepositoryScenarios.all)
    func kernelListsThePlan(file: String) async throws {
        let read = ScenarioReader.read(path: file)
        let scenario = try #require(read.value, "\(read.diagnostics)")
        let group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
        var planner = LabPlanner(scenario: scenario)
        var lab: RunningLab?
        for moment in ScenarioTimeline(scenario) {
            let (plan, _) = planner.plan(
                resources: moment.resources, mesh: moment.mesh, restarted: moment.restarted.map(\.value))
            let running =
                try lab
                ?? RunningLab(plan: plan, group: group)
            lab = running
            try await running.update(to: plan)
            let place = "\(scenario.name), \(moment.step?.name ?? "manifests")"
            for (node, planned) in zip(running.nodes, plan.nodes) {
                try compare(planned.ruleset, in: node.namespace, "\(place), \(node.place)")
            }
            if let fabric = running.fabric, let planned = plan.fabric {
                try compare(planned.ruleset, in: fabric, "\(place), fabric")
            }
            try compare(plan.internet.ruleset, in: running.internet, "\(place), internet")
            // Pods in a node's namespace have its rules.
            for pod in await running.allPods where !pod.plan.pod.spec.hostNetwork {
                try compare(pod.plan.ruleset, in: pod.namespace, "\(place), pod \(pod.id)")
            }
        }
        await lab?.stop()
        try await group.shutdownGracefully()
    }

    private func compare(_ ruleset: Ruleset, in namespace: NetworkNamespace, _ place: String) throws {
        // The proxies' own lookups may have been counted already; the rules are the same.
        let listed = withoutCounts(try NftReference.listWithCounters(in: namespace))
        let printed = withoutCounts(ruleset.text)
        #expect(
            listed == printed, "\(place) (- printed, + kernel)\n\(Golden.difference(from: printed, to: listed))")
    }

    private func withoutCounts(_ text: String) -> String {
        text.replacing(/counter packets \d+ bytes \d+/, with: "counter")
    }
}
