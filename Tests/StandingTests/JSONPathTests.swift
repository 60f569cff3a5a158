import Manifests
import Testing

@testable import Standing

@Suite struct JSONPathTests {
    private static let pods = """
        items:
        - metadata: {name: sleep-1, labels: {app.kubernetes.io/name: sleep}}
          spec: {containers: [{name: sleep}, {name: istio-proxy}]}
        - metadata: {name: gateway}
          spec: {containers: [{name: istio-proxy}]}
        """

    @Test(
        "Templates select as kubectl's do",
        arguments: [
            ("{.items[0].metadata.name}", "sleep-1"), ("{.items..metadata.name}", "sleep-1 gateway"),
            ("{.items[*].metadata.name}", "sleep-1 gateway"), ("{.items[-1:].metadata.name}", nil),
            ("{.items[0].spec.containers[*].name}", "sleep istio-proxy"),
            (#"{range .items[*]}{.metadata.name}{"\n"}{end}"#, "sleep-1\ngateway\n"),
            (#"{.items[0].metadata.labels.app\.kubernetes\.io/name}"#, "sleep"),
            (#"{.items[?(@.metadata.name=="gateway")].spec.containers[0].name}"#, "istio-proxy"),
            (".items[1].metadata.name", "gateway"), ("{.nothing}", ""), ("{.items[0", nil), ("{end}", nil),
        ] as [(String, String?)])
    func selects(template: String, expected: String?) throws {
        let document = try #require(ManifestReader.documents(of: Self.pods, file: "pods.yaml").value.first)
        #expect((try? JSONPath(template).text(of: document)) == expected)
    }
}

@Suite struct LabelExpressionTests {
    @Test(
        "Labels are selected as kubectl does",
        arguments: [
            ("app=sleep", true), ("app==sleep", true), ("app!=sleep", false), ("app", true), ("!app", false),
            ("app in (sleep, x)", true), ("app notin (sleep)", false), ("old!=yes", true), ("app=sleep,v=2", false),
        ])
    func selects(text: String, expected: Bool) throws {
        #expect(try LabelExpression(text).matches(["app": "sleep", "v": "1"]) == expected)
    }

    @Test("Nonsense is refused", arguments: ["=x", ",", "!"])
    func refuses(text: String) {
        #expect(throws: Refusal.self) { try LabelExpression(text) }
    }
}
