/// What a mesh shows when it is run again: two proxies that decide differently do so each time, two runs of one machine
/// may differ once.
struct Confirmation: Sendable, Equatable {
    /// How often a mesh that differs is run again before its difference counts as one of the moment.
    static let repetitions = 2

    /// Differences of flows that differed again, in whatever: the first run's.
    private(set) var confirmed: [Finding] = []
    /// Those that showed in one run only, the first or a later one.
    private(set) var unstable: [Finding] = []

    /// - Parameter again: the findings of each further run.
    init(first: [Finding], again: [[Finding]]) {
        let runs = [first] + again
        func count(_ finding: Finding) -> Int { runs.count { $0.contains { $0.isAboutSame(as: finding) } } }
        for (number, run) in runs.enumerated() {
            for finding in run where number == 0 || !runs[..<number].joined().contains(where: finding.isAboutSame) {
                if count(finding) > 1 { confirmed.append(finding) } else { unstable.append(finding) }
            }
        }
    }

    /// True when a further run can't change anything.
    var isComplete: Bool { unstable.isEmpty }
}

extension Finding {
    fileprivate func isAboutSame(as other: Finding) -> Bool {
        (step, kind, subject) == (other.step, other.kind, other.subject)
    }
}

extension Confirmation: CustomStringConvertible {
    var description: String {
        (confirmed.map { "\($0.subject) \(DifferenceKind($0))" }
            + unstable.map { "\($0.subject) \(DifferenceKind($0)) (unstable)" }).joined(separator: "; ")
    }
}
