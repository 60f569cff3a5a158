/// `networking.istio.io/DestinationRule`.
package struct DestinationRule: Resource, Equatable {
    package struct Subset: Sendable, Equatable {
        package var name: String
        package var labels: [String: String]
        package var trafficPolicy: TrafficPolicy?
        package var location: SourceLocation

        package init(
            name: String, labels: [String: String] = [:], trafficPolicy: TrafficPolicy? = nil, location: SourceLocation
        ) {
            self.name = name
            self.labels = labels
            self.trafficPolicy = trafficPolicy
            self.location = location
        }
    }

    package static let kind = "DestinationRule"
    package var metadata: ObjectMeta
    package var host: Located<String>
    package var trafficPolicy: TrafficPolicy?
    package var subsets: [Subset]
    package var workloadSelector: [String: String]?
    package var exportTo: [String]

    /// `trafficPolicy.connectionPool.tcp.connectTimeout` in milliseconds.
    package var connectTimeoutMs: Int? { trafficPolicy?.connectionPool?.connectTimeoutMs }

    package init(
        metadata: ObjectMeta, host: Located<String>, trafficPolicy: TrafficPolicy? = nil, subsets: [Subset] = [],
        workloadSelector: [String: String]? = nil, exportTo: [String] = ["*"]
    ) {
        self.metadata = metadata
        self.host = host
        self.trafficPolicy = trafficPolicy
        self.subsets = subsets
        self.workloadSelector = workloadSelector
        self.exportTo = exportTo
    }
}
