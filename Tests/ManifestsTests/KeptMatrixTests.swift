import NetworkAddresses
import Testing

@testable import Manifests

@Suite("Tables of a matrix, as files keep them")
struct KeptMatrixTests {
    private static let text = """
        # kept on a good day
        TCP 80     default/a  internet
        default/a  .          X          # stays inside
        default/b  *          -

        UDP 53     internet
        default/a  ?

        """

    @Test("what is written is read, and what is read is written in columns")
    func roundTrip() {
        let read = KeptMatrix.read(text: Self.text, file: "m.txt")
        #expect(read.diagnostics.isEmpty, "\(read.diagnostics)")
        #expect(read.value.sections.map(\.probe) == [MatrixProbe(.tcp, 80), MatrixProbe(.udp, 53)])
        #expect(read.value.sections[0].rows.map(\.cells) == [[.reached, .denied], [nil, .failed]])
        #expect(read.value.sections[1].rows.map(\.cells) == [[.inconclusive]])
        #expect(
            read.value.text == """
                TCP 80     default/a  internet
                default/a  .          X
                default/b  *          -

                UDP 53     internet
                default/a  ?

                """)
        #expect(KeptMatrix.read(text: read.value.text, file: "m.txt").value.text == read.value.text)
    }

    @Test(
        "what is no table is told at its line",
        arguments: [
            ("", "m.txt:1:1: error: the file has no table"),
            (
                "default/a .",
                "m.txt:1:1: error: expected the first line of a table, found \"default/a\"; begin with the probe and the"
                    + " columns' names: TCP 80 default/a internet"
            ),
            ("TCP 80 a b\na .", "m.txt:2:1: error: row a has 1 cells, and the table 2 columns"),
            ("TCP 80 a\na ..", "m.txt:2:1: error: \"..\" is no cell; write one of . X - ? *, each by itself"),
            ("TCP 80 a\nTCP 80 a", "m.txt:2:1: error: there are two tables for TCP 80"),
        ])
    func wrong(_ text: String, _ message: String) {
        #expect(KeptMatrix.read(text: text, file: "m.txt").diagnostics.map(\.description) == [message])
    }
}

@Suite("A step's matrix")
struct MatrixReadingTests {
    private func read(_ matrix: String) -> (Matrix?, [String]) {
        let log = DiagnosticLog()
        let documents = ManifestFile.documents(of: Array(matrix.utf8), file: "s.yaml")
        let subject = FieldReader.Subject(kind: "Scenario", log: log, unknownField: .error)
        let matrix = documents.value.first.flatMap { node in
            Matrix(
                reading: FieldReader(node: node, path: "matrix", subject: subject),
                reference: { field in
                    let parts = field.node.text?.split(separator: "/").map(String.init) ?? []
                    return parts.count == 2 ? WorkloadReference(namespace: parts[0], name: parts[1]) : nil
                }, table: { _ in KeptMatrix.read(text: "TCP 80 a\n", file: "m.txt").value })
        }
        return (matrix, log.sorted.map(\.description))
    }

    @Test("every part has its place, and pairs are limited by namespace and workload")
    func whole() throws {
        let (matrix, told) = read(
            "{from: [shop/*, data/db], to: [all, internet/192.0.2.1], ports: [80, 443], protocols: [TCP, UDP], family: IPv6}"
        )
        #expect(told.isEmpty, "\(told)")
        let read = try #require(matrix)
        #expect(read.from == [.namespace("shop"), .workload(WorkloadReference(namespace: "data", name: "db"))])
        #expect(read.to == [.all, .internet(IPAddress(192, 0, 2, 1))])
        #expect(read.probes.map(\.description) == ["TCP 80", "TCP 443", "UDP 80", "UDP 443"])
        #expect(read.family == .ipv6)
    }

    @Test("without words on it, all pods ask all pods and the internet over TCP")
    func defaults() {
        let matrix = read("{ports: 80}").0
        #expect(matrix?.from == [.all] && matrix?.to == [.all] && matrix?.probes == [MatrixProbe(.tcp, 80)])
    }

    @Test(
        "what makes no matrix is told where it stands",
        arguments: [
            ("{from: all}", "s.yaml:1:1: error: matrix.ports is required"),
            ("{ports: []}", "s.yaml:1:9: error: matrix.ports: a matrix needs at least one port"),
            ("{ports: [80], from: internet}", "s.yaml:1:21: error: matrix.from: the internet is a destination only"),
            ("{ports: [80], to: internet/x}", "s.yaml:1:19: error: matrix.to: \"internet/x\" is not internet/ADDRESS"),
            (
                "{ports: [80], protocols: [ICMP]}",
                "s.yaml:1:27: error: matrix.protocols[0]: expected one of TCP, UDP, SCTP, found string \"ICMP\""
            ),
            (
                "{ports: [81], expect: m.txt}",
                "s.yaml:1:23: error: matrix.expect: m.txt:1:1 has a table for TCP 80, which this matrix does not ask"
            ),
            (
                "{ports: [80], port: 80}",
                "s.yaml:1:15: error: unknown field matrix.port of Scenario; did you mean ports?"
            ),
        ])
    func wrong(_ text: String, _ message: String) {
        #expect(read(text).1.contains(message), "\(read(text).1)")
    }
}
