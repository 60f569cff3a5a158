/// One entry of a scenario's `images`: what runs in place of a container's image.
package struct ImageStandIn: Sendable, Equatable {
    /// Programs that come with this one.
    package enum Bundled: String, Sendable, Codable, CaseIterable {
        case sniProxy = "sni-proxy"
        /// Calls what its container's variable REQUESTS lists, again and again.
        case requests
    }

    package enum Program: Sendable, Equatable {
        /// A program of this machine with its arguments.
        case command([String])
        case bundled(Bundled)
    }

    /// An image, with or without registry and tag, or the name of a container.
    package var name: String
    package var program: Program
    package var location: SourceLocation

    package init(name: String, program: Program, location: SourceLocation) {
        self.name = name
        self.program = program
        self.location = location
    }

    /// A program of this machine, not one that comes with this one.
    package var isCommand: Bool {
        if case .command = program { true } else { false }
    }

    /// True for what listens on the container's ports itself; beside other programs the lab's own servers answer there.
    package var listens: Bool { program != .bundled(.requests) }

    /// True where the container runs this: by its own name, or by its image with or without registry and tag.
    package func stands(for container: Container) -> Bool {
        container.name == name || Self.names(of: container.image).contains(name)
    }

    /// `docker.io/library/nginx:1.27` is also `docker.io/library/nginx`, `nginx:1.27` and `nginx`.
    private static func names(of image: String) -> Set<String> {
        guard !image.isEmpty else { return [] }
        let last = image.split(separator: "/").last.map(String.init) ?? image
        func untagged(_ text: String) -> String {
            let end = text.firstIndex(of: "@") ?? text.endIndex
            let start = text.lastIndex(of: "/") ?? text.startIndex
            return String(text[..<(text[start..<end].lastIndex(of: ":") ?? end)])
        }
        return [image, untagged(image), last, untagged(last)]
    }
}

extension ImageStandIn {
    /// Images that a program of this one stands in for without being told: those of Backyards' demo.
    fileprivate static let implied = ["banzaicloud/allspark", "ghcr.io/banzaicloud/allspark"].map {
        ImageStandIn(name: $0, program: .bundled(.requests), location: SourceLocation(file: $0))
    }
}

extension [ImageStandIn] {
    /// What runs in the container's place; nil: nothing but the lab's servers.
    package func standIn(for container: Container) -> ImageStandIn? {
        first { $0.stands(for: container) } ?? ImageStandIn.implied.first { $0.stands(for: container) }
    }
}

extension ImageStandIn {
    /// Reads one entry of `images`.
    init?(reading field: FieldReader, name: String) {
        guard field.check("command bundled") else { return nil }
        if let command = field["command"] {
            field["bundled"]?.error("give only one of command and bundled")
            let words = command.list.compactMap(\.text)
            guard !words.isEmpty else {
                if command.isList { command.error("a command needs at least the program's name") }
                return nil
            }
            self.init(name: name, program: .command(words), location: field.location)
        } else if let bundled = field["bundled"] {
            guard let program = bundled.choice(Bundled.self) else { return nil }
            self.init(name: name, program: .bundled(program), location: field.location)
        } else {
            field.error("an image needs command or bundled")
            return nil
        }
    }
}
