extension ScenarioPass {
    /// Reads one element of a step's `commands`.
    func command(_ field: FieldReader) -> Command? {
        guard field.check("in run uid gid timeout expect") else { return nil }
        let reference = field.required("in").flatMap { self.reference($0) }
        let run = field.required("run").flatMap { $0.text }
        // The rest is read even when something is missing, for what is to be said of it.
        var command = Command(
            location: field.location, in: reference ?? WorkloadReference(namespace: "", name: ""), run: run ?? "",
            uid: field["uid"]?.userID, gid: field["gid"]?.userID)
        if let timeout = field["timeout"] {
            if timeout.node.scalarType == .string {
                command.timeoutMs = timeout.milliseconds ?? command.timeoutMs
            } else {
                command.timeoutMs = timeout.number.map { Int($0 * 1000) } ?? command.timeoutMs
            }
        }
        if let expect = field["expect"] { command.expect = Command.Expectation(reading: expect) }
        return reference == nil || run == nil ? nil : command
    }

    /// Reads one element of a step's `assert`; a map with several checks gives several assertions.
    func assertions(_ field: FieldReader) -> [Assertion] {
        guard field.isMapping else {
            field.check("")
            return []
        }
        if field["stat"] != nil { return statistic(field) }
        if field["metric"] != nil { return metric(field) }
        guard field.check("log contains lacks count line file stat name equals atLeast atMost") else { return [] }
        guard let log = field["log"] else {
            field.error("an assertion needs log, stat or metric")
            return []
        }
        for name in ["name", "equals", "atLeast", "atMost"] where field[name] != nil {
            field[name]?.error("belongs to stat, not to log")
        }
        guard let reference = logged(log) else { return [] }
        var checks: [Assertion.Check] = []
        let count = field["count"]?.integer()
        if let contains = field["contains"] {
            checks.append(.logContains(Self.values(contains), count: count))
        } else {
            field["count"]?.error("count needs contains")
        }
        if let lacks = field["lacks"] { checks.append(.logLacks(Self.values(lacks))) }
        if let line = field["line"] {
            checks += line.listOrSelf.compactMap(\.text).map { .logLine($0, file: field["file"]?.string) }
        }
        if field["line"] == nil { field["file"]?.error("file needs line") }
        if checks.isEmpty { field.error("an assertion on a log needs contains, lacks or line") }
        return checks.map { Assertion(location: field.location, of: reference, check: $0) }
    }

    /// Whose log it is: a workload's, or that of Istio 1.0's telemetry service.
    private func logged(_ field: FieldReader) -> WorkloadReference? {
        guard let named = named(field) else { return nil }
        guard MixerTelemetry.isNamed(by: named), !cluster.contains(named) else {
            return cluster.check(named, field) ? named : nil
        }
        guard compatibility == .istio10 else {
            field.error(
                "there is no telemetry service in today's Istio",
                remedy: "write compatibility: istio-1.0, or assert the proxy's own log")
            return nil
        }
        return named
    }

    private func statistic(_ field: FieldReader) -> [Assertion] {
        guard field.check("stat name equals atLeast atMost"), let stat = field["stat"],
            let reference = reference(stat), let name = field.required("name")?.text
        else { return [] }
        return checks(field, "statistic").map {
            Assertion(location: field.location, of: reference, check: .statistic(name: name, $0))
        }
    }

    private static let metricNames: [String] =
        [
            "istio_requests_total", "istio_tcp_connections_opened_total", "istio_tcp_connections_closed_total",
            "istio_tcp_sent_bytes_total", "istio_tcp_received_bytes_total",
        ]
        + ["istio_request_duration_milliseconds", "istio_request_bytes", "istio_response_bytes"].flatMap {
            [$0 + "_count", $0 + "_sum"]
        }

    private static let metricLabels: FieldNames = """
        reporter source_workload source_canonical_service source_canonical_revision source_workload_namespace
        source_principal source_app source_version source_cluster destination_workload destination_workload_namespace
        destination_principal destination_app destination_version destination_service destination_canonical_service
        destination_canonical_revision destination_service_name destination_service_namespace destination_cluster
        request_protocol response_code grpc_response_status response_flags connection_security_policy
        """

    private func metric(_ field: FieldReader) -> [Assertion] {
        guard field.check("metric name labels equals atLeast atMost"), let metric = field["metric"],
            let reference = reference(metric), let name = field.required("name")?.choice(of: Self.metricNames)
        else { return [] }
        field["labels"]?.check(Self.metricLabels)
        let labels = field["labels"].map(Self.values) ?? [:]
        return checks(field, "metric").map {
            Assertion(location: field.location, of: reference, check: .metric(name: name, labels: labels, $0))
        }
    }

    private func checks(_ field: FieldReader, _ subject: String) -> [Assertion.StatisticCheck] {
        func count(_ key: String) -> UInt64? { field[key]?.integer(0...Int.max).map { UInt64($0) } }
        var checks: [Assertion.StatisticCheck] = []
        if let value = count("equals") { checks.append(.equals(value)) }
        if let value = count("atLeast") { checks.append(.atLeast(value)) }
        if let value = count("atMost") { checks.append(.atMost(value)) }
        if ["equals", "atLeast", "atMost"].allSatisfy({ field[$0] == nil }) {
            field.error("an assertion on a \(subject) needs equals, atLeast or atMost")
        }
        return checks
    }

    /// The values that a log record must have; null stands for `-`, as the log prints what is absent.
    private static func values(_ field: FieldReader) -> [String: String] {
        var result: [String: String] = [:]
        for entry in field.entries {
            result[entry.key] = entry.field.node.isNull ? "-" : entry.field.text
        }
        return result
    }
}

extension Command.Expectation {
    /// Reads what a command should print and how it should end.
    init(reading field: FieldReader) {
        self.init()
        guard field.check("stdout stderr exitCode stdoutContains stdoutLacks stderrContains") else { return }
        stdout = field["stdout"]?.text
        stderr = field["stderr"]?.text
        exitCode = field["exitCode"]?.integer(0...255) ?? 0
        stdoutContains = field["stdoutContains"]?.listOrSelf.compactMap(\.text) ?? []
        stdoutLacks = field["stdoutLacks"]?.listOrSelf.compactMap(\.text) ?? []
        stderrContains = field["stderrContains"]?.listOrSelf.compactMap(\.text) ?? []
    }
}
