import Foundation
import Manifests
import ProxyModel

/// What the mesh says about the access log (observability.md §1).
enum AccessLogPass {
    /// nil where `accessLogFile` is empty. Where it is not set at all, Istio 1.0 logged and later releases don't; the lab
    /// logs all the same, in the release's own format, because logs are what its users look at.
    static func configuration(
        mesh: MeshConfig, isIstio10: Bool, diagnostics: DiagnosticCollector
    ) -> AccessLogConfiguration? {
        let path = mesh.accessLogFile ?? "/dev/stdout"
        guard !path.isEmpty else { return nil }
        let isJSON = mesh.accessLogEncoding?.uppercased() == "JSON"
        let builtIn: AccessLogConfiguration.Format =
            isJSON ? .istioJSON : isIstio10 ? .istio10Text : .istioText
        guard let custom = mesh.accessLogFormat, !custom.isEmpty else {
            return AccessLogConfiguration(path: path, format: builtIn)
        }
        guard isJSON else {
            warnOfUnknown(in: [custom], diagnostics)
            return AccessLogConfiguration(path: path, format: .text(custom))
        }
        guard let keys = try? JSONDecoder().decode([String: String].self, from: Data(custom.utf8)) else {
            diagnostics.warn(
                "accessLogFormat is not a JSON object of strings, so the default format is used",
                remedy: "write an object whose values are command operators, or choose accessLogEncoding TEXT",
                at: nil)
            return AccessLogConfiguration(path: path, format: builtIn)
        }
        warnOfUnknown(in: keys.sorted { $0.key < $1.key }.map(\.value), diagnostics)
        return AccessLogConfiguration(path: path, format: .json(keys))
    }

    private static func warnOfUnknown(in formats: [String], _ diagnostics: DiagnosticCollector) {
        for text in formats.flatMap(AccessLogPiece.unknownOperators) {
            diagnostics.warn(
                "accessLogFormat: the lab has no value for \(text), so it is always absent", remedy: nil, at: nil)
        }
    }
}
