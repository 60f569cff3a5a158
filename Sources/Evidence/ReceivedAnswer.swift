/// A header field as the client received it, its name in the sender's spelling.
package struct ReceivedHeader: Codable, Sendable, Equatable {
    package var name: String
    package var value: String

    package init(name: String, value: String) {
        self.name = name
        self.value = value
    }
}

/// What a client received, bounded: the beginning as text, and what tells the rest apart.
package struct ReceivedBody: Codable, Sendable, Equatable {
    /// The first 64 KiB; what is not UTF-8 becomes U+FFFD.
    package var text: String
    /// The size of all of it.
    package var bytes: Int
    /// SHA-256 of all of it in hexadecimal, where `text` does not say it all.
    package var sha256: String?

    package init(text: String, bytes: Int, sha256: String? = nil) {
        self.text = text
        self.bytes = bytes
        self.sha256 = sha256
    }
}
