package import Manifests

/// What a run found: the one source of every report. Encodes as `egress-lab/results/v1`.
package struct RunResult: Codable, Sendable {
    package static let schemaName = "egress-lab/results/v1"

    package var schema = RunResult.schemaName
    package var scenarios: [ScenarioResult]
    package var summary: Summary

    package init(scenarios: [ScenarioResult]) {
        self.scenarios = scenarios
        self.summary = Summary(of: scenarios)
    }

    /// The exit status that the run deserves: 4 before 1 before 0.
    package var exitCode: Int32 {
        if scenarios.contains(where: { $0.result == .error }) || summary.inconclusive > 0 { return 4 }
        return scenarios.contains(where: { $0.result == .failed }) ? 1 : 0
    }
}

package struct Summary: Codable, Sendable, Equatable {
    package var scenarios = 0
    package var flows = 0
    package var allowed = 0
    package var denied = 0
    package var escaped = 0
    package var failed = 0
    package var inconclusive = 0
    /// Flows that did not do what was expected of them.
    package var unexpected = 0

    package init(of results: [ScenarioResult]) {
        scenarios = results.count
        for flow in results.flatMap(\.steps).flatMap(\.flows) {
            flows += 1
            if !flow.passed { unexpected += 1 }
            switch flow.observed.outcome {
            case .allowed: allowed += 1
            case .denied: denied += 1
            case .escaped: escaped += 1
            case .failed: failed += 1
            case .inconclusive: inconclusive += 1
            }
        }
    }
}

package struct ScenarioResult: Codable, Sendable {
    package enum Result: String, Codable, Sendable {
        case passed, failed
        /// The lab itself failed, or evidence was lost.
        case error
    }

    package struct Timings: Codable, Sendable {
        package var planMs = 0.0
        package var setUpMs = 0.0
        package var trafficMs = 0.0
        package var tearDownMs = 0.0

        package init() {}
    }

    package var name: String
    package var title: String
    package var path: String
    package var dataPlane: String
    package var result: Result
    /// Why `result` is `error`.
    package var error: String?
    package var durationMs: Double
    package var timings: Timings
    package var assumptions: [String]
    package var steps: [StepResult]

    package init(
        name: String, title: String, path: String, dataPlane: String, result: Result, error: String? = nil,
        durationMs: Double = 0, timings: Timings = Timings(), assumptions: [String] = [], steps: [StepResult] = []
    ) {
        self.name = name
        self.title = title
        self.path = path
        self.dataPlane = dataPlane
        self.result = result
        self.error = error
        self.durationMs = durationMs
        self.timings = timings
        self.assumptions = assumptions
        self.steps = steps
    }

    /// Derives `result` from the steps; an error stays an error.
    package mutating func conclude() {
        guard error == nil else {
            result = .error
            return
        }
        if steps.flatMap(\.flows).contains(where: { $0.observed.outcome == .inconclusive }) {
            result = .error
            error = "the evidence of at least one flow is incomplete or contradicts itself"
        } else if let flow = steps.flatMap(\.flows).first(where: { $0.disagreements?.isEmpty == false }) {
            result = .error
            error = "flow \(flow.id): policies and kernel disagree: \(flow.disagreements?.first ?? "")"
        } else if let disagreements = steps.lazy.compactMap(\.matrix?.disagreements).first(where: { !$0.isEmpty }) {
            result = .error
            let more = disagreements.count > 1 ? " (and \(disagreements.count - 1) more)" : ""
            error = "a matrix: policies and kernel disagree: \(disagreements[0])\(more)"
        } else if let matrix = steps.lazy.compactMap(\.matrix).first(where: { $0.summary.inconclusive > 0 }) {
            result = .error
            error = "\(matrix.summary.inconclusive) probes of a matrix neither arrived nor were dropped"
        } else {
            result = steps.allSatisfy(\.passed) ? .passed : .failed
        }
    }
}

package struct StepResult: Codable, Sendable {
    package var name: String
    /// Where proxies choose among equals while the step lasts: the hosts of a cluster, the clusters of a weighted route.
    /// Any value of a set might as well have been another one of it. nil: nowhere.
    package var choices: [[String]]?
    package var flows: [FlowResult]
    /// nil: the step asks none.
    package var matrix: MatrixResult?
    package var probes: [ProbeResult]
    package var commands: [CommandResult]
    package var assertions: [AssertionResult]

    package init(
        name: String, choices: [[String]]? = nil, flows: [FlowResult] = [],
        matrix: MatrixResult? = nil, probes: [ProbeResult] = [], commands: [CommandResult] = [],
        assertions: [AssertionResult] = []
    ) {
        self.name = name
        self.choices = choices
        self.flows = flows
        self.matrix = matrix
        self.probes = probes
        self.commands = commands
        self.assertions = assertions
    }

    package var passed: Bool {
        flows.allSatisfy(\.passed) && matrix?.passed ?? true && commands.allSatisfy(\.passed)
            && assertions.allSatisfy(\.passed)
    }
}

