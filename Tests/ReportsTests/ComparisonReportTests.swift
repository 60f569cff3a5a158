import Evidence
import Foundation
import Manifests
import Reports
import TestSupport
import Testing

@Suite struct ComparisonReportTests {
    /// Equal, different, without a result, and alike against the scenario.
    private var comparison: RunComparison {
        func other(_ result: ScenarioResult, _ change: (inout ScenarioResult) -> Void) -> ScenarioResult {
            var result = result
            result.dataPlane = "envoy"
            result.durationMs += 71
            change(&result)
            return result
        }
        var unexpected = SampleRun.clean
        unexpected.name = "alike"
        unexpected.steps[0].flows[0].passed = false
        unexpected.conclude()
        let pairs = [
            (SampleRun.clean, other(SampleRun.clean) { _ in }),
            (
                SampleRun.mixed,
                other(SampleRun.mixed) {
                    $0.steps[0].flows[0].observed.status = 503
                    $0.steps[0].flows[0].observed.headers = [ReceivedHeader(name: "server", value: "istio-envoy\u{7}")]
                    $0.steps[0].flows[1].observed.by = nil
                    $0.steps[0].commands[0].stdout = String(repeating: "0", count: 300)
                    $0.steps[0].assertions[0].observed = 3
                }
            ), (SampleRun.broken, other(SampleRun.broken) { $0.error = "Envoy crashed" }),
            (unexpected, other(unexpected) { _ in }),
        ]
        return RunComparison(scenarios: pairs.map { ResultComparison().compare($0, $1) })
    }

    @Test("The text says = or what differs, with both values and the place, and ends with the count")
    func text() {
        let report = TextReport().render(comparison, options: ReportOptions())
        Golden.expect(report, equals: "comparison.txt")
        #expect(report.hasSuffix("\n4 scenarios, 8 flows compared, 7 differences\n"))
        #expect(!report.contains("\u{7}"))
        #expect(report.split(separator: "\n").filter { $0.count > 100 } == [])
    }

    @Test("Without a difference the last line says so")
    func noDifference() {
        let report = TextReport().render(
            RunComparison(scenarios: [ResultComparison().compare(SampleRun.clean, SampleRun.clean)]),
            options: ReportOptions())
        #expect(report.hasSuffix("\n1 scenario, 1 flow compared, 0 differences\n"))
    }

    @Test("Colour changes no character of the text")
    func color() {
        let plain = TextReport().render(comparison, options: ReportOptions(isVerbose: true))
        let colored = TextReport().render(comparison, options: ReportOptions(usesColor: true, isVerbose: true))
        #expect(colored != plain)
        #expect(colored.replacing(/\u{1b}\[[0-9;]*m/, with: "") == plain)
    }

    @Test("The JSON names its schema, the sides, and each difference with both values, null where there is none")
    func json() throws {
        let text = try JSONReport().render(comparison, options: ReportOptions())
        let root = try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(root["schema"] as? String == "egress-lab/comparison/v1")
        let summary = try #require(root["summary"] as? [String: Any])
        #expect(summary["differences"] as? Int == 7)
        let scenarios = try #require(root["scenarios"] as? [[String: Any]])
        let sides = [scenarios[1]["left"], scenarios[1]["right"]].compactMap { ($0 as? [String: Any])?["dataPlane"] }
        #expect(sides as? [String] == ["bundled", "envoy"])
        let items = try #require(scenarios[1]["items"] as? [[String: Any]])
        let differences = items.flatMap { $0["differences"] as? [[String: Any]] ?? [] }
        #expect(differences.allSatisfy { Set($0.keys) == ["field", "left", "right"] })
        #expect(differences.contains { $0["left"] is NSNull })
        let decoded = try JSONDecoder().decode(RunComparison.self, from: Data(text.utf8))
        #expect(try JSONReport().render(decoded, options: ReportOptions()) == text)
    }

    @Test("TAP and JUnit count a check a flow, command and assertion, and one for each side without a result")
    func testFormats() {
        let tap = TAPReport().render(comparison, options: ReportOptions())
        Golden.expect(tap, equals: "comparison.tap")
        let junit = JUnitReport().render(comparison, options: ReportOptions())
        Golden.expect(junit, equals: "comparison.xml")
        let failures = tap.split(separator: "\n").count { $0.hasPrefix("not ok") }
        let elements = junit.split(separator: "\n").count { $0.contains("<failure") || $0.contains("<error") }
        #expect(failures == elements)
    }
}
