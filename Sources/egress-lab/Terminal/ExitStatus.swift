/// How a command ended; the same for every command. Throw one to end a command that has said all there is to say.
enum ExitStatus: Int32, Error {
    /// Everything expected was observed.
    case expected = 0
    /// Something else was observed.
    case unexpected = 1
    /// Usage, scenario or manifest. Nothing was created.
    case wrongInput = 2
    /// Privilege, kernel feature or program missing.
    case cannotRun = 3
    /// The lab itself failed, or evidence was lost.
    case labFailed = 4
    /// SIGINT, as shells count it.
    case interrupted = 130
    /// SIGTERM, as shells count it.
    case terminated = 143
}

/// Ends a command with a message on standard error.
struct Failure: Error {
    var status: ExitStatus
    var message: String

    static func input(_ message: String) -> Failure { Failure(status: .wrongInput, message: message) }

    /// Something that the command line or a scenario asks for, and that this version can't do.
    static func later(_ what: String) -> Failure {
        .input("\(what) is not supported yet: it comes with a later version")
    }
}
