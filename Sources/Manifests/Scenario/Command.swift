/// A real program run in a pod.
package struct Command: Sendable, Equatable {
    package struct Expectation: Sendable, Equatable {
        /// Compared whole.
        package var stdout: String?
        package var stderr: String?
        package var stdoutContains: [String]
        package var stdoutLacks: [String]
        package var stderrContains: [String]
        package var exitCode: Int

        package init(
            stdout: String? = nil, stderr: String? = nil, stdoutContains: [String] = [], stdoutLacks: [String] = [],
            stderrContains: [String] = [], exitCode: Int = 0
        ) {
            self.stdout = stdout
            self.stderr = stderr
            self.stdoutContains = stdoutContains
            self.stdoutLacks = stdoutLacks
            self.stderrContains = stderrContains
            self.exitCode = exitCode
        }
    }

    package var location: SourceLocation
    package var `in`: WorkloadReference
    /// Run by `sh -c`.
    package var run: String
    package var uid: UInt32?
    package var gid: UInt32?
    /// The command is ended after this long.
    package var timeoutMs: Int
    package var expect: Expectation

    package init(
        location: SourceLocation, in reference: WorkloadReference, run: String, uid: UInt32? = nil, gid: UInt32? = nil,
        timeoutMs: Int = 60_000, expect: Expectation = Expectation()
    ) {
        self.location = location
        self.in = reference
        self.run = run
        self.uid = uid
        self.gid = gid
        self.timeoutMs = timeoutMs
        self.expect = expect
    }
}

/// A check on logs or statistics after a step's traffic.
package struct Assertion: Sendable, Equatable {
    package enum Check: Sendable, Equatable {
        /// A record of the proxy's access log, written during this step, has all these values (JSON key names);
        /// `count` of them where given, at least one otherwise.
        case logContains([String: String], count: Int?)
        /// No record of this step has all these values.
        case logLacks([String: String])
        /// A formatted line of this step's log contains the text; where `file` is given, of the access log of that path.
        case logLine(String, file: String?)
        case statistic(name: String, StatisticCheck)
        /// The sum of one of Istio's metrics over all series with these labels.
        case metric(name: String, labels: [String: String], StatisticCheck)
    }

    package enum StatisticCheck: Sendable, Equatable {
        case equals(UInt64)
        case atLeast(UInt64)
        case atMost(UInt64)
    }

    package var location: SourceLocation
    package var of: WorkloadReference
    package var check: Check

    package init(location: SourceLocation, of reference: WorkloadReference, check: Check) {
        self.location = location
        self.of = reference
        self.check = check
    }
}
