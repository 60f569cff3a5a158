import Manifests

/// What does not fit together between Gateways, VirtualServices, Secrets and pods, though each alone is right. Istio
/// accepts all of it; traffic then fails without a word.
struct GatewayChecks {
    let cluster: Cluster
    let resources: ResourceSet

    var diagnostics: [Diagnostic] {
        let gateways = resources.resources(Gateway.self)
        return unknownGateways(gateways) + gateways.flatMap(problems)
    }

    private func unknownGateways(_ gateways: [Gateway]) -> [Diagnostic] {
        let known = Set(gateways.map { "\($0.metadata.namespace)/\($0.metadata.name)" })
        return resources.resources(VirtualService.self).flatMap { service in
            service.gateways.compactMap { name in
                let qualified = GatewayName.qualified(name.value, namespace: service.metadata.namespace)
                guard qualified != GatewayName.mesh, !known.contains(qualified) else { return nil }
                let remedy =
                    known.isEmpty
                    ? "apply a Gateway of that name" : "name one of \(known.sorted().joined(separator: ", "))"
                return Diagnostic(
                    .warning, "\(service.id): there is no Gateway \(qualified), so no proxy takes these rules for it",
                    remedy: remedy, at: name.location)
            }
        }
    }

    private func problems(of gateway: Gateway) -> [Diagnostic] {
        let selected = cluster.pods.filter { $0.labels.hasAll(gateway.selector) }
        let routers = selected.filter(\.isRouter)
        guard !routers.isEmpty else {
            let labels = gateway.selector.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
            let found = selected.first.map { "; pod \($0.id) has the labels, but is no gateway" } ?? ""
            return [
                Diagnostic(
                    .warning, "\(gateway.id): no gateway pod has the labels \(labels.joined(separator: ","))\(found)",
                    remedy: "deploy the gateway, or enable it in the IstioOperator",
                    at: gateway.metadata.location)
            ]
        }
        return gateway.servers.flatMap { missingSecrets($0, of: gateway, routers) }
    }

    /// Credentials are looked up beside the gateway's pods, not beside the Gateway.
    private func missingSecrets(
        _ server: Gateway.Server, of gateway: Gateway, _ routers: [ClusterPod]
    ) -> [Diagnostic] {
        guard let name = server.tls?.credentialName, let mode = server.tls?.mode.value, mode.terminates else {
            return []
        }
        return Set(routers.map(\.id.namespace)).sorted().flatMap { namespace in
            let credentials = CredentialStore(resources, namespace: namespace)
            var problems: [CredentialStore.Problem] = []
            do throws(CredentialStore.Problem) { _ = try credentials.certificate(name.value) } catch {
                problems.append(error)
            }
            if mode == .mutual || mode == .optionalMutual {
                do throws(CredentialStore.Problem) { _ = try credentials.roots(name.value) } catch {
                    if !problems.contains(error) { problems.append(error) }
                }
            }
            return problems.map { problem in
                Diagnostic(
                    .warning,
                    "\(gateway.id): \(problem.text), so the gateway refuses every connection to port "
                        + "\(server.port.number)",
                    remedy: problem.remedy, at: name.location)
            }
        }
    }
}
