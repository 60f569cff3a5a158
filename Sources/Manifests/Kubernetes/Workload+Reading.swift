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
        .replicationController: "minReadySeconds replicas selector template",
    ]
    private static let cronJobFields: FieldNames = """
        concurrencyPolicy failedJobsHistoryLimit jobTemplate schedule startingDeadlineSeconds
        successfulJobsHistoryLimit suspend timeZone
        """

    /// Reads a kind of `apps` or `batch`, or `v1/ReplicationController`.
    init?(reading object: ObjectReader, as kind: Kind) {
        guard let spec = object.spec(Self.fields[kind] ?? ""), let field = spec.required("template"),
            let template = Pod(readingTemplate: field)
        else { return nil }
        var replicas = 1
        if let field = kind == .job ? spec["parallelism"] : kind == .daemonSet ? nil : spec["replicas"] {
            replicas = field.integer(0...10_000) ?? 1
        }
        if kind == .job, spec["suspend"]?.boolean == true || Self.hasEnded(object) { replicas = 0 }
        var selector = LabelSelector(matchLabels: template.metadata.labels)
        // Before apps/v1 the selector could be left out.
        let isOld = object.root["apiVersion"]?.node.text?.contains("beta") ?? false
        if kind == .replicationController {
            // A plain map, which defaults to the template's labels.
            if let field = spec["selector"], case let labels = field.stringMap, !labels.isEmpty {
                selector = LabelSelector(matchLabels: labels)
                if !selector.matches(template.metadata.labels) {
                    field.error("the selector does not match the labels of the template")
                }
            }
        } else if kind != .job, let field = isOld ? spec["selector"] : spec.required("selector") {
            selector = LabelSelector(reading: field)
            if selector.matchLabels.isEmpty, selector.matchExpressions.isEmpty {
                field.error("the selector is empty", remedy: "select the labels of the template")
            } else if !selector.matches(template.metadata.labels) {
                field.error("the selector does not match the labels of the template")
            }
        }
        self.init(
            workloadKind: kind, metadata: object.metadata, replicas: replicas, selector: selector,
            firstOrdinal: spec["ordinals"]?["start"]?.integer() ?? 0, template: template)
        if kind == .statefulSet { self.template.spec.subdomain = spec["serviceName"]?.string }
    }

    /// Reads `batch/v1/CronJob`: it stands for the pods of one of its Jobs, as if its time had come.
    init?(readingCronJob object: ObjectReader) {
        guard let spec = object.spec(Self.cronJobFields), let field = spec.required("jobTemplate"),
            field.check("metadata spec"), let job = field.required("spec"), job.check(Self.fields[.job] ?? ""),
            let templateField = job.required("template"), let template = Pod(readingTemplate: templateField)
        else { return nil }
        _ = spec.required("schedule")
        let parallelism = job["parallelism"].map { $0.integer(0...10_000) ?? 1 } ?? 1
        self.init(
            workloadKind: .cronJob, metadata: object.metadata,
            replicas: spec["suspend"]?.boolean == true ? 0 : parallelism,
            selector: LabelSelector(matchLabels: template.metadata.labels), template: template)
    }

    /// A dump's Job that will make no pods any more.
    private static func hasEnded(_ job: ObjectReader) -> Bool {
        (job.root["status"]?["conditions"]?.list ?? []).contains { condition in
            ["Complete", "Failed"].contains(condition["type"]?.node.text) && condition["status"]?.node.text == "True"
        }
    }
}
