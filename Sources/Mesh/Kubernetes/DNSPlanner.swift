import Manifests
import NetworkAddresses

/// Plans what the cluster's DNS server answers: Services, headless Services' pods, pods by address, the internet.
struct DNSPlanner {
    let cluster: Cluster
    let internet: [InternetHost]

    func plan() -> DNSPlan {
        let dnsPods = cluster.pods.filter { PodTemplates.isDNS(namespace: $0.id.namespace, labels: $0.labels) }
        var plan = DNSPlan(
            clusterDomain: LabNetwork.clusterDomain, nameservers: nameservers,
            pod: dnsPods.first?.id ?? PodTemplates.dnsID, records: records, internetRecords: internetRecords)
        for service in cluster.services where service.service.type == .externalName {
            plan.aliases[service.hostname.lowercased()] = service.service.externalName?.lowercased()
        }
        return plan
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
        for service in cluster.services where service.service.type != .externalName {
            let name = service.hostname.lowercased()
            guard service.service.isHeadless else {
                records[name] = service.clusterIPs
                continue
            }
            records[name] = service.addresses
            for (host, addresses) in service.hosts { records["\(host).\(name)"] = addresses }
        }
        for pod in cluster.pods {
            for address in pod.addresses {
                let label = String(address.description.map { $0 == "." || $0 == ":" ? "-" : $0 })
                records["\(label).\(pod.id.namespace.lowercased()).pod.\(LabNetwork.clusterDomain)"] = [address]
            }
        }
        for service in cluster.services where service.service.type == .externalName {
            records[service.hostname.lowercased()] = addresses(of: service.service.externalName ?? "", records)
        }
        return records
    }

    /// What the name of an ExternalName Service leads to at last; nil: nowhere, as a CNAME to a name that nobody has.
    private func addresses(of name: String, _ records: [String: [IPAddress]]) -> [IPAddress]? {
        let byName = Dictionary(cluster.services.map { ($0.hostname.lowercased(), $0.service) }) { first, _ in first }
        var name = name.lowercased()
        // A chain of names that is longer leads in a circle.
        for _ in 0..<8 {
            guard let service = byName[name], service.type == .externalName, let next = service.externalName else {
                break
            }
            name = next.lowercased()
        }
        if let known = records[name] { return known }
        let outside = internetRecords
        if let known = outside[name] { return known }
        return outside.filter { $0.key.hasPrefix("*.") && name.hasSuffix($0.key.dropFirst()) }
            .max { $0.key.count < $1.key.count }?.value
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
