import Manifests
import Mesh
import NetworkAddresses
import Testing

@Suite("The timeline of a scenario")
struct ScenarioTimelineTests {
    private static let location = SourceLocation(file: "scenario.yaml")

    private func timeline(manifests: String, deleting: [ResourceID]) -> ScenarioTimeline {
        let step = Step(
            name: "delete", location: Self.location, delete: deleting.map { Located($0, at: Self.location) })
        return ScenarioTimeline(
            Scenario(
                name: "test", file: "scenario.yaml", location: Self.location,
                manifests: ManifestReader.read(text: manifests, file: "test.yaml").value, steps: [step]))
    }

    private static let manifests =
        KubernetesFixture.namespace("team", "{istio-injection: enabled}") + KubernetesFixture.namespace("other")
        + KubernetesFixture.pod("a", namespace: "team") + KubernetesFixture.pod("b", namespace: "other")
        + NodeCase.policy("p", "{podSelector: {}}")

    @Test("a deleted namespace takes with it all that it holds, and nothing else")
    func namespace() {
        var timeline = timeline(
            manifests: Self.manifests, deleting: [ResourceID(kind: "Namespace", namespace: "", name: "team")])
        #expect(timeline.next()?.resources.all.count == 5)
        let after = timeline.next()
        #expect(after?.resources.all.map(\.metadata.name) == ["other", "b", "p"])
        #expect(after?.notes.isEmpty == true)
    }

    @Test("so does one that no manifest makes")
    func impliedNamespace() {
        var timeline = timeline(
            manifests: KubernetesFixture.pod("a", namespace: "team"),
            deleting: [ResourceID(kind: "Namespace", namespace: "", name: "team")])
        _ = timeline.next()
        let after = timeline.next()
        #expect(after?.resources.all.isEmpty == true && after?.notes.isEmpty == true)
    }

    @Test("deleting what is not there is worth a note")
    func absent() {
        var timeline = timeline(
            manifests: Self.manifests, deleting: [ResourceID(kind: "Namespace", namespace: "", name: "nobody")])
        _ = timeline.next()
        let after = timeline.next()
        #expect(after?.resources.all.count == 5 && after?.notes.count == 1)
    }
}
