/// `networking.istio.io/DestinationRule`: subsets, and the traffic policy fields that the sidecar honours today.
package struct DestinationRule: Resource, Equatable {
    package struct Subset: Sendable, Equatable {
        package var name: String
        package var labels: [String: String]
        package var location: SourceLocation

        package init(name: String, labels: [String: String] = [:], location: SourceLocation) {
            self.name = name
            self.labels = labels
            self.location = location
        }
    }

    package static let kind = "DestinationRule"
    package var metadata: ObjectMeta
    package var host: Located<String>
    package var subsets: [Subset]
    /// `trafficPolicy.connectionPool.tcp.connectTimeout` in milliseconds.
    package var connectTimeoutMs: Int?
    /// `trafficPolicy.tls.mode`; only DISABLE is carried out so far, the reader refuses the rest by name.
    package var tlsMode: Located<String>?
    package var workloadSelector: [String: String]?
    package var exportTo: [String]

    package init(
        metadata: ObjectMeta, host: Located<String>, subsets: [Subset] = [], connectTimeoutMs: Int? = nil,
        tlsMode: Located<String>? = nil, workloadSelector: [String: String]? = nil, exportTo: [String] = ["*"]
    ) {
        self.metadata = metadata
        self.host = host
        self.subsets = subsets
        self.connectTimeoutMs = connectTimeoutMs
        self.tlsMode = tlsMode
        self.workloadSelector = workloadSelector
        self.exportTo = exportTo
    }
}
