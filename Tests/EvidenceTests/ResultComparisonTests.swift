import Evidence
import Manifests
import Testing

@Suite struct ResultComparisonTests {
    // MARK: Samples

    private func record(_ changes: [String: String?] = [:]) -> [String: String] {
        let fields: [String: String?] = [
            "response_code": "200", "response_flags": "-", "bytes_received": "0", "bytes_sent": "331", "duration": "4",
            "method": "GET", "path": "/get", "protocol": "HTTP/1.1", "response_code_details": "via_upstream",
            "upstream_service_time": "3", "request_id": "0b4cbbb5-6d14-4bcb-9b2f-1f2f6b3a9e01",
            "authority": "a.example",
            "upstream_host": "203.0.113.9:80", "upstream_cluster": "outbound|80||a.example",
            "upstream_local_address": "10.244.0.4:40001", "downstream_local_address": "203.0.113.9:80",
            "downstream_remote_address": "10.244.0.4:20001", "route_name": "default",
        ]
        return fields.merging(changes) { $1 }.compactMapValues { $0 }
    }

    private func flow(
        to: String = "http://a.example/get", outcome: Outcome = .allowed, error: String? = nil,
        headers: [ReceivedHeader] = [ReceivedHeader(name: "server", value: "envoy")], body: String = "hello",
        durationMs: Double = 3, path: [String] = ["sidecar default/sleep"], records: [[String: String]]? = nil,
        served: [[String: String]] = [["stage": "request", "host": "a.example", "tuple": "x"]],
        at site: String = "internet",
        passed: Bool = true
    ) -> FlowResult {
        let logged = (records ?? [record()]).map {
            FlowResult.EvidenceItem(at: "sidecar default/sleep", kind: .accessLog, detail: $0)
        }
        let arrived = served.map { FlowResult.EvidenceItem(at: site, kind: .served, detail: $0) }
        return FlowResult(
            id: "a", from: "default/sleep", to: to, expected: Expected(FlowExpectation(outcome: .allowed)),
            passed: passed,
            observed: FlowResult.Observed(
                outcome: outcome, path: path, status: 200, error: error, headers: headers,
                body: ReceivedBody(text: body, bytes: body.utf8.count), durationMs: durationMs),
            evidence: logged + arrived, location: "scenario.yaml:9")
    }

    private func scenario(
        _ flows: FlowResult..., choices: [[String]]? = nil, commands: [CommandResult] = [],
        assertions: [AssertionResult] = [], plane: String = "bundled"
    ) -> ScenarioResult {
        var result = ScenarioResult(
            name: "s", title: "t", path: "scenario.yaml", dataPlane: plane, result: .passed,
            steps: [
                StepResult(name: "one", choices: choices, flows: flows, commands: commands, assertions: assertions)
            ])
        result.conclude()
        return result
    }

    private func fields(_ left: ScenarioResult, _ right: ScenarioResult) -> [String] {
        ResultComparison().compare(left, right).differences.map(\.field)
    }

    private func fields(_ left: FlowResult, _ right: FlowResult, choices: [[String]]? = nil) -> [String] {
        fields(scenario(left, choices: choices), scenario(right, choices: choices, plane: "envoy"))
    }

    // MARK: What is a difference

    @Test("Every field that the proxies log is compared, with both values and the place in the scenario")
    func recordFields() throws {
        for (name, value) in record() where VolatileFields.exact.contains(name) {
            let comparison = ResultComparison().compare(
                scenario(flow()), scenario(flow(records: [record([name: value + "1"])]), plane: "envoy"))
            let difference = try #require(comparison.differences.first, "\(name)")
            #expect(comparison.differences.count == 1)
            #expect(difference.field == "access-log[sidecar default/sleep].\(name)")
            #expect(difference.left == value && difference.right == value + "1")
            #expect(difference.scenario == "s" && difference.step == "one" && difference.subject == "a")
            #expect(difference.location == "scenario.yaml:9")
        }
    }

