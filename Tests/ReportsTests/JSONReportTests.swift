import Evidence
import Foundation
import Reports
import Testing

@Suite struct JSONReportTests {
    private func object(_ result: RunResult) throws -> [String: Any] {
        let text = try JSONReport().render(result, options: ReportOptions())
        return try #require(try JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
    }

    @Test("The JSON report has every key of results/v1, null where there is nothing")
    func keys() throws {
        let root = try object(SampleRun.result)
        #expect(root["schema"] as? String == "egress-lab/results/v1")
        let summary = try #require(root["summary"] as? [String: Any])
        for key in [
            "scenarios", "flows", "allowed", "denied", "escaped", "failed", "inconclusive", "unexpected",
        ] {
            #expect(summary[key] is Int, "summary.\(key)")
        }
        let scenario = try #require((root["scenarios"] as? [[String: Any]])?.first)
        for key in [
            "name", "path", "dataPlane", "result", "durationMs", "timings", "assumptions", "steps",
        ] {
            #expect(scenario[key] != nil, "scenario.\(key)")
        }
        let timings = try #require(scenario["timings"] as? [String: Any])
        #expect(Set(timings.keys).isSuperset(of: ["planMs", "setUpMs", "trafficMs", "tearDownMs"]))
        let step = try #require((scenario["steps"] as? [[String: Any]])?.first)
        #expect(Set(step.keys).isSuperset(of: ["name", "flows", "probes", "commands", "assertions"]))
        let flow = try #require((step["flows"] as? [[String: Any]])?.first)
        #expect(
            Set(flow.keys).isSuperset(of: [
                "id", "from", "to", "expected", "passed", "observed", "evidence",
            ]))
        let observed = try #require(flow["observed"] as? [String: Any])
        for key in ["outcome", "by", "path", "status", "error", "durationMs"] {
            #expect(observed[key] != nil, "observed.\(key)")
        }
        #expect(observed["by"] is NSNull)
        let command = try #require((step["commands"] as? [[String: Any]])?.first)
        #expect(Set(command.keys).isSuperset(of: ["run", "exitCode", "stdout", "stderr", "passed"]))
        let assertion = try #require((step["assertions"] as? [[String: Any]])?.first)
        #expect(Set(assertion.keys).isSuperset(of: ["passed", "message"]))
    }

    @Test("A result read back from its JSON renders the same JSON")
    func roundTrip() throws {
        let text = try JSONReport().render(SampleRun.result, options: ReportOptions())
        let decoded = try JSONDecoder().decode(RunResult.self, from: Data(text.utf8))
        #expect(try JSONReport().render(decoded, options: ReportOptions()) == text)
    }
}
