extension IstioOperator {
    private static let fields: FieldNames = """
        addonComponents compatibilityVersion components hub installPackagePath meshConfig namespace profile resourceSuffix
        revision tag unvalidatedValues values
        """
    private static let componentFields: FieldNames = """
        base cni egressGateways ingressGateways istiodRemote pilot ztunnel policy telemetry proxy citadel galley
        sidecarInjector
        """

    /// Reads `install.istio.io/v1alpha1/IstioOperator`.
    init?(reading object: ObjectReader) {
        guard let spec = object.spec(Self.fields) else { return nil }
        var config = MeshConfig()
        var gateways: [GatewayComponent] = []
        var gatewayValues: [GatewayComponent] = []
        if let components = spec["components"], components.check(Self.componentFields) {
            for (name, direction) in [
                ("ingressGateways", GatewayComponent.Direction.ingress), ("egressGateways", .egress),
            ] {
                gateways += (components[name]?.list ?? []).compactMap {
                    GatewayComponent(readingComponent: $0, direction: direction)
                }
            }
        }
        var seen: Set<String> = []
        for component in gateways where !seen.insert("\(component.namespace ?? "")/\(component.name)").inserted {
            spec.say(.error, "the gateway \(component.name) is given twice", at: component.location)
        }
        for name in ["unvalidatedValues", "values"] {
            guard let values = spec[name] else { continue }
            config = config.overlaid(by: MeshConfig(readingValues: values))
            guard let field = values.at("gateways") else { continue }
            for entry in field.entries where entry.field.isMapping {
                GatewayComponent(readingValues: entry.field, name: entry.key).map { gatewayValues.append($0) }
            }
        }
        if let mesh = spec["meshConfig"] { config = config.overlaid(by: MeshConfig(reading: mesh)) }
        if let profile = spec["profile"], profile.node.text == "ambient" {
            profile.refuse("ambient mode is not supported yet")
        }
        if let cni = spec["components"]?["cni"]?["enabled"], cni.laxBoolean == true {
            cni.refuse("Istio's CNI plugin is not supported yet")
        }
        self.init(
            metadata: object.metadata, meshConfig: config, profile: spec["profile"]?.locatedString,
            gateways: gateways, gatewayValues: gatewayValues)
    }
}
