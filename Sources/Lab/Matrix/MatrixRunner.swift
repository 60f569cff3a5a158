import Dispatch
package import Evidence
package import Manifests
package import Mesh
import NIOConcurrencyHelpers
import Netlink
import NetworkAddresses
import PolicyOracle

/// Asks every pair of a matrix and makes its tables.
///
/// Pairs of pods without proxies are asked by the prober, thousands a second; the others are flows like any.
package struct MatrixRunner: Sendable {
    private let lab: RunningLab
    private let plan: LabPlan
    private let flows: FlowRunner
    private let flowsAtOnce: Int

    /// - Parameter flowsAtOnce: how many of the flows are under way at once.
    package init(lab: RunningLab, plan: LabPlan, flows: FlowRunner, flowsAtOnce: Int) {
        self.lab = lab
        self.plan = plan
        self.flows = flows
        self.flowsAtOnce = flowsAtOnce
    }

    /// A question that the prober can't put.
    private struct Rest: Sendable {
        var cell: Int
        var flow: Flow
    }

    /// The answers to all questions of a matrix, compared with its kept table where it has one.
    package func run(_ matrix: Matrix) async throws -> MatrixResult {
        let start = ContinuousClock.now
        let ends = MatrixEnds(matrix, in: plan)
        guard !ends.sources.isEmpty, !ends.destinations.isEmpty else {
            throw LabError("the matrix at \(matrix.location) has no pods to ask")
        }
        var cells = [MatrixCell](
            repeating: .inconclusive, count: matrix.probes.count * ends.sources.count * ends.destinations.count)
        var reasons: [String: Int] = [:]
        var running: [PodID: RunningPod] = [:]
        for pod in await lab.allPods { running[pod.id] = pod }

        let quick = try await askQuickly(matrix, ends, running)
        var finding = quick.finding
        for answer in quick.answers {
            // What policies and kernel don't agree upon is nothing to rely on.
            cells[answer.cell] = finding.cells.contains(answer.cell) ? .inconclusive : answer.outcome
            if cells[answer.cell] == .denied, let drop = answer.drop { reasons[drop, default: 0] += 1 }
        }
        let open = Set(ends.destinations.compactMap(\.pod?.pod.id)).compactMap { running[$0] }
        if !quick.rest.isEmpty { try await lab.open(matrix.probes, in: open) }
        for (cell, result) in await ask(quick.rest) {
            let observed = result.observed
            cells[cell] = Self.cell(observed.outcome)
            if let disagreement = result.disagreements?.first {
                cells[cell] = .inconclusive
                finding.disagreements.append("\(result.from) to \(result.to): \(disagreement)")
            } else if observed.outcome == .denied {
                reasons[observed.causes.first ?? observed.reason, default: 0] += 1
            }
        }
        var result = MatrixResult(
            from: ends.sources.map(\.pod.matrixEnd), to: ends.destinations.map(\.end),
            tables: tables(matrix, ends, cells),
            denials: reasons.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map {
                MatrixResult.Denial(reason: $0.key, count: $0.value)
            }, durationMs: (ContinuousClock.now - start) / .milliseconds(1),
            location: "\(matrix.location.file):\(matrix.location.line)")
        result.disagreements = finding.disagreements.isEmpty ? nil : finding.disagreements
        result.ambiguous =
            finding.ambiguous.isEmpty
            ? nil
            : finding.ambiguous.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map {
                MatrixResult.Ambiguity(policies: $0.key, count: $0.value)
            }
        if let kept = matrix.expected { result.compare(with: kept) }
        return result
    }

    private func tables(_ matrix: Matrix, _ ends: MatrixEnds, _ cells: [MatrixCell]) -> [MatrixResult.Table] {
        let width = ends.destinations.count
        return matrix.probes.enumerated().map { number, probe in
            MatrixResult.Table(
                probe,
                rows: ends.sources.indices.map { row in
                    let first = (number * ends.sources.count + row) * width
                    return String(cells[first..<(first + width)].map(\.rawValue))
                })
        }
    }

    private static func cell(_ outcome: Outcome) -> MatrixCell {
        switch outcome {
        case .allowed, .escaped: .reached
        case .denied: .denied
        case .failed: .failed
        case .inconclusive: .inconclusive
        }
    }

    /// The addresses of a pair: of the first family that both have.
    private func addresses(_ source: PodPlan, _ destination: MatrixEnds.Destination, _ matrix: Matrix) -> IPAddress? {
        let own = source.pod.addresses.map(\.family).filter { matrix.family == nil || $0 == matrix.family }
        return own.lazy.compactMap { family in destination.addresses.first { $0.family == family } }.first
    }

    // MARK: The prober's part

    private struct Quick: Sendable {
        var answers: [MatrixProber.Answer]
        var rest: [Rest]
        var finding = Finding()
    }

    /// Where policies and kernel disagree, and where only the order of equal priorities decides.
    private struct Finding: Sendable {
        var disagreements: [String] = []
        var cells: Set<Int> = []
        var ambiguous: [String: Int] = [:]
    }

    private func askQuickly(
        _ matrix: Matrix, _ ends: MatrixEnds, _ running: [PodID: RunningPod]
    ) async throws -> Quick {
        let drain = await lab.packetLogDrain
        let witness = try MatrixWitness()
        let servers = Set(ends.destinations.compactMap(\.pod?.pod.id)).compactMap { running[$0] }
        lab.packetWitness.withLockedValue { $0 = witness }
        defer { lab.packetWitness.withLockedValue { $0 = nil } }
        return try await withCheckedThrowingContinuation { continuation in
            // It blocks: not a thread of the concurrency runtime's, nor of an event loop.
            DispatchQueue.global().async {
                let memory = ShortMemory(of: lab.nodeNamespaces)
                for pod in servers { pod.server?.suspend(matrix.probes) }
                let result = Result {
                    defer { memory.end() }
                    let quick = try probe(matrix, ends, running, witness: witness, drain: drain)
                    // The listeners are gone; whoever had their ports has them back.
                    ChildProcess.awaitSpawn()
                    for pod in servers {
                        try pod.server?.open(
                            tcp: pod.plan.tcpPorts, udp: pod.plan.udpPorts, sctp: pod.plan.answersSCTP)
                    }
                    return quick
                }
                continuation.resume(with: result)
            }
        }
    }

    private func probe(
        _ matrix: Matrix, _ ends: MatrixEnds, _ running: [PodID: RunningPod], witness: MatrixWitness,
        drain: @escaping () -> Void
    ) throws -> Quick {
        let listeners = MatrixListeners(witness)
        for (number, destination) in ends.destinations.enumerated() {
            guard let pod = destination.pod, !pod.hasProxy, let namespace = running[pod.pod.id]?.namespace else {
                continue
            }
            try namespace.enter {
                for address in destination.addresses {
                    for probe in matrix.probes {
                        let place = MatrixListeners.Place(
                            pod: number, family: address.family, transport: probe.transport, port: probe.port)
                        listeners.listen(at: IPEndpoint(address, probe.port), place)
                    }
                }
            }
        }
        let prober = MatrixProber(
            witness: witness, listeners: listeners, ports: lab.client.ports, drain: drain)
        var quick = Quick(answers: [], rest: [])
        let reasons = plan.nodes.reduce(into: [:]) { $0.merge($1.dropReasons) { own, _ in own } }
        for (row, source) in ends.sources.enumerated() {
            guard let namespace = running[source.pod.id]?.namespace else { continue }
            var questions: [MatrixProber.Question] = []
            for (number, probe) in matrix.probes.enumerated() {
                for (column, destination) in ends.destinations.enumerated() {
                    let cell = (number * ends.sources.count + row) * ends.destinations.count + column
                    guard let address = addresses(source, destination, matrix) else {
                        quick.answers.append(MatrixProber.Answer(cell: cell, outcome: .failed))
                        continue
                    }
                    let place = MatrixListeners.Place(
                        pod: column, family: address.family, transport: probe.transport, port: probe.port)
                    if !source.hasProxy, destination.pod == nil || listeners.places.contains(place) {
                        questions.append(
                            MatrixProber.Question(
                                transport: probe.transport, target: IPEndpoint(address, probe.port), cell: cell))
                    } else {
                        let flow = flow(probe, from: source, to: address, destination, matrix, number: cell)
                        quick.rest.append(Rest(cell: cell, flow: flow))
                    }
                }
            }
            let start = lab.recorder.nowMs
            let answers = try prober.ask(
                questions, from: MatrixProber.Source(namespace: namespace, addresses: source.pod.addresses))
            compare(answers, at: start...max(start, lab.recorder.nowMs), matrix, ends, reasons, &quick.finding)
            quick.answers += answers
        }
        return quick
    }

    /// Has the policies say a second time what they say of each question.
    private func compare(
        _ answers: [MatrixProber.Answer], at times: ClosedRange<Double>, _ matrix: Matrix, _ ends: MatrixEnds,
        _ reasons: [String: DropReason], _ finding: inout Finding
    ) {
        guard let policies = flows.policies else { return }
        let known = answers.filter { answer in
            guard answer.packet != nil, answer.outcome == .reached || answer.outcome == .denied else { return false }
            // What Services drop, policies never see.
            return answer.drop.map { ServiceDrop(prefix: $0) == nil && reasons[$0]?.service == nil } ?? true
        }
        let asked = known.compactMap { answer -> PolicyComparison.Asked? in
            guard let packet = answer.packet else { return nil }
            let (question, cell) = (packet.question, answer.cell)
            // The firewall at the boundary comes after the policies.
            let drop = answer.drop == LabConstants.firewallPrefix ? nil : answer.drop
            return PolicyComparison.Asked(
                packet: PolicyPacket(
                    transport: question.transport, source: packet.source, destination: packet.destination,
                    isTranslated: packet.destination != question.target), drop: drop,
                name: { Self.name(cell, matrix, ends) })
        }
        let compared = policies.compare(asked, at: times)
        for (answer, disagreement) in zip(known, compared.disagreements) {
            guard let disagreement else { continue }
            finding.disagreements.append(disagreement)
            finding.cells.insert(answer.cell)
        }
        finding.ambiguous.merge(compared.ambiguous, uniquingKeysWith: +)
    }

    /// `TCP 80, default/a to default/b`.
    private static func name(_ cell: Int, _ matrix: Matrix, _ ends: MatrixEnds) -> String {
        let (row, column) = (cell / ends.destinations.count, cell % ends.destinations.count)
        let probe = matrix.probes[row / ends.sources.count]
        return "\(probe), \(ends.sources[row % ends.sources.count].pod.id) to \(ends.destinations[column].end.name)"
    }

    // MARK: The rest

    private func flow(
        _ probe: MatrixProbe, from source: PodPlan, to address: IPAddress, _ destination: MatrixEnds.Destination,
        _ matrix: Matrix, number: Int
    ) -> Flow {
        let isQuestion =
            probe.transport == .udp && probe.port == LabConstants.dnsPort && destination.pod?.pod.id == plan.dns.pod
        // A proxy that expects HTTP takes nothing else, and one that does not takes that, too.
        let scheme: Flow.Scheme =
            switch probe.transport {
            case .sctp: .sctp
            case .udp: isQuestion ? .dns : .udp
            default: .http
            }
        let id = source.pod.id
        return Flow(
            id: "matrix-\(number)", location: matrix.location,
            from: .workload(WorkloadReference(namespace: id.namespace, name: id.name)),
            to: "\(scheme.rawValue)://\(destination.end.name):\(probe.port)", scheme: scheme, host: .address(address),
            port: probe.port, path: isQuestion ? "kubernetes.default.svc.\(plan.dns.clusterDomain)" : "/",
            expect: FlowExpectation(outcome: .allowed))
    }

    private func ask(_ rest: [Rest]) async -> [(cell: Int, result: FlowResult)] {
        await withTaskGroup(of: (Int, FlowResult).self) { group in
            var waiting = rest.makeIterator()
            func add() {
                guard let next = waiting.next() else { return }
                group.addTask { (next.cell, await flows.run(next.flow)) }
            }
            for _ in 0..<flowsAtOnce { add() }
            var answers: [(Int, FlowResult)] = []
            for await answer in group {
                answers.append(answer)
                add()
            }
            return answers
        }
    }
}

extension PodPlan {
    /// True where something stands between the pod's applications and its link.
    fileprivate var hasProxy: Bool { pod.capture != nil || agent != nil }
}
