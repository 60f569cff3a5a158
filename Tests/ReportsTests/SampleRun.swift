import Evidence
import Manifests

/// A run with one flow of each kind that a report tells apart.
enum SampleRun {
    static var result: RunResult { RunResult(scenarios: [mixed, clean, broken]) }

    static var mixed: ScenarioResult {
        var scenario = ScenarioResult(
            name: "mixed", title: "Allowed, denied and escaped side by side",
            path: "scenarios/mixed/scenario.yaml",
            dataPlane: "bundled", result: .passed, durationMs: 212.4,
            assumptions: ["ipBlock sees the pod's address"],
            steps: [first, second])
        scenario.conclude()
        return scenario
    }

    static var clean: ScenarioResult {
        ScenarioResult(
            name: "clean", title: "", path: "scenarios/clean/scenario.yaml", dataPlane: "bundled",
            result: .passed,
            durationMs: 3210, steps: [StepResult(name: "all is well", flows: [allowed])])
    }

    static var broken: ScenarioResult {
        ScenarioResult(
            name: "broken", title: "A crash is no pass", path: "scenarios/broken/scenario.yaml",
            dataPlane: "bundled", result: .error,
            error: "the worker ended with signal 9 before it reported")
    }

    static var allowed: FlowResult {
        flow(
            "cnn", to: "https://edition.cnn.com/politics",
            FlowExpectation(outcome: .allowed, path: ["sidecar"]),
            FlowResult.Observed(
                outcome: .allowed, path: ["sidecar default/sleep"], status: 200, durationMs: 4.25,
                reason: "it arrived at 203.0.113.67:443"),
            line: 21)
    }

    private static var first: StepResult {
        StepResult(
            name: "the registry decides",
            flows: [
                allowed,
                flow(
                    "unknown", to: "http://www.example.org/", FlowExpectation(outcome: .denied, by: .sidecar),
                    FlowResult.Observed(
                        outcome: .denied, by: .sidecar, path: ["sidecar default/sleep"], status: 502,
                        durationMs: 1,
                        reason: "sidecar default/sleep refused it: route block_all, 502",
                        causes: ["ConfigMap istio-system/istio mesh.outboundTrafficPolicy, mesh.yaml:8"]),
                    line: 22),
                flow(
                    "as-the-proxy", to: "https://edition.cnn.com/politics",
                    FlowExpectation(outcome: .escaped),
                    FlowResult.Observed(
                        outcome: .escaped, status: 200, durationMs: 2,
                        reason:
                            "a packet crossed the boundary, and no proxy's log has a connection of its tuple",
                        causes: ["Deployment default/sleep spec.template.spec.containers[0], sleep.yaml:31"],
                        technique: "uid-1337"),
                    line: 23),
            ],
            commands: [
                CommandResult(
                    in: "default/sleep",
                    run: "curl -sS -o /dev/null -w '%{http_code}' https://edition.cnn.com/",
                    exitCode: 0, stdout: "200", stderr: "", durationMs: 30, passed: true, mismatches: [],
                    location: "scenarios/mixed/scenario.yaml:30:9")
            ],
            assertions: [
                AssertionResult(
                    passed: true, message: "default/sleep logged response_code 502",
                    location: "scenario.yaml:33:9")
            ])
    }

    private static var second: StepResult {
        StepResult(
            name: "UDP is nobody's business",
            flows: [
                flow(
                    "dns-tunnel", from: "legacy/reports-generator",
                    to: "udp://[2001:db8:dead:beef:1111:2222:3333:4444]:5353",
                    FlowExpectation(outcome: .denied, by: .networkPolicy),
                    FlowResult.Observed(
                        outcome: .escaped, durationMs: 0.5,
                        reason: "a datagram crossed the boundary, and no capture rule takes UDP",
                        causes: ["NetworkPolicy legacy/only-tcp spec.egress[0], policy.yaml:12"],
                        technique: "udp"),
                    mismatches: [
                        "expected denied, observed escaped", "expected by network-policy, observed nobody",
                    ],
                    evidence: [
                        FlowResult.EvidenceItem(
                            at: "node/boundary", kind: .packet,
                            detail: [
                                "tuple": "udp [fd00::7]:40000 -> [2001:db8:dead:beef:1111:2222:3333:4444]:5353"
                            ])
                    ], line: 40),
                flow(
                    "nobody-home", to: "tcp://203.0.113.9:9", FlowExpectation(outcome: .allowed, status: 200),
                    FlowResult.Observed(
                        outcome: .failed, error: "connection refused\u{1b}[2J", durationMs: 1200,
                        reason: "nobody listened at 203.0.113.9:9"),
                    mismatches: ["expected allowed, observed failed", "expected status 200, observed none"],
                    line: 41),
                flow(
                    "lost", to: "tcp://203.0.113.10:80", FlowExpectation(outcome: .allowed),
                    FlowResult.Observed(
                        outcome: .inconclusive, durationMs: 1, reason: "2 netlink messages were lost"),
                    mismatches: ["expected allowed, observed inconclusive"], line: 42),
            ],
            commands: [
                CommandResult(
                    in: "default/sleep", run: "curl https://edition.cnn.com/", exitCode: 35, stdout: "",
                    stderr: "curl: (35) <alert> & \"handshake\"\nsecond line", durationMs: 30, passed: false,
                    mismatches: ["expected exit code 0, observed 35"],
                    location: "scenarios/mixed/scenario.yaml:50:9")
            ],
            assertions: [
                AssertionResult(
                    passed: false, message: "default/sleep logged nothing with authority edition.cnn.com",
                    location: "scenarios/mixed/scenario.yaml:55:9")
            ])
    }

    private static func flow(
        _ id: String, from: String = "default/sleep", to: String, _ expectation: FlowExpectation,
        _ observed: FlowResult.Observed, mismatches: [String] = [],
        evidence: [FlowResult.EvidenceItem] = [], line: Int
    ) -> FlowResult {
        FlowResult(
            id: id, from: from, to: to, expected: Expected(expectation), passed: mismatches.isEmpty,
            mismatches: mismatches, observed: observed, evidence: evidence,
            location: "scenarios/mixed/scenario.yaml:\(line):9")
    }
}