package struct FlowResult: Codable, Sendable {
    package struct Observed: Codable, Sendable {
        package var outcome: Outcome
        package var by: Enforcer?
        package var path: [String]
        package var status: Int?
        package var error: String?
        /// How far the exchange came before `error`: `resolution`, `refused`, `emptyReply`, …
        package var errorStage: String?
        /// The answer's header fields in their order; nil where there was no HTTP answer.
        package var headers: [ReceivedHeader]?
        /// What the client received; nil where that was nothing.
        package var body: ReceivedBody?
        package var durationMs: Double
        /// What the outcome rests on, in a sentence.
        package var reason: String
        /// Manifest lines that caused a denial or an escape.
        package var causes: [String]
        /// For an escape: the way around.
        package var technique: String?

        package init(
            outcome: Outcome, by: Enforcer? = nil, path: [String] = [], status: Int? = nil, error: String? = nil,
            errorStage: String? = nil, headers: [ReceivedHeader]? = nil, body: ReceivedBody? = nil,
            durationMs: Double = 0, reason: String = "", causes: [String] = [], technique: String? = nil
        ) {
            self.outcome = outcome
            self.by = by
            self.path = path
            self.status = status
            self.error = error
            self.errorStage = errorStage
            self.headers = headers
            self.body = body
            self.durationMs = durationMs
            self.reason = reason
            self.causes = causes
            self.technique = technique
        }

        package func encode(to encoder: any Encoder) throws {
            // Fixed keys, null where there is nothing: readers need no existence checks.
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(outcome, forKey: .outcome)
            try container.encode(by, forKey: .by)
            try container.encode(path, forKey: .path)
            try container.encode(status, forKey: .status)
            try container.encode(error, forKey: .error)
            try container.encode(errorStage, forKey: .errorStage)
            try container.encode(headers, forKey: .headers)
            try container.encode(body, forKey: .body)
            try container.encode(durationMs, forKey: .durationMs)
            try container.encode(reason, forKey: .reason)
            try container.encode(causes, forKey: .causes)
            try container.encode(technique, forKey: .technique)
        }
    }

    package struct EvidenceItem: Codable, Sendable {
        package enum Kind: String, Codable, Sendable {
            case packet, drop
            case accessLog = "access-log"
            case served, client
        }

        package var at: String
        package var kind: Kind
        package var detail: [String: String]

        package init(at: String, kind: Kind, detail: [String: String]) {
            self.at = at
            self.kind = kind
            self.detail = detail
        }
    }

    package var id: String
    package var from: String
    package var to: String
    package var expected: Expected
    package var passed: Bool
    /// What differs from the expectation, each in a sentence; empty when it passed.
    package var mismatches: [String]
    package var observed: Observed
    package var evidence: [EvidenceItem]
    /// Where the scenario asks for the flow: `file:line`.
    package var location: String
    /// What the policies, evaluated a second time, say otherwise than the kernel did; nil: nothing.
    package var disagreements: [String]?

    package init(
        id: String, from: String, to: String, expected: Expected, passed: Bool, mismatches: [String] = [],
        observed: Observed, evidence: [EvidenceItem] = [], location: String, disagreements: [String]? = nil
    ) {
        self.id = id
        self.from = from
        self.to = to
        self.expected = expected
        self.passed = passed
        self.mismatches = mismatches
        self.observed = observed
        self.evidence = evidence
        self.location = location
        self.disagreements = disagreements
    }
}

/// A flow's expectation as the results repeat it: only what was asked for.
package struct Expected: Codable, Sendable, Equatable {
    package var outcome: Outcome
    package var by: Enforcer?
    package var path: [String]?
    package var status: Int?
    package var headers: [String: String?]?
    package var body: String?
    /// `3s..4s`.
    package var duration: String?
    package var error: String?

    package init(_ expectation: FlowExpectation) {
        outcome = expectation.outcome
        by = expectation.by
        path = expectation.path
        status = expectation.status
        headers = expectation.headers.isEmpty ? nil : expectation.headers
        body = expectation.body
        duration = expectation.durationMs.map { "\($0.lowerBound / 1000)s..\($0.upperBound / 1000)s" }
        error = expectation.error
    }
}

/// One bypass technique tried.
package struct ProbeResult: Codable, Sendable {
    package enum Result: String, Codable, Sendable { case contained, escaped }

    package var technique: String
    package var from: String
    package var result: Result
    package var evidence: [FlowResult.EvidenceItem]
}

package struct CommandResult: Codable, Sendable {
    package var `in`: String
    package var run: String
    package var exitCode: Int
    package var stdout: String
    package var stderr: String
    package var durationMs: Double
    package var passed: Bool
    package var mismatches: [String]
    package var location: String

    package init(
        in pod: String, run: String, exitCode: Int, stdout: String, stderr: String, durationMs: Double, passed: Bool,
        mismatches: [String], location: String
    ) {
        self.in = pod
        self.run = run
        self.exitCode = exitCode
        self.stdout = stdout
        self.stderr = stderr
        self.durationMs = durationMs
        self.passed = passed
        self.mismatches = mismatches
        self.location = location
    }
}

package struct AssertionResult: Codable, Sendable {
    package var passed: Bool
    package var message: String
    /// The statistic's value, or how many records or lines of the log matched; nil where there was nobody to ask.
    package var observed: UInt64?
    /// True where the pod's own program goes on calling: what is observed depends on when.
    package var growsWithTime: Bool?
    package var location: String

    package init(
        passed: Bool, message: String, observed: UInt64? = nil, growsWithTime: Bool? = nil, location: String
    ) {
        self.passed = passed
        self.message = message
        self.observed = observed
        self.growsWithTime = growsWithTime
        self.location = location
    }
}
