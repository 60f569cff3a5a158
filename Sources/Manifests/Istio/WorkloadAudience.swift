/// The workloads that alone get to see a resource which was made for them; unlike `exportTo`, single ones of a
/// namespace.
package struct WorkloadAudience: Sendable, Equatable {
    package struct Member: Sendable, Equatable {
        package var namespace: String
        /// Empty: the whole namespace.
        package var labels: [String: String]

        package init(namespace: String, labels: [String: String] = [:]) {
            self.namespace = namespace
            self.labels = labels
        }
    }

    package var members: [Member]

    package init(_ members: [Member]) { self.members = members }

    package func includes(namespace: String, labels: [String: String]) -> Bool {
        members.contains { member in
            member.namespace == namespace && member.labels.allSatisfy { labels[$0.key] == $0.value }
        }
    }
}
