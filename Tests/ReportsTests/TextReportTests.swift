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

    @Test("An empty run is told as such")
    func empty() {
        let report = TextReport().render(RunResult(scenarios: []), options: ReportOptions())
        #expect(report.contains("0 scenarios: 0 passed, 0 failed"))
    }
}
