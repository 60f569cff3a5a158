import ArgumentParser
import Glibc
import Manifests

/// Which of the scenarios found are run.
struct Selection: ParsableArguments {
    @Option(help: ArgumentHelp("Only scenarios whose name matches.", valueName: "name-glob"))
    var filter: String?

    @Option(
        help: ArgumentHelp("Only scenarios with this tag; more than one may be named, each will do.", valueName: "tag"))
    var tag: [String] = []

    @Option(help: ArgumentHelp("No scenario with this tag; more than one may be named.", valueName: "tag"))
    var skipTag: [String] = []

    @Option(help: ArgumentHelp("Only the I-th of N parts, for several machines.", valueName: "i/n"))
    var shard: Shard?

    /// The scenarios wanted, in their order.
    func selected(of scenarios: [Scenario]) -> [Scenario] {
        let wanted = scenarios.filter { scenario in
            (filter.map { fnmatch($0, scenario.name, 0) == 0 } ?? true)
                && (tag.isEmpty || tag.contains { scenario.tags.contains($0) })
                && !skipTag.contains { scenario.tags.contains($0) }
        }
        return shard.map { $0.part(of: wanted) } ?? wanted
    }
}

/// `2/3`: the second of three parts. Parts take turns, so that each gets its share of any directory.
struct Shard: ExpressibleByArgument, Equatable {
    var number: Int
    var count: Int

    init?(argument: String) {
        let parts = argument.split(separator: "/", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 2, let number = parts[0], let count = parts[1], count > 0, (1...count).contains(number)
        else { return nil }
        (self.number, self.count) = (number, count)
    }

    func part<Element>(of elements: [Element]) -> [Element] {
        elements.enumerated().filter { $0.offset % count == number - 1 }.map(\.element)
    }
}
