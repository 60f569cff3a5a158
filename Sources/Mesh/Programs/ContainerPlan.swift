package import Manifests
package import ProxyModel

/// A container in whose place a program runs.
package struct ContainerPlan: Sendable, Equatable {
    package enum Program: Sendable, Equatable {
        case sniProxy(SNIProxyConfiguration)
        case machine(MachineProgramPlan)
        /// A client that makes these calls, round after round.
        case requests([RepeatedCall])
    }

    /// The container's name.
    package var name: String
    package var program: Program

    package init(name: String, program: Program) {
        self.name = name
        self.program = program
    }

    /// A program of the machine, which tells of its connections only by what it does.
    package var isMachineProgram: Bool {
        if case .machine = program { true } else { false }
    }

    /// True if each line of its log tells of a connection that it took.
    package var logsOnlyConnections: Bool {
        if case .sniProxy = program { true } else { false }
    }
}

/// A program of this machine in a container's place.
package struct MachineProgramPlan: Sendable, Equatable {
    /// A volume as the container sees it.
    package struct Mount: Sendable, Equatable {
        /// The directory; or the file itself, where only one is mounted (`subPath`).
        package var path: String
        /// nil: `path` is a file.
        package var files: [ContainerFile]
        package var isDirectory: Bool

        package init(path: String, files: [ContainerFile], isDirectory: Bool = true) {
            self.path = path
            self.files = files
            self.isDirectory = isDirectory
        }
    }

    /// The program and all its arguments: those of the scenario, then the container's own `args`.
    package var command: [String]
    /// The container's `env`.
    package var environment: [String: String]
    package var workingDirectory: String?
    package var mounts: [Mount]
    /// The TCP ports that the container declares, and those its nginx.conf listens on.
    package var ports: [UInt16]
    /// What it forwards by the ClientHello's name; nil: it is no SNI proxy.
    package var sniServer: NginxSNIServer?

    package init(
        command: [String], environment: [String: String] = [:], workingDirectory: String? = nil, mounts: [Mount] = [],
        ports: [UInt16] = [], sniServer: NginxSNIServer? = nil
    ) {
        self.command = command
        self.environment = environment
        self.workingDirectory = workingDirectory
        self.mounts = mounts
        self.ports = ports
        self.sniServer = sniServer
    }
}

/// A file that a container's volumes give it.
package struct ContainerFile: Sendable, Equatable {
    /// From the root directory.
    package var path: String
    package var content: [UInt8]

    package init(path: String, content: [UInt8]) {
        self.path = path
        self.content = content
    }

    var text: String { String(decoding: content, as: UTF8.self) }
}
