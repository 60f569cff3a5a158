import Manifests

/// What the command line says.
struct Options {
    static let usage = """
        usage: egress-lab-differential [OPTION=VALUE…]
          seed=N     which meshes (1)
          count=N    how many (200)
          first=N    the index of the first one (0)
          jobs=N     how many labs at a time (4): most of them wait for an answer that never comes
          shrink=N   how many differences are made small, each of another kind (5)
          tries=N    how many labs that may take for each (200)
          left=PLANE, right=PLANE
                     the data planes: bundled or envoy (bundled, envoy)
          envoy=PATH the program of data plane envoy
          keep=DIR   where the smallest scenarios are left (.build/differential)
          print=N    prints the scenario of index N and runs nothing
        """

    var seed: UInt64 = 1
    var count = 200
    var first = 0
    var jobs = 4
    var shrink = 5
    var tries = 200
    var left = Scenario.DataPlaneKind.bundled
    var right = Scenario.DataPlaneKind.envoy
    var envoy: String?
    var keep = ".build/differential"
    var printed: Int?

    init(_ arguments: [String]) throws {
        for argument in arguments {
            let parts = argument.split(separator: "=", maxSplits: 1).map(String.init)
            guard parts.count == 2 else { throw ToolError("\(argument) is not OPTION=VALUE\n\(Self.usage)") }
            func number(_ range: ClosedRange<Int>) throws -> Int {
                guard let value = Int(parts[1]), range.contains(value) else {
                    throw ToolError("\(argument): a number from \(range.lowerBound) to \(range.upperBound) is needed")
                }
                return value
            }
            func plane() throws -> Scenario.DataPlaneKind {
                guard let plane = Scenario.DataPlaneKind(rawValue: parts[1]) else {
                    throw ToolError("\(argument): the data planes are bundled and envoy")
                }
                return plane
            }
            switch parts[0] {
            case "seed": seed = UInt64(try number(0...Int.max))
            case "count": count = try number(1...1_000_000)
            case "first": first = try number(0...Int.max / 2)
            case "jobs": jobs = try number(1...64)
            case "shrink": shrink = try number(0...1000)
            case "tries": tries = try number(0...100_000)
            case "left": left = try plane()
            case "right": right = try plane()
            case "envoy": envoy = parts[1]
            case "keep": keep = parts[1]
            case "print": printed = try number(0...Int.max / 2)
            default: throw ToolError("unknown option \(parts[0])\n\(Self.usage)")
            }
        }
    }
}
