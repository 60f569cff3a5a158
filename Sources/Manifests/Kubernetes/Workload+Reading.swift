extension Workload {
    private static let fields: [Kind: FieldNames] = [
        .deployment: """
        minReadySeconds paused progressDeadlineSeconds replicas revisionHistoryLimit rollbackTo selector strategy
        template
        """,
        .replicaSet: "minReadySeconds replicas selector template",
        .statefulSet: """
        minReadySeconds ordinals persistentVolumeClaimRetentionPolicy podManagementPolicy replicas
        revisionHistoryLimit selector serviceName template updateStrategy volumeClaimTemplates
        """,
        .daemonSet: "minReadySeconds revisionHistoryLimit selector template templateGeneration updateStrategy",
        .job: """
        activeDeadlineSeconds backoffLimit backoffLimitPerIndex completionMode completions managedBy
        manualSelector maxFailedIndexes parallelism podFailurePolicy podReplacementPolicy selector successPolicy
        suspend template ttlSecondsAfterFinished
        """,
    ]

    /// Reads a kind of `apps` or `batch`.
    init?(reading object: ObjectReader, as kind: Kind) {
        guard let spec = object.spec(Self.fields[kind] ?? ""), let field = spec.required("template"),
            let template = Pod(readingTemplate: field)
        else { return nil }
        var replicas = 1
        if let field = kind == .job ? spec["parallelism"] : kind == .daemonSet ? nil : spec["replicas"] {
            replicas = field.integer(0...10_000) ?? 1
        }
        var selector = LabelSelector(matchLabels: template.metadata.labels)
        // Before apps/v1 the selector could be left out.
        let isOld = object.root["apiVersion"]?.node.text?.contains("beta") ?? false
        if kind != .job, let field = isOld ? spec["selector"] : spec.required("selector") {
            selector = LabelSelector(reading: field)
            if selector.matchLabels.isEmpty, selector.matchExpressions.isEmpty {
                field.error("the selector is empty", remedy: "select the labels of the template")
            } else if !selector.matches(template.metadata.labels) {
                field.error("the selector does not match the labels of the template")
            }
        }
        self.init(
            workloadKind: kind, metadata: object.metadata, replicas: replicas, selector: selector, template: template)
    }
}
