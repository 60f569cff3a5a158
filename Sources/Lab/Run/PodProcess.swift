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

    /// The specification of a program; without a container it is the first one's. Throws where its file system can't be
    /// made; that takes some milliseconds, once for each container.
    ///
    /// - Parameter directory: of the machine, to be seen inside wherever it is.
    package func specification(
        _ executable: String, _ arguments: [String], in pod: RunningPod, container: String?, uid: UInt32? = nil,
        gid: UInt32? = nil, directory: String? = nil
    ) throws(KernelError) -> ChildSpecification {
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
        // A gateway's own container is the proxy's.
        let hasAgent = container == "istio-proxy" || container == nil && pod.plan.pod.isRouter
        if let container, let files = pod.programs[container]?.fileSystem {
            specification.fileSystem = files
        } else {
            let name = container ?? spec.containers.first?.name ?? ""
            specification.fileSystem = try pod.fileSystem(of: name) { () throws(KernelError) in
                try ContainerFileSystem(items(of: pod, hasAgent: hasAgent, showing: directory))
            }
            if hasAgent {
                specification.environment = specification.environment.map { variable in
                    variable.hasPrefix("PATH=") ? variable + ":" + PilotAgentProgram.directory : variable
                }
            }
        }
        specification.forbidsNewPrivileges = true
        return specification
    }

    /// Directories that are a container's own, and empty when it starts.
    private static let own = ["/tmp", "/var/tmp"]

    /// The machine's files with the pod's own over them.
    private func items(
        of pod: RunningPod, hasAgent: Bool, showing directory: String?
    ) -> [ContainerFileSystem.Item] {
        let files = PodFiles(of: pod.plan, dns: dns, trusting: lab.authority.rootPEM)
        var items = Self.own.map { ContainerFileSystem.Item.directory($0) }
        if let directory, Self.own.contains(where: { directory.hasPrefix($0 + "/") }) {
            items.append(.machine(directory))
        }
        items += [
            .file("/etc/resolv.conf", content: Array(files.resolver.utf8)),
            .file("/etc/hosts", content: Array(files.hosts.utf8)),
            .directory("/etc/ssl/certs", mode: 0o755),
            .file(PodFiles.bundle, content: Array(files.authorities.utf8)),
        ]
        return hasAgent ? items + PilotAgentProgram.items : items
    }
}
