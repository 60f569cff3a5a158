import Evidence
import Foundation
import Reports
import TestSupport
import Testing

#if canImport(FoundationXML)
    import FoundationXML
#endif

@Suite struct TestFormatTests {
    @Test("TAP has one point for each flow, command and assertion, and one for a lab that failed")
    func tap() {
        let report = TAPReport().render(SampleRun.result, options: ReportOptions())
        Golden.expect(report, equals: "run.tap")
        let points = report.split(separator: "\n").filter {
            $0.hasPrefix("ok ") || $0.hasPrefix("not ok ")
        }
        #expect(report.contains("1..\(points.count)\n"))
    }

    @Test("JUnit tells failures from errors and escapes what programs printed")
    func junit() {
        let report = JUnitReport().render(SampleRun.result, options: ReportOptions())
        Golden.expect(report, equals: "run.xml")
    }

    @Test("JUnit is well-formed XML whose counts add up")
    func junitCounts() {
        final class Counter: NSObject, XMLParserDelegate {
            var elements: [String: Int] = [:]
            var totals: [String: String] = [:]
            func parser(
                _ parser: XMLParser, didStartElement name: String, namespaceURI: String?,
                qualifiedName: String?,
                attributes: [String: String] = [:]
            ) {
                elements[name, default: 0] += 1
                if name == "testsuites" { totals = attributes }
            }
        }
        let report = JUnitReport().render(SampleRun.result, options: ReportOptions())
        let counter = Counter()
        let parser = XMLParser(data: Data(report.utf8))
        parser.delegate = counter
        #expect(parser.parse())
        #expect(counter.totals["tests"] == counter.elements["testcase"].map(String.init))
        #expect(counter.totals["failures"] == counter.elements["failure"].map(String.init))
        #expect(counter.totals["errors"] == counter.elements["error"].map(String.init))
    }

    @Test("Every format is found by the name that the command line takes")
    func names() {
        #expect(ReportFormats.names == ["text", "json", "tap"])
        for name in ReportFormats.names { #expect(ReportFormats.format(named: name) != nil) }
        #expect(ReportFormats.format(named: "sarif") == nil)
    }
}
