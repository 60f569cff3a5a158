import Manifests
import NetworkAddresses
import Testing

@testable import Evidence

@Suite("What a matrix found")
struct MatrixResultTests {
    private static func end(_ name: String, of workload: String? = nil) -> MatrixResult.End {
        MatrixResult.End(name: name, workload: workload ?? name)
    }

    private static let pods = [end("n/a"), end("n/w-1", of: "n/w"), end("n/w-2", of: "n/w")]

    private static func result(_ rows: [String]) -> MatrixResult {
        MatrixResult(
            from: pods, to: pods + [end("internet")], tables: [MatrixResult.Table(MatrixProbe(.tcp, 80), rows: rows)],
            location: "s.yaml:1")
    }

    @Test("counts its cells, and is passed unless something is unknown")
    func summary() {
        let result = Self.result([".XX-", "....", "...."])
        #expect(result.summary.probes == 12 && result.summary.reached == 9)
        #expect(result.summary.denied == 2 && result.summary.failed == 1 && result.passed)
        #expect(!Self.result(["?...", "....", "...."]).passed)
    }

    @Test("pods of a workload that answer alike share a row and a column; a pod to itself says nothing of its kind")
    func grouped() {
        // Each reaches itself, and neither the other.
        let kept = Self.result(["...X", "X.X.", "XX.."]).kept
        #expect(
            kept.text == """
                TCP 80  n/a  n/w  internet
                n/a     .    .    X
                n/w     X    X    .

                """)
        let apart = Self.result(["...X", "X.X.", "XX.X"]).kept
        #expect(apart.sections[0].rows.map(\.name) == ["n/a", "n/w-1", "n/w-2"])
    }

    @Test("agrees with the table that it makes itself, in either form")
    func sameAsItself() {
        for rows in [["...X", "X.X.", "XX.."], ["...X", "X.X.", "XX.X"], ["-X..", "....", "...."]] {
            var result = Self.result(rows)
            result.compare(with: result.kept)
            #expect(result.differences.isEmpty && result.isCompared, "\(result.differences)")
        }
    }

    @Test("each cell that differs is a difference, with the line that expects otherwise; * is any")
    func differences() {
        let text = """
            TCP 80  n/a  n/w  internet
            n/a     .    *    .
            n/w     X    .    .
            """
        var result = Self.result([".XXX", "X...", "...."])
        result.compare(with: KeptMatrix.read(text: text, file: "m.txt").value)
        #expect(
            result.differences == [
                "TCP 80 n/a -> internet: expected ., observed X (m.txt:2)",
                "TCP 80 n/w-2 -> n/a: expected X, observed . (m.txt:3)",
            ])
        #expect(!result.passed)
    }

    @Test("who is missing on either side is a difference")
    func missing() {
        var result = Self.result(["....", "....", "...."])
        result.compare(with: KeptMatrix.read(text: "TCP 80 n/a n/w n/x\nn/a . . .\n", file: "m.txt").value)
        #expect(
            result.differences == [
                "TCP 80: the table has no column for internet", "TCP 80: the table has no row for n/w-1",
                "TCP 80: the table has no row for n/w-2", "TCP 80: nobody is called n/x, a column of the table",
            ])
    }
}