    @Test("A field that only one side has is a difference")
    func absentField() {
        #expect(
            fields(flow(), flow(records: [record(["upstream_service_time": nil])])) == [
                "access-log[sidecar default/sleep].upstream_service_time"
            ])
        #expect(
            fields(flow(), flow(headers: [])) == ["headers.server"])
    }

    @Test("The number of a proxy's records and of arrivals is compared")
    func counts() {
        #expect(
            fields(flow(), flow(records: [record(), record()])) == ["access-log[sidecar default/sleep]"])
        let twice = [["stage": "request", "host": "a.example"], ["stage": "request", "host": "a.example"]]
        #expect(fields(flow(), flow(served: twice)) == ["served.request"])
        #expect(fields(flow(), flow(served: [["stage": "request", "host": "b.example"]])) == ["served.request.host"])
    }

    @Test("Outcome, path, error and body are compared")
    func observed() {
        #expect(fields(flow(), flow(outcome: .denied)) == ["outcome"])
        #expect(fields(flow(), flow(path: [])) == ["path"])
        #expect(fields(flow(error: "connection refused"), flow(error: "no answer in time")) == ["error"])
        #expect(fields(flow(), flow(body: "good bye")) == ["body"])
    }

    @Test("An inconclusive flow differs from whatever the other side has, even from another inconclusive one")
    func inconclusive() {
        let lost = flow(outcome: .inconclusive)
        #expect(fields(lost, flow()) == ["outcome"])
        #expect(fields(lost, lost) == ["outcome"])
        let comparison = RunComparison(scenarios: [ResultComparison().compare(scenario(lost), scenario(lost))])
        #expect(comparison.exitCode == 4)
    }

    @Test("A crash of one side is a difference of the scenario, and the run has no result")
    func crash() {
        let crashed = ScenarioResult(
            name: "s", title: "", path: "scenario.yaml", dataPlane: "envoy", result: .error, error: "envoy crashed")
        #expect(fields(scenario(flow()), crashed) == ["error", "steps"])
        let comparison = RunComparison(scenarios: [ResultComparison().compare(scenario(flow()), crashed)])
        #expect(comparison.exitCode == 4)
        #expect(comparison.summary.errors == 1)
    }

    @Test("Commands are compared by exit code and output, assertions by what they observed")
    func commandsAndAssertions() {
        func command(_ code: Int, _ stdout: String) -> CommandResult {
            CommandResult(
                in: "default/sleep", run: "curl", exitCode: code, stdout: stdout, stderr: "", durationMs: 1,
                passed: true, mismatches: [], location: "scenario.yaml:12")
        }
        func assertion(_ observed: UInt64, passed: Bool = true, grows: Bool? = nil) -> AssertionResult {
            AssertionResult(
                passed: passed, message: "stat", observed: observed, growsWithTime: grows,
                location: "scenario.yaml:14")
        }
        #expect(
            fields(scenario(commands: [command(0, "a")]), scenario(commands: [command(1, "b")]))
                == ["exitCode", "stdout"])
        #expect(
            fields(scenario(assertions: [assertion(1)]), scenario(assertions: [assertion(2)])) == ["observed"])
        #expect(
            fields(scenario(assertions: [assertion(1)]), scenario(assertions: [assertion(1, passed: false)]))
                == ["passed"])
        func grown(_ left: UInt64, _ right: UInt64) -> [String] {
            fields(
                scenario(assertions: [assertion(left, grows: true)]),
                scenario(assertions: [assertion(right, grows: true)]))
        }
        #expect(grown(1, 2).isEmpty)
        #expect(grown(0, 2) == ["observed"])
    }

    @Test("What both sides do alike against the scenario is no difference, and no success")
    func unexpectedOnBoth() {
        let comparison = RunComparison(
            scenarios: [ResultComparison().compare(scenario(flow(passed: false)), scenario(flow(passed: false)))])
        #expect(comparison.summary.differences == 0)
        #expect(comparison.summary.unexpected == 1)
        #expect(comparison.exitCode == 1)
    }

    @Test("What only one side did as expected is a difference even where no other field tells")
    func onlyOnePassed() { #expect(fields(flow(), flow(passed: false)) == ["passed"]) }

    // MARK: What is not

    @Test("Equal results have no difference")
    func equal() {
        #expect(fields(flow(), flow()).isEmpty)
        let comparison = RunComparison(scenarios: [ResultComparison().compare(scenario(flow()), scenario(flow()))])
        #expect(comparison.exitCode == 0)
        #expect(comparison.summary.flows == 1)
    }

    @Test("Times and ephemeral ports are no difference; the hosts beside the ports are")
    func volatileFields() {
        let later = record([
            "duration": "9", "upstream_service_time": "8", "upstream_local_address": "10.244.0.4:50002",
            "downstream_remote_address": "10.244.0.4:20044",
        ])
        #expect(fields(flow(), flow(records: [later])).isEmpty)
        #expect(
            fields(flow(), flow(records: [record(["upstream_local_address": "127.0.0.6:50002"])]))
                == ["access-log[sidecar default/sleep].upstream_local_address"])
    }

    @Test("Header fields have no order but among those of one name, and names keep their spelling")
    func headerOrder() {
        func header(_ name: String, _ value: String) -> ReceivedHeader { ReceivedHeader(name: name, value: value) }
        let a = [header("a", "1"), header("b", "1"), header("b", "2")]
        #expect(fields(flow(headers: a), flow(headers: [a[1], a[2], a[0]])).isEmpty)
        #expect(fields(flow(headers: a), flow(headers: [a[0], a[2], a[1]])) == ["headers.b"])
        #expect(fields(flow(headers: [header("Server", "x")]), flow(headers: [header("server", "x")])).count == 2)
    }

    @Test(
        "Dates, service times, ephemeral ports and the way a cut is seen may differ in texts",
        arguments: [
            ("date: Sat, 21 Nov 2026 15:16:23 GMT", "date: Sun, 22 Nov 2026 05:16:24 GMT"),
            ("x-envoy-upstream-service-time: 3", "x-envoy-upstream-service-time: 14"),
            (#""X-Envoy-Upstream-Service-Time": "3""#, #""X-Envoy-Upstream-Service-Time": "14""#),
            ("HTTP/1.1 200 OK\r\na: 1\r\nb: 2\r\n\r\n", "HTTP/1.1 200 OK\r\nb: 2\r\na: 1\r\n\r\n"),
            ("NotBefore: Nov 21 16:08:03 2026 GMT", "NotBefore: Dec  1 16:08:05 2026 GMT"),
            ("Serial Number:\n  d1:c9:45:b3:19:4b:b2:ed", "Serial Number:\n  28:7d:f8:bd:66:5b:49:25:83"),
            ("from 10.244.0.4:20001", "from 10.244.0.4:60999"), ("[fd00::1]:20001", "[fd00::1]:40000"),
            ("connection reset: Connection reset by peer", "closed without an answer"),
            (
                "TLS handshake failed: Connection reset by peer",
                "TLS handshake failed: the peer closed the connection during the handshake"
            ),
            (
                "curl: (7) Failed to connect to a.example port 443 after 11 ms: no",
                "curl: (7) Failed to connect to a.example port 443 after 4 ms: no"
            ),
            ("curl: (28) Connection timeout after 300 ms", "curl: (28) Resolving timed out after 302 milliseconds"),
        ])
    func volatileTexts(left: String, right: String) {
        #expect(fields(flow(error: left, body: left), flow(error: right, body: right)).isEmpty)
    }

    @Test(
        "Nothing that looks like it may",
        arguments: [
            ("Subject: CN = a", "Subject: CN = b"), ("0a:58:0a:f4:00:03", "0a:58:0a:f4:00:04"),
            ("10.244.0.4:20001", "10.244.0.5:20001"), ("10.244.0.4:15001", "10.244.0.4:15006"),
            ("TLS handshake failed: Connection reset by peer", "TLS handshake failed: the peer does not speak TLS"),
            ("HTTP/1.1 200 OK\r\na: 1\r\na: 2\r\n\r\n", "HTTP/1.1 200 OK\r\na: 2\r\na: 1\r\n\r\n"),
            ("x-envoy-attempt-count: 1", "x-envoy-attempt-count: 2"), ("curl: (28) a", "curl: (7) a"),
        ])
    func tellingTexts(left: String, right: String) {
        #expect(fields(flow(body: left), flow(body: right)) == ["body"])
    }

    @Test("Request ids may differ, but each must stand wherever its counterpart stands")
    func requestIDs() {
        let (first, second) = ("0b4cbbb5-6d14-4bcb-9b2f-1f2f6b3a9e01", "9a1de644-815e-46d1-bb8f-aa1837f8a88b")
        let right = flow(body: "id \(second)", records: [record(["request_id": second])])
        #expect(fields(flow(body: "id \(first)"), right).isEmpty)
        // The other side's proxy has logged an id that it did not hand on.
        let inconsistent = flow(
            body: "id 11111111-815e-46d1-bb8f-aa1837f8a88b", records: [record(["request_id": second])])
        #expect(fields(flow(body: "id \(first)"), inconsistent) == ["access-log[sidecar default/sleep].request_id"])
    }

    @Test("Sizes are compared, but not of TLS")
    func sizes() {
        let other = record(["bytes_sent": "332"])
        #expect(fields(flow(), flow(records: [other])) == ["access-log[sidecar default/sleep].bytes_sent"])
        let to = "https://a.example/get"
        #expect(fields(flow(to: to), flow(to: to, records: [other])).isEmpty)
    }

    @Test("Where a proxy draws lots, any of the equals will do, and only there")
    func choices() {
        let other = record(["upstream_host": "203.0.113.10:80"])
        let field = "access-log[sidecar default/sleep].upstream_host"
        #expect(fields(flow(), flow(records: [other])) == [field])
        #expect(
            fields(flow(), flow(records: [other]), choices: [["203.0.113.10:80", "203.0.113.9:80"]]).isEmpty)
        #expect(
            fields(flow(), flow(records: [other]), choices: [["203.0.113.11:80", "203.0.113.9:80"]]) == [field])
    }

    @Test("Another server of those that a node may draw is none, any other is")
    func choiceOfNode() {
        let (one, other) = (["stage": "request", "host": "a"], "pod default/web-2")
        let (left, right) = (flow(served: [one]), flow(served: [one], at: other))
        #expect(fields(left, right) == ["served.request.at"])
        #expect(fields(left, right, choices: [["internet", other]]).isEmpty)
        #expect(fields(left, right, choices: [["pod default/web-1", other]]) == ["served.request.at"])
    }

    @Test("A drawn host of the other family is reached from the proxy's address of that family")
    func choiceOfFamily() {
        let other = record([
            "upstream_host": "[2001:db8::9]:80", "upstream_local_address": "[fd00:10:244::4]:40002",
        ])
        let choices = [["203.0.113.9:80", "[2001:db8::9]:80"]]
        #expect(fields(flow(), flow(records: [other]), choices: choices).isEmpty)
        let alone = record(["upstream_local_address": "[fd00:10:244::4]:40002"])
        let field = "access-log[sidecar default/sleep].upstream_local_address"
        #expect(fields(flow(), flow(records: [alone]), choices: choices) == [field])
    }

    @Test("Of a drawn gateway's pods each has its own address")
    func choiceOfGateway() {
        func records(_ pod: String) -> [[String: String]] {
            [
                record(["upstream_host": "\(pod):8443"]),
                record(["downstream_local_address": "\(pod):8443", "upstream_local_address": "\(pod):40007"]),
            ]
        }
        let (left, right) = (flow(records: records("10.244.0.5")), flow(records: records("10.244.0.6")))
        let choices = [["10.244.0.5:8443", "10.244.0.6:8443"]]
        #expect(fields(left, right, choices: choices).isEmpty)
        #expect(!fields(left, right).isEmpty)
        // Where nothing was drawn, its own address is its own.
        let other = record(["upstream_local_address": "10.244.0.6:40007"])
        let one = record(["upstream_local_address": "10.244.0.5:40007"])
        #expect(
            fields(flow(records: [one]), flow(records: [other]), choices: choices) == [
                "access-log[sidecar default/sleep].upstream_local_address"
            ])
    }

    @Test("Durations differ when more than a second and more than half of the shorter one apart")
    func durations() {
        #expect(fields(flow(durationMs: 5), flow(durationMs: 900)).isEmpty)
        #expect(fields(flow(durationMs: 5), flow(durationMs: 1100)) == ["duration"])
        #expect(fields(flow(durationMs: 5000), flow(durationMs: 7000)).isEmpty)
        #expect(fields(flow(durationMs: 5000), flow(durationMs: 10_000)) == ["duration"])
    }
}

private enum VolatileFields {
    /// What a record says that is compared to the letter.
    static let exact: Set<String> = [
        "response_code", "response_flags", "bytes_received", "bytes_sent", "method", "path", "protocol",
        "response_code_details", "authority", "upstream_host", "upstream_cluster", "downstream_local_address",
        "route_name",
    ]
}
