import Manifests
import NetworkAddresses

/// Plans what the cluster's DNS server answers: Services, headless Services' pods, pods by address, the internet.
struct DNSPlanner {
    let cluster: Cluster
    let internet: [InternetHost]

    func plan() -> DNSPlan {
        let dnsPods = cluster.pods.filter { PodTemplates.isDNS(namespace: $0.id.namespace, labels: $0.labels) }
        return DNSPlan(
            clusterDomain: LabNetwork.clusterDomain, nameservers: nameservers,
            pod: dnsPods.first?.id ?? PodTemplates.dnsID, records: records, internetRecords: internetRecords)
    }

    /// kube-dns' addresses: what pods' `resolv.conf` says.
    var nameservers: [IPAddress] {
        let (namespace, name) = (PodTemplates.dnsID.namespace, PodTemplates.dnsID.name)
        let service = cluster.services.first {
            $0.service.metadata.namespace == namespace && $0.service.metadata.name == name
        }
        let addresses = service?.clusterIPs ?? []
        return addresses.isEmpty ? LabNetwork.serviceAddresses(LabNetwork.dnsServiceIndex) : addresses
    }

    private var records: [String: [IPAddress]] {
        var records: [String: [IPAddress]] = [:]
        let pods = Dictionary(cluster.pods.map { ($0.id, $0) }) { first, _ in first }
        for service in cluster.services {
            let name = service.hostname.lowercased()
            guard service.service.isHeadless else {
                records[name] = service.clusterIPs
                continue
            }
            let backends = service.pods.compactMap { pods[$0] }
            records[name] = backends.flatMap(\.addresses)
            for pod in backends {
                guard let hostname = pod.spec.hostname else { continue }
                records["\(hostname.lowercased()).\(name)", default: []] += pod.addresses
            }
        }
        for pod in cluster.pods {
            for address in pod.addresses {
                let label = String(address.description.map { $0 == "." || $0 == ":" ? "-" : $0 })
                records["\(label).\(pod.id.namespace.lowercased()).pod.\(LabNetwork.clusterDomain)"] = [address]
            }
        }
        return records
    }

    /// Several entries may share a name: it has the addresses of all of them.
    private var internetRecords: [String: [IPAddress]] {
        var records: [String: [IPAddress]] = [:]
        for entry in internet {
            for host in entry.hosts {
                var name = host.lowercased()
                if name.hasSuffix(".") { name.removeLast() }
                for address in entry.addresses where records[name]?.contains(address) != true {
                    records[name, default: []].append(address)
                }
            }
        }
        return records
    }
}
