package import Manifests
package import NetworkAddresses
package import Nftables
package import ProxyModel

/// Everything that is to be realised, as a value: equal plans give equal labs.
package struct LabPlan: Sendable {
    package var pods: [PodPlan]
    /// Never empty. A lab of one node has that node's link lead to the internet; else `fabric` joins them.
    package var nodes: [NodePlan]
    /// nil: there is one node, and no other will come.
    package var fabric: FabricPlan?
    /// nil: everybody may leave the cluster.
    package var firewall: FirewallPlan?
    package var internet: InternetPlan
    package var dns: DNSPlan
    /// Every address inside the cluster; all others are the internet's.
    package var clusterRanges: IPPrefixSet
    /// Addresses outside the cluster's own ranges that lead to Services of type LoadBalancer.
    package var balancers = IPPrefixSet()
    /// What the node may make of a destination: a Service's address and port, and the pods' behind it.
    package var translations: [IPEndpoint: Set<IPEndpoint>]
    /// Semantics assumed where Kubernetes or Istio leave them open; printed with the results.
    package var assumptions: [String]
    /// What the rules of the nodes were made from, for those who judge a second time.
    package var policies = PolicySet(ResourceSet())
    package var namespaces: [String: [String: String]] = [:]
    package var clusterNodes: [ClusterNode] = []

    package init(
        pods: [PodPlan], nodes: [NodePlan], fabric: FabricPlan? = nil, firewall: FirewallPlan? = nil,
        internet: InternetPlan, dns: DNSPlan, clusterRanges: IPPrefixSet,
        translations: [IPEndpoint: Set<IPEndpoint>] = [:],
        assumptions: [String] = []
    ) {
        self.pods = pods
        self.nodes = nodes
        self.fabric = fabric
        self.firewall = firewall
        self.internet = internet
        self.dns = dns
        self.clusterRanges = clusterRanges
        self.translations = translations
        self.assumptions = assumptions
    }
}

/// One pod: its link, its rules, its proxy and the ports on which its containers answer.
package struct PodPlan: Sendable {
    package var pod: ClusterPod
    /// The node's end of the pod's link: `veth7`.
    package var nodeInterface: String
    /// What `nft list ruleset` prints in the pod's namespace; empty without a sidecar.
    package var ruleset: Ruleset
    /// nil: no sidecar.
    package var proxy: ProxyConfiguration?
    /// TCP ports on which the pod's containers answer.
    package var tcpPorts: [UInt16]
    /// UDP ports on which the pod's containers answer.
    package var udpPorts: [UInt16]
    /// Some flow or container port is SCTP.
    package var answersSCTP = false
    /// nil: no DNS capture.
    package var agent: DNSAgentPlan?
    /// The containers in whose place programs run.
    package var containers: [ContainerPlan]

    package init(
        pod: ClusterPod, nodeInterface: String, ruleset: Ruleset, proxy: ProxyConfiguration?,
        tcpPorts: [UInt16] = [], udpPorts: [UInt16] = [], agent: DNSAgentPlan? = nil,
        containers: [ContainerPlan] = []
    ) {
        self.pod = pod
        self.nodeInterface = nodeInterface
        self.ruleset = ruleset
        self.proxy = proxy
        self.tcpPorts = tcpPorts
        self.udpPorts = udpPorts
        self.agent = agent
        self.containers = containers
    }
}

/// A node: Service translation for calls that begin there, and NetworkPolicy for its own pods. The only node of a lab
/// also has the watch at the cluster's boundary.
package struct NodePlan: Sendable {
    package var name: String
    package var addresses: [IPAddress]
    package var ruleset: Ruleset
    /// What each drop-log prefix stands for: the policies that isolate the pod, and the direction.
    package var dropReasons: [String: DropReason]
    /// Sets of the rules that fill while the lab runs.
    package var nameSets: [NameSet]

    package init(
        name: String, addresses: [IPAddress], ruleset: Ruleset, dropReasons: [String: DropReason] = [:],
        nameSets: [NameSet] = []
    ) {
        self.name = name
        self.addresses = addresses
        self.ruleset = ruleset
        self.dropReasons = dropReasons
        self.nameSets = nameSets
    }
}

/// What joins several nodes with each other and with the internet.
package struct FabricPlan: Sendable {
    /// The watch at the cluster's boundary, and its firewall.
    package var ruleset: Ruleset

    package init(ruleset: Ruleset) { self.ruleset = ruleset }
}

