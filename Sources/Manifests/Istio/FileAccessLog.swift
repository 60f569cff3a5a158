/// One of `meshConfig.extensionProviders` that writes access logs: `envoyFileAccessLog`.
package struct FileAccessLog: Sendable, Equatable {
    package enum Format: Sendable, Equatable {
        case text(String)
        case labels([String: String])
    }

    package var name: String
    package var path: String
    /// nil: Istio's default.
    package var format: Format?
    package var location: SourceLocation
}

extension FileAccessLog {
    /// Reads an element of `extensionProviders`; nil for one of another kind.
    init?(reading field: FieldReader) {
        guard let name = field["name"]?.string, let log = field["envoyFileAccessLog"],
            log.check("path logFormat omitEmptyValues")
        else { return nil }
        log.refuse(fields: "omitEmptyValues")
        self.init(
            name: name, path: log["path"]?.string ?? "/dev/stdout", format: nil, location: field.location)
        guard let format = log["logFormat"], format.check("text labels") else { return }
        if let text = format["text"]?.string { self.format = .text(text) }
        if let labels = format["labels"] {
            self.format = .labels(labels.stringMap)
            if format["text"] != nil { labels.error("logFormat has text or labels, not both") }
        }
    }
}
