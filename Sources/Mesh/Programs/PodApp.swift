package import Manifests

extension ClusterPod {
    /// What answers HTTP in the pod: the image of Istio's sample of an authorizer is known, all others are httpbin.
    package var app: InternetHost.App {
        let isAuthorizer = spec.containers.contains { container in
            let name = container.image.split(separator: "/").last.map(String.init) ?? ""
            return name == "ext-authz" || name.hasPrefix("ext-authz:")
        }
        return isAuthorizer ? .externalAuthorizer : .httpbin
    }
}
