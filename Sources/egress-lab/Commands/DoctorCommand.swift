import ArgumentParser
import Lab

/// `doctor`: what this machine lacks to run labs, and how to get it.
struct DoctorCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "doctor", abstract: "Says what this machine lacks to run labs, and how to get it.")

    func run() throws {
        let checks = Preflight().all()
        for check in checks {
            guard let problem = check.problem else {
                Console.report("✓ \(check.name)\n")
                continue
            }
            let mark = check.isUntried ? "?" : check.isFatal ? "✗" : "!"
            Console.report("\(mark) \(check.name): \(problem)\n")
            if let purpose = check.onlyFor { Console.report("    needed by: \(purpose)\n") }
            if !check.remedy.isEmpty { Console.report("    remedy: \(check.remedy)\n") }
        }
        let fatal = checks.count { $0.isFatal }
        guard fatal == 0 else {
            Console.report("This machine can't run labs: \(fatal) thing\(fatal == 1 ? "" : "s") missing.\n")
            throw ExitStatus.cannotRun
        }
        Console.report("This machine can run labs.\n")
    }
}
