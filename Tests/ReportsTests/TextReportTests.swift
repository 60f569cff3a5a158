import Evidence
import Reports
import TestSupport
import Testing

@Suite struct TextReportTests {
    @Test("The text report explains each denial, escape and surprise, and ends with a count")
    func wholeReport() {
        Golden.expect(TextReport().render(SampleRun.result, options: ReportOptions()), equals: "run.txt")
    }

    @Test("A verbose report lists evidence and assumptions of passed flows too")
    func verboseReport() {
        let report = TextReport().render(SampleRun.result, options: ReportOptions(isVerbose: true))
        Golden.expect(report, equals: "run-verbose.txt")
    }

    @Test("Colour changes no character of the report")
    func color() {
        let plain = TextReport().render(SampleRun.result, options: ReportOptions())
        let colored = TextReport().render(SampleRun.result, options: ReportOptions(usesColor: true))
        #expect(colored != plain)
        #expect(colored.replacing(/\u{1b}\[[0-9;]*m/, with: "") == plain)
    }

    @Test("What a server or program said reaches the terminal without control characters")
    func noControlCharacters() {
        let plain = TextReport().render(SampleRun.result, options: ReportOptions())
        #expect(!plain.contains("\u{1b}"))
    }

    @Test("Lines keep to a hundred columns")
    func width() {
        for isVerbose in [false, true] {
            let plain = TextReport().render(
                SampleRun.result, options: ReportOptions(isVerbose: isVerbose))
            #expect(plain.split(separator: "\n").filter { $0.count > 100 } == [])
        }
    }

    @Test("Evidence tells what was found, not every name of a search list; a verbose report tells all")
    func evidence() {
        func lookup(_ name: String, _ code: String, _ type: String) -> FlowResult.EvidenceItem {
            FlowResult.EvidenceItem(
                at: "pod kube-system/kube-dns", kind: .served,
                detail: ["name": name, "responseCode": code, "type": type, "tuple": "udp a -> b"])
        }
        func served(_ stage: String, _ detail: [String: String] = [:]) -> FlowResult.EvidenceItem {
            FlowResult.EvidenceItem(
                at: "internet", kind: .served,
                detail: detail.merging(["stage": stage, "tuple": "tcp c -> d"]) { $1 })
        }
        var flow = SampleRun.allowed
        flow.passed = false
        flow.evidence = [
            lookup("cnn.default.svc", "NXDOMAIN", "A"), lookup("cnn.default.svc", "NXDOMAIN", "AAAA"),
            lookup("cnn", "NOERROR", "A"), lookup("cnn", "NOERROR", "AAAA"), served("accepted"),
            FlowResult.EvidenceItem(
                at: "sidecar default/sleep", kind: .accessLog,
                detail: ["response_flags": "-", "bytes_sent": "3", "upstream_cluster": "outbound|443||cnn"]),
            served("request", ["host": "cnn"]),
            FlowResult.EvidenceItem(
                at: "client", kind: .client, detail: ["tuple": "tcp a -> b", "attempts": "tcp a -> b", "status": "200"]),
        ]
        func lines(isVerbose: Bool) -> [String] {
            let scenario = ScenarioResult(
                name: "x", title: "", path: "x", dataPlane: "bundled", result: .failed,
                steps: [StepResult(name: "one", flows: [flow])])
            let report = TextReport().render(
                RunResult(scenarios: [scenario]), options: ReportOptions(isVerbose: isVerbose))
            let lines = report.split(separator: "\n").map { $0.trimmingPrefix { $0 == " " } }
            return lines.drop { !$0.hasPrefix("evidence") }.prefix { !$0.hasPrefix("──") }.map(String.init)
        }
        #expect(
            lines(isVerbose: false) == [
                "evidence  lookup at pod kube-system/kube-dns: NOERROR for cnn",
                "access-log at sidecar default/sleep: upstream_cluster=outbound|443||cnn",
                "served at internet: tcp c -> d host=cnn stage=request", "client: tcp a -> b status=200",
            ])
        let all = lines(isVerbose: true)
        #expect(all.first == "evidence  lookup at pod kube-system/kube-dns: NXDOMAIN for cnn.default.svc")
        #expect(all.contains("served at internet: tcp c -> d stage=accepted"))
        #expect(all.contains { $0.contains("bytes_sent=3") })
    }

    @Test("An empty run is told as such")
    func empty() {
        let report = TextReport().render(RunResult(scenarios: []), options: ReportOptions())
        #expect(report.contains("0 scenarios: 0 passed, 0 failed"))
    }
}
