/// Names of Gateways as VirtualServices write them.
enum GatewayName {
    /// Stands for all sidecars.
    static let mesh = "mesh"

    /// `namespace/name`. A bare name is one of the own namespace; `name.namespace` and what follows it is the old way.
    static func qualified(_ name: String, namespace: String) -> String {
        if name == mesh { return mesh }
        if let slash = name.firstIndex(of: "/") {
            return name[..<slash] == "." ? namespace + name[slash...] : name
        }
        let parts = name.split(separator: ".", maxSplits: 2)
        return parts.count > 1 ? "\(parts[1])/\(parts[0])" : "\(namespace)/\(name)"
    }
}
