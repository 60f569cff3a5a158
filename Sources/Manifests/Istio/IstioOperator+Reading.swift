extension IstioOperator {
    private static let fields: FieldNames = """
        addonComponents compatibilityVersion components hub installPackagePath meshConfig namespace profile resourceSuffix
        revision tag unvalidatedValues values
        """

    /// Reads `install.istio.io/v1alpha1/IstioOperator`.
    init?(reading object: ObjectReader) {
        guard let spec = object.spec(Self.fields) else { return nil }
        var config = MeshConfig()
        for name in ["unvalidatedValues", "values"] {
            guard let values = spec[name] else { continue }
            config = config.overlaid(by: MeshConfig(readingValues: values))
        }
        if let mesh = spec["meshConfig"] { config = config.overlaid(by: MeshConfig(reading: mesh)) }
        if let profile = spec["profile"], profile.node.text == "ambient" {
            profile.refuse("ambient mode is not supported yet")
        }
        if let cni = spec["components"]?["cni"]?["enabled"], cni.laxBoolean == true {
            cni.refuse("Istio's CNI plugin is not supported yet")
        }
        self.init(metadata: object.metadata, meshConfig: config)
    }
}
