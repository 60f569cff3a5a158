import Foundation
import Manifests
package import Mesh
package import Netlink
import NetworkAddresses

/// What a real program is that runs in a container of a pod: with the pod's network, resolver, hosts and host name, the
/// container's user and variables, and with trust in the lab's CA.
package struct PodProcess: Sendable {
    let lab: RunningLab
    let dns: DNSPlan

    package init(lab: RunningLab, dns: DNSPlan) {
        self.lab = lab
        self.dns = dns
    }

    private static let bundle = "/etc/ssl/certs/ca-certificates.crt"
    private static let defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

    /// The specification of a program; without a container it is the first one's.
    package func specification(
        _ executable: String, _ arguments: [String], in pod: RunningPod, container: String?, uid: UInt32? = nil,
        gid: UInt32? = nil
    ) -> ChildSpecification {
        // The proxy's container is injected: what the capture rules take for its own user.
        let isProxy = container == "istio-proxy" && !pod.plan.pod.spec.containers.contains { $0.name == container }
        let owner = isProxy ? pod.proxyOwner : pod.credentials(container: container)
        var specification = ChildSpecification(executable, arguments)
        let path = ProcessInfo.processInfo.environment["PATH"] ?? Self.defaultPath
        let own = [
            "PATH": path, "HOME": "/tmp", "LANG": "C.UTF-8", "HOSTNAME": pod.id.name, "SSL_CERT_FILE": Self.bundle,
            "CURL_CA_BUNDLE": Self.bundle,
        ]
        let spec = pod.plan.pod.spec
        let chosen = container.flatMap { name in (spec.containers + spec.initContainers).first { $0.name == name } }
        specification.environment = own.merging((chosen ?? spec.containers.first)?.environment ?? [:]) { $1 }
            .map { "\($0.key)=\($0.value)" }.sorted()
        specification.namespace = pod.namespace
        specification.identity = ChildSpecification.Identity(uid: uid ?? owner.uid, gid: gid ?? owner.gid)
        specification.overlays = [
            ChildSpecification.Overlay(path: "/etc/resolv.conf", text: resolverConfiguration(pod)),
            ChildSpecification.Overlay(path: "/etc/hosts", text: hosts(pod)),
            // The lab's CA is the only one that is trusted in there.
            ChildSpecification.Overlay(
                path: Self.bundle, text: lab.authority.rootPEM, replacesDirectory: true, isOptional: true),
        ]
        specification.hostName = pod.id.name
        specification.isolation = [.mounts, .hostName]
        specification.forbidsNewPrivileges = true
        return specification
    }

    private func resolverConfiguration(_ pod: RunningPod) -> String {
        dns.nameservers.filter { address in pod.plan.pod.addresses.contains { $0.family == address.family } }
            .map { "nameserver \($0)\n" }.joined()
            + "search \(dns.searchDomains(namespace: pod.id.namespace).joined(separator: " "))\noptions ndots:5\n"
    }

    private func hosts(_ pod: RunningPod) -> String {
        "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
            + pod.plan.pod.addresses.map { "\($0)\t\(pod.id.name)\n" }.joined()
    }
}
