/// The telemetry service of Istio 1.0, whose log `assert` can name though no manifest has it: it comes with
/// `compatibility: istio-1.0`.
package enum MixerTelemetry {
    /// Where its log is found.
    package static let name = "istio-system/istio-telemetry"

    /// True for the service, with or without its container `mixer`.
    package static func isNamed(by reference: WorkloadReference) -> Bool {
        "\(reference.namespace)/\(reference.name)" == name && [nil, "mixer"].contains(reference.container)
    }
}
