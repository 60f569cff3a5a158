import Dispatch
package import Evidence
package import Manifests
package import Mesh
import NIOConcurrencyHelpers
import Netlink
import NetworkAddresses

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
        for answer in quick.answers {
            cells[answer.cell] = answer.outcome
            if answer.outcome == .denied, let drop = answer.drop { reasons[drop, default: 0] += 1 }
        }
        let open = Set(ends.destinations.compactMap(\.pod?.pod.id)).compactMap { running[$0] }
        if !quick.rest.isEmpty { try await lab.open(matrix.probes, in: open) }
        for (cell, observed) in await ask(quick.rest) {
            cells[cell] = Self.cell(observed.outcome)
            if observed.outcome == .denied {
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
                    for pod in servers { try pod.server?.open(tcp: pod.plan.tcpPorts, udp: pod.plan.udpPorts) }
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
            quick.answers += try prober.ask(
                questions, from: MatrixProber.Source(namespace: namespace, addresses: source.pod.addresses))
        }
        return quick
    }

    // MARK: The rest

    private func flow(
        _ probe: MatrixProbe, from source: PodPlan, to address: IPAddress, _ destination: MatrixEnds.Destination,
        _ matrix: Matrix, number: Int
    ) -> Flow {
        let isQuestion =
            probe.transport == .udp && probe.port == LabConstants.dnsPort && destination.pod?.pod.id == plan.dns.pod
        // A proxy that expects HTTP takes nothing else, and one that does not takes that, too.
        let scheme: Flow.Scheme = isQuestion ? .dns : probe.transport == .udp ? .udp : .http
        let id = source.pod.id
        return Flow(
            id: "matrix-\(number)", location: matrix.location,
            from: .workload(WorkloadReference(namespace: id.namespace, name: id.name)),
            to: "\(scheme.rawValue)://\(destination.end.name):\(probe.port)", scheme: scheme, host: .address(address),
            port: probe.port, path: isQuestion ? "kubernetes.default.svc.\(plan.dns.clusterDomain)" : "/",
            expect: FlowExpectation(outcome: .allowed))
    }

    private func ask(_ rest: [Rest]) async -> [(cell: Int, observed: FlowResult.Observed)] {
        await withTaskGroup(of: (Int, FlowResult.Observed).self) { group in
            var waiting = rest.makeIterator()
            func add() {
                guard let next = waiting.next() else { return }
                group.addTask {
                    let result = await flows.run(next.flow)
                    var observed = result.observed
                    // What policies and kernel don't agree upon is nothing to rely on.
                    if result.disagreements?.isEmpty == false { observed.outcome = .inconclusive }
                    return (next.cell, observed)
                }
            }
            for _ in 0..<flowsAtOnce { add() }
            var answers: [(Int, FlowResult.Observed)] = []
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
