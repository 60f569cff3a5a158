import Foundation
import Manifests
import ProxyModel

/// What the mesh says about the access log (observability.md §1).
enum AccessLogPass {
    /// nil without `accessLogFile`: Istio's default.
    static func configuration(
        mesh: MeshConfig, isIstio10: Bool, diagnostics: DiagnosticCollector
    ) -> AccessLogConfiguration? {
        guard let path = mesh.accessLogFile, !path.isEmpty else { return nil }
        let isJSON = mesh.accessLogEncoding?.uppercased() == "JSON"
        let builtIn: AccessLogConfiguration.Format =
            isJSON ? .istioJSON : isIstio10 ? .istio10Text : .istioText
        guard let custom = mesh.accessLogFormat, !custom.isEmpty else {
            return AccessLogConfiguration(path: path, format: builtIn)
        }
        guard isJSON else { return AccessLogConfiguration(path: path, format: .text(custom)) }
        guard let keys = try? JSONDecoder().decode([String: String].self, from: Data(custom.utf8)) else {
            diagnostics.warn(
                "accessLogFormat is not a JSON object of strings, so the default format is used",
                remedy: "write an object whose values are command operators, or choose accessLogEncoding TEXT",
                at: nil)
            return AccessLogConfiguration(path: path, format: builtIn)
        }
        return AccessLogConfiguration(path: path, format: .json(keys))
    }
}