/// The firewall at the cluster's boundary, as far as its log is concerned; the rules are the node's or the fabric's.
package struct FirewallPlan: Sendable, Equatable {
    /// Where the scenario asks for it.
    package var origin: Origin
    /// Who has an address: `default/sleep-1`, `node/worker`.
    package var owners: [IPAddress: String]

    package init(origin: Origin, owners: [IPAddress: String]) {
        self.origin = origin
        self.owners = owners
    }
}

/// Why the node dropped a packet.
package struct DropReason: Sendable, Equatable {
    /// nil: the pod whose address is the packet's source (Egress) or destination (Ingress).
    package var pod: PodID?
    /// The Service (`namespace/name`) whose load balancer does not take the caller; nil: policies dropped it.
    package var service: String?
    package var direction: NetworkPolicy.Direction
    /// The policies that isolate the pod in that direction, or the rule that denies.
    package var policies: [Origin]

    package init(pod: PodID?, service: String? = nil, direction: NetworkPolicy.Direction, policies: [Origin]) {
        self.pod = pod
        self.service = service
        self.direction = direction
        self.policies = policies
    }
}

/// The world outside: every address answers; these have names and known servers.
package struct InternetPlan: Sendable {
    package var hosts: [InternetHost]
    /// Some flow is SCTP.
    package var answersSCTP = false
    package var ruleset: Ruleset

    package init(hosts: [InternetHost], ruleset: Ruleset) {
        self.hosts = hosts
        self.ruleset = ruleset
    }
}

/// What the cluster's DNS server answers.
package struct DNSPlan: Sendable {
    package var clusterDomain: String
    /// The addresses in pods' `resolv.conf`: kube-dns' ClusterIPs.
    package var nameservers: [IPAddress]
    /// The pod that serves them.
    package var pod: PodID
    /// Fully qualified names (lower case, without a final dot) inside the cluster.
    package var records: [String: [IPAddress]]
    /// Names of Services of type ExternalName, and what they stand for; `records` has their addresses, too.
    package var aliases: [String: String] = [:]
    /// Names outside: exact ones and `*.suffix`.
    package var internetRecords: [String: [IPAddress]]

    package init(
        clusterDomain: String = "cluster.local", nameservers: [IPAddress], pod: PodID,
        records: [String: [IPAddress]], internetRecords: [String: [IPAddress]]
    ) {
        self.clusterDomain = clusterDomain
        self.nameservers = nameservers
        self.pod = pod
        self.records = records
        self.internetRecords = internetRecords
    }

    /// The search domains of a pod's `resolv.conf`, in order; `ndots` is 5.
    package func searchDomains(namespace: String) -> [String] {
        ["\(namespace).svc.\(clusterDomain)", "svc.\(clusterDomain)", clusterDomain]
    }
}

/// Numbers that the plan and the observers agree upon.
package enum LabConstants {
    /// NFLOG group of all drop rules.
    package static let dropLogGroup: UInt16 = 1
    /// NFLOG group of the boundary's rule: the first packet of each flow that leaves for the internet.
    package static let boundaryLogGroup: UInt16 = 2
    /// NFLOG group of the internet's arrival rule: the first packet of each flow that came in.
    package static let arrivalLogGroup: UInt16 = 3
    /// Prefix of what the firewall at the boundary drops; no policy's prefix is like it.
    package static let firewallPrefix = "boundary"
    /// Bytes of each logged packet that are kept.
    package static let logSnapLength: UInt32 = 256
    /// The link of the only node, or of the fabric, to the internet, in both namespaces.
    package static let internetInterface = "internet"
    package static let nodeInterfaceInInternet = "cluster"
    /// A node's link to the fabric.
    package static let fabricInterface = "fabric"
    /// TCP port of the internet's one listener; every connection is redirected there.
    package static let internetTCPPort: UInt16 = 1
    /// UDP port of the internet's echo server; every datagram but DNS is redirected there.
    package static let internetUDPPort: UInt16 = 1
    package static let dnsPort: UInt16 = 53
    /// Where a pod's DNS agent listens, on the loopback addresses.
    package static let dnsAgentPort: UInt16 = 15053
    /// The proxy's administration interface, on the loopback address.
    package static let adminPort: UInt16 = 15000
    /// Health and metrics of proxy, agent and application.
    package static let statusPort: UInt16 = 15020
    package static let healthPort: UInt16 = 15021
    /// Metrics of the proxy alone.
    package static let metricsPort: UInt16 = 15090
}
