/// What a command asks of a lab that stays up. One request a connection; the answer is a stream of `ControlReply`.
package enum ControlRequest: Codable, Sendable {
    case status(StatusRequest)
    /// Takes the lab away.
    case down
    case apply(ApplyRequest)
    case delete(DeleteRequest)
    case get(GetRequest)
    case edit(EditRequest)
    case restart([ObjectSelection])
    case outboundTrafficPolicy(OutboundTrafficPolicyMode)
    case logs(LogsRequest)
    case statistics(StatisticsRequest)
    /// Comes with the command's standard input, output and error; with `isTerminal` the answer brings the terminal.
    case execute(ExecuteRequest)
}

/// A file of manifests as its user sees it.
package struct ManifestText: Codable, Sendable, Equatable {
    /// The name for messages.
    package var file: String
    package var text: String

    package init(file: String, text: String) {
        self.file = file
        self.text = text
    }
}

/// Objects named on a command line.
package struct ObjectSelection: Codable, Sendable, Equatable {
    /// As typed: `svc`, `virtualservices.networking.istio.io`, `ASMEgressTrafficPolicy`.
    package var kind: String
    /// None: all that `selector` and `namespace` leave.
    package var names: [String]
    /// nil: all namespaces.
    package var namespace: String?
    /// kubectl's `-l`: `app=sleep,version!=v1`.
    package var selector: String?

    package init(kind: String, names: [String] = [], namespace: String? = "default", selector: String? = nil) {
        self.kind = kind
        self.names = names
        self.namespace = namespace
        self.selector = selector
    }
}

package struct StatusRequest: Codable, Sendable, Equatable {
    /// Who called whom, too.
    package var flows: Bool
    /// Again whenever it changes, until the connection ends.
    package var watch: Bool

    package init(flows: Bool = false, watch: Bool = false) {
        self.flows = flows
        self.watch = watch
    }
}

package struct ApplyRequest: Codable, Sendable, Equatable {
    package var manifests: [ManifestText]
    /// For objects that name none.
    package var namespace: String
    package var verb: Verb

    package enum Verb: String, Codable, Sendable {
        case apply
        /// An object that exists already is an error.
        case create
        /// An object that does not exist is an error.
        case replace
    }

    package init(manifests: [ManifestText], namespace: String = "default", verb: Verb = .apply) {
        self.manifests = manifests
        self.namespace = namespace
        self.verb = verb
    }
}

package struct DeleteRequest: Codable, Sendable, Equatable {
    package var manifests: [ManifestText]
    package var selections: [ObjectSelection]
    package var namespace: String
    package var ignoresNotFound: Bool

    package init(
        manifests: [ManifestText] = [], selections: [ObjectSelection] = [], namespace: String = "default",
        ignoresNotFound: Bool = false
    ) {
        self.manifests = manifests
        self.selections = selections
        self.namespace = namespace
        self.ignoresNotFound = ignoresNotFound
    }
}

package struct GetRequest: Codable, Sendable, Equatable {
    package enum Output: Codable, Sendable, Equatable {
        case table, wide, name, yaml, json
        case jsonPath(String)
    }

    package var selections: [ObjectSelection]
    package var output: Output
    package var showsHeaders: Bool
    package var showsLabels: Bool

    package init(
        selections: [ObjectSelection], output: Output = .table, showsHeaders: Bool = true, showsLabels: Bool = false
    ) {
        self.selections = selections
        self.output = output
        self.showsHeaders = showsHeaders
        self.showsLabels = showsLabels
    }
}

/// Changes of a few fields of existing objects.
package struct EditRequest: Codable, Sendable, Equatable {
    package enum Change: Codable, Sendable, Equatable {
        /// `label`: nil takes a label away.
        case labels([String: String?], overwrites: Bool)
        case annotations([String: String?], overwrites: Bool)
        /// `set env`: variables of all containers, or of the one named; nil takes a variable away.
        case environment([String: String?], container: String?)
    }

    package var selection: ObjectSelection
    package var change: Change

    package init(selection: ObjectSelection, change: Change) {
        self.selection = selection
        self.change = change
    }
}

/// Mesh-wide, in the words of document 002's command.
package enum OutboundTrafficPolicyMode: String, Codable, Sendable, CaseIterable {
    case allowed
    case restricted
}

/// A pod as commands name it: `POD`, `pod/POD`, `deploy/NAME`, or by labels.
package struct PodSelection: Codable, Sendable, Equatable {
    package var namespace: String
    /// nil where `selector` says it.
    package var name: String?
    package var selector: String?
    package var container: String?

    package init(namespace: String, name: String?, selector: String? = nil, container: String? = nil) {
        self.namespace = namespace
        self.name = name
        self.selector = selector
        self.container = container
    }
}

package struct LogsRequest: Codable, Sendable, Equatable {
    package var pod: PodSelection
    package var follows: Bool
    /// Only the newest lines.
    package var tail: Int?

    package init(pod: PodSelection, follows: Bool = false, tail: Int? = nil) {
        self.pod = pod
        self.follows = follows
        self.tail = tail
    }
}

package struct StatisticsRequest: Codable, Sendable, Equatable {
    package var pod: PodSelection
    /// A regular expression that names must match somewhere.
    package var filter: String?

    package init(pod: PodSelection, filter: String? = nil) {
        self.pod = pod
        self.filter = filter
    }
}

package struct ExecuteRequest: Codable, Sendable, Equatable {
    package var pod: PodSelection
    package var command: [String]
    package var isTerminal: Bool
    /// Of the terminal that it is typed at.
    package var terminalType: String?

    package init(pod: PodSelection, command: [String], isTerminal: Bool = false, terminalType: String? = nil) {
        self.pod = pod
        self.command = command
        self.isTerminal = isTerminal
        self.terminalType = terminalType
    }
}

/// What a client says while its request is being carried out.
package enum ControlSignal: Codable, Sendable, Equatable {
    /// For the command that `execute` runs.
    case signal(Int32)
}

/// A piece of an answer.
package enum ControlReply: Codable, Sendable, Equatable {
    /// For standard output, as it is.
    case output(String)
    /// For standard error, as it is.
    case diagnostics(String)
    /// The terminal's other end comes with this message.
    case terminal
    /// The last one: the exit status.
    case end(Int32)
}
