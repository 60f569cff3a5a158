import Mesh
import NetworkAddresses

/// The files that every program in a pod sees instead of the machine's: its resolver's, its host names, and the lab's CA
/// as the only one that is trusted.
struct PodFiles {
    static let bundle = "/etc/ssl/certs/ca-certificates.crt"

    let resolver: String
    let hosts: String
    let authorities: String

    init(of pod: PodPlan, dns: DNSPlan, trusting rootPEM: String) {
        let addresses = pod.pod.addresses
        resolver =
            dns.nameservers.filter { address in addresses.contains { $0.family == address.family } }
            .map { "nameserver \($0)\n" }.joined()
            + "search \(dns.searchDomains(namespace: pod.pod.id.namespace).joined(separator: " "))\noptions ndots:5\n"
        hosts =
            "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
            + addresses.map { "\($0)\t\(pod.pod.id.name)\n" }.joined()
        authorities = rootPEM
    }

    /// The environment of a program in a pod: where it finds programs, and whom it trusts.
    ///
    /// Root's own directories are left out of the path: other users may not look there, and are told so for each name
    /// that is nowhere.
    static func environment(path: String?, hostName: String) -> [String: String] {
        let directories = (path ?? "").split(separator: ":").filter { $0 != "/root" && !$0.hasPrefix("/root/") }
        return [
            "PATH": directories.isEmpty ? ProgramLocator.usualPath : directories.joined(separator: ":"), "HOME": "/tmp",
            "LANG": "C.UTF-8", "HOSTNAME": hostName,
            "SSL_CERT_FILE": bundle, "CURL_CA_BUNDLE": bundle,
        ]
    }
}
