package import ProxyModel

/// Prints records in a configured format.
package struct AccessLogFormatter: Sendable {
    package init(_ format: AccessLogConfiguration.Format) {}

    /// The record's line, without its newline.
    package func line(for record: AccessLogRecord) -> String { "" }
}
