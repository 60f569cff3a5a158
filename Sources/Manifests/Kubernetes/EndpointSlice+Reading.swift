import NetworkAddresses

extension EndpointSlice {
    private static let sliceFields: FieldNames = "apiVersion kind metadata addressType endpoints ports"
    private static let endpointFields: FieldNames = """
        addresses conditions deprecatedTopology hints hostname nodeName targetRef topology zone
        """
    private static let portFields: FieldNames = "appProtocol name port protocol"
    private static let olderFields: FieldNames = "apiVersion kind metadata subsets"
    private static let addressFields: FieldNames = "hostname ip nodeName targetRef"

    /// Reads `discovery.k8s.io/v1/EndpointSlice`.
    init?(reading object: ObjectReader) {
        object.root.check(Self.sliceFields)
        let type = object.root.required("addressType")?.choice(of: ["IPv4", "IPv6", "FQDN"])
        if type == "FQDN" {
            object.root["addressType"]?.warn("endpoints of addressType FQDN lead nowhere: kube-proxy passes over them")
        }
        self.init(metadata: object.metadata, service: object.metadata.labels[Self.serviceLabel])
        if service == nil {
            object.root.warn("the slice belongs to no Service", remedy: "label it \(Self.serviceLabel)")
        }
        let ports = (object.root["ports"]?.list ?? []).compactMap(Self.port)
        guard let type, type != "FQDN" else { return }
        let family: IPFamily = type == "IPv4" ? .ipv4 : .ipv6
        let endpoints = (object.root["endpoints"]?.list ?? []).compactMap { Self.endpoint($0, family) }
        subsets = [Subset(endpoints: endpoints, ports: ports)]
    }

    private static func endpoint(_ field: FieldReader, _ family: IPFamily) -> Endpoint? {
        guard field.check(endpointFields), let list = field.required("addresses") else { return nil }
        let addresses = list.list.compactMap { address(of: $0, family) }
        field["conditions"]?.check("ready serving terminating")
        // No word on it means that it is ready.
        let isReady = field["conditions"]?["ready"]?.boolean ?? true
        return Endpoint(
            addresses: addresses, isReady: isReady, hostname: field["hostname"]?.string,
            nodeName: field["nodeName"]?.string)
    }

    private static func address(of field: FieldReader, _ family: IPFamily) -> IPAddress? {
        guard let address = field.ipAddress else { return nil }
        guard address.family == family else {
            field.error("\(address) is not of addressType \(family == .ipv4 ? "IPv4" : "IPv6")")
            return nil
        }
        return checked(address, field)
    }

    /// Kubernetes refuses addresses of which each machine has its own.
    private static func checked(_ address: IPAddress, _ field: FieldReader) -> IPAddress? {
        guard !address.isLoopback, !address.isLinkLocal, !address.isMulticast else {
            field.error("an endpoint can't have the address \(address): it is not the same for everybody")
            return nil
        }
        return address
    }

    private static func port(_ field: FieldReader) -> Port? {
        guard field.check(portFields) else { return nil }
        // Without a number it stands for all ports, which kube-proxy passes over.
        guard let number = field["port"] else {
            field.warn("a port without number leads nowhere")
            return nil
        }
        guard let number = number.port else { return nil }
        let transport = field["protocol"].map(\.transport) ?? .tcp
        guard let transport else { return nil }
        return Port(name: field["name"]?.string ?? "", number: number, transport: transport)
    }

    /// The slices of `v1/Endpoints`: one for each of its subsets, as the control plane mirrors them.
    static func reading(older object: ObjectReader) -> EndpointSlice? {
        object.root.check(olderFields)
        var slice = EndpointSlice(metadata: object.metadata, isOlderKind: true, service: object.metadata.name)
        for subset in object.root["subsets"]?.list ?? [] {
            guard subset.check("addresses notReadyAddresses ports") else { continue }
            let ports = (subset["ports"]?.list ?? []).compactMap(port)
            let endpoints = [("addresses", true), ("notReadyAddresses", false)].flatMap { key, isReady in
                (subset[key]?.list ?? []).compactMap { field -> Endpoint? in
                    guard field.check(addressFields), let text = field.required("ip"), let address = text.ipAddress,
                        let address = checked(address, text)
                    else { return nil }
                    return Endpoint(
                        addresses: [address], isReady: isReady, hostname: field["hostname"]?.string,
                        nodeName: field["nodeName"]?.string)
                }
            }
            slice.subsets.append(Subset(endpoints: endpoints, ports: ports))
        }
        return slice
    }
}
