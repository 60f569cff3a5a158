import Foundation
import Manifests
package import Mesh
package import Netlink

/// What a real program is that runs in a container of a pod: with the pod's network, resolver, hosts and host name, the
/// container's user and variables, and with trust in the lab's CA.
package struct PodProcess: Sendable {
    let lab: RunningLab
    let dns: DNSPlan

    package init(lab: RunningLab, dns: DNSPlan) {
        self.lab = lab
        self.dns = dns
    }

    /// The specification of a program; without a container it is the first one's.
    package func specification(
        _ executable: String, _ arguments: [String], in pod: RunningPod, container: String?, uid: UInt32? = nil,
        gid: UInt32? = nil
    ) -> ChildSpecification {
        // The proxy's container is injected: what the capture rules take for its own user.
        let isProxy = container == "istio-proxy" && !pod.plan.pod.spec.containers.contains { $0.name == container }
        let owner = isProxy ? pod.proxyOwner : pod.credentials(container: container)
        var specification = ChildSpecification(executable, arguments)
        let own = PodFiles.environment(path: ProcessInfo.processInfo.environment["PATH"], hostName: pod.id.name)
        let spec = pod.plan.pod.spec
        let chosen = container.flatMap { name in (spec.containers + spec.initContainers).first { $0.name == name } }
        specification.environment = own.merging((chosen ?? spec.containers.first)?.environment ?? [:]) { $1 }
            .map { "\($0.key)=\($0.value)" }.sorted()
        specification.namespace = pod.namespace
        specification.identity = ChildSpecification.Identity(uid: uid ?? owner.uid, gid: gid ?? owner.gid)
        specification.hostName = pod.id.name
        specification.isolation = .hostName
        if let container, let files = pod.programs[container]?.fileSystem {
            specification.fileSystem = files
        } else {
            let files = PodFiles(of: pod.plan, dns: dns, trusting: lab.authority.rootPEM)
            specification.overlays = [
                ChildSpecification.Overlay(path: "/etc/resolv.conf", text: files.resolver),
                ChildSpecification.Overlay(path: "/etc/hosts", text: files.hosts),
                ChildSpecification.Overlay(
                    path: PodFiles.bundle, text: files.authorities, replacesDirectory: true, isOptional: true),
            ]
            // A gateway's own container is the proxy's.
            if container == "istio-proxy" || container == nil && pod.plan.pod.isRouter {
                specification.overlays.append(PilotAgentProgram.overlay)
                specification.environment = specification.environment.map { variable in
                    variable.hasPrefix("PATH=") ? variable + ":" + PilotAgentProgram.directory : variable
                }
            }
            specification.isolation.insert(.mounts)
        }
        specification.forbidsNewPrivileges = true
        return specification
    }
}
