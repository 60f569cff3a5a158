import NetworkAddresses

extension Pod {
    /// Reads `v1/Pod`.
    init?(reading object: ObjectReader) {
        object.root.check("apiVersion kind metadata spec status")
        guard let field = object.root.required("spec"), let spec = PodSpec(reading: field) else { return nil }
        self.init(metadata: object.metadata, spec: spec)
        guard let status = object.root["status"] else { return }
        addresses = (status["podIPs"]?.list ?? []).compactMap { $0["ip"]?.ipAddress }
        if addresses.isEmpty, let address = status["podIP"], address.node.text != "" {
            addresses = [address.ipAddress].compactMap(\.self)
        }
        // The list is younger than the single address.
        let hosts = status["hostIPs"]?.list.compactMap { $0["ip"]?.ipAddress } ?? []
        hostAddresses = hosts.isEmpty ? [status["hostIP"]?.ipAddress].compactMap(\.self) : hosts
        phase = status["phase"].flatMap { $0.choice() }
        let ready = (status["conditions"]?.list ?? []).first { $0["type"]?.node.text == "Ready" }
        isReady = ready.map { $0["status"]?.node.text == "True" } ?? true
    }

    /// Reads the `template` of a workload.
    init?(readingTemplate field: FieldReader) {
        guard field.check("metadata spec"),
            let metadata = ObjectMeta(reading: field, isClusterScoped: false, isTemplate: true),
            let specField = field.required("spec"), let spec = PodSpec(reading: specField)
        else { return nil }
        self.init(metadata: metadata, spec: spec)
    }
}

extension PodSpec {
    private static let fields: FieldNames = """
        activeDeadlineSeconds affinity automountServiceAccountToken containers dnsConfig dnsPolicy enableServiceLinks
        ephemeralContainers hostAliases hostIPC hostNetwork hostPID hostUsers hostname hostnameOverride
        imagePullSecrets initContainers nodeName nodeSelector os overhead preemptionPolicy priority priorityClassName
        readinessGates resourceClaims resources restartPolicy runtimeClassName schedulerName schedulingGates
        schedulingGroup securityContext serviceAccount serviceAccountName setHostnameAsFQDN shareProcessNamespace
        subdomain terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes workloadRef
        """
    private static let securityFields: FieldNames = """
        appArmorProfile fsGroup fsGroupChangePolicy runAsGroup runAsNonRoot runAsUser seLinuxChangePolicy
        seLinuxOptions seccompProfile supplementalGroups supplementalGroupsPolicy sysctls windowsOptions
        """

    /// Reads a pod's specification.
    init?(reading field: FieldReader) {
        guard field.check(Self.fields) else { return nil }
        let containers = field.required("containers").map { list in
            if list.isList, list.list.isEmpty { list.error("a pod needs at least one container") }
            return list.list.compactMap { Container(reading: $0, isInit: false) }
        }
        let initContainers = field["initContainers"]?.list.compactMap { Container(reading: $0, isInit: true) } ?? []
        guard let containers else { return nil }
        self.init(
            containers: containers, initContainers: initContainers,
            serviceAccountName: (field["serviceAccountName"] ?? field["serviceAccount"])?.string ?? "default",
            nodeName: field["nodeName"]?.string, hostNetwork: field["hostNetwork"]?.boolean ?? false,
            hostname: field["hostname"]?.string, subdomain: field["subdomain"]?.string)
        field.refuse(fields: "dnsConfig hostAliases")
        if let policy = field["dnsPolicy"],
            let name = policy.choice(of: ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"]),
            name == "Default" || name == "None"
        {
            policy.refuse("dnsPolicy \(name) is not supported yet")
        }
        if let security = field["securityContext"], security.check(Self.securityFields) {
            runAsUser = security["runAsUser"]?.userID
            runAsGroup = security["runAsGroup"]?.userID
            for element in security["sysctls"]?.list ?? [] {
                guard element.check("name value"), let name = element.required("name")?.string else { continue }
                sysctls[name] = element.required("value")?.string
            }
        }
        nodeSelector = field["nodeSelector"]?.stringMap ?? [:]
        nodeTerms = NodeTerm.required(by: field["affinity"])
        tolerations = field["tolerations"]?.list.compactMap { Toleration(reading: $0) } ?? []
        volumes = field["volumes"]?.list.compactMap { Volume(reading: $0) } ?? []
        var names: Set<String> = []
        for container in initContainers + containers where !names.insert(container.name).inserted {
            field.say(.error, "the container name \(container.name) is given twice", at: container.location)
        }
    }
}

extension Container {
    private static let fields: FieldNames = """
        args command env envFrom image imagePullPolicy lifecycle livenessProbe name ports readinessProbe resizePolicy
        resources restartPolicy restartPolicyRules securityContext startupProbe stdin stdinOnce
        terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts workingDir
        """
    private static let securityFields: FieldNames = """
        allowPrivilegeEscalation appArmorProfile capabilities privileged procMount readOnlyRootFilesystem runAsGroup
        runAsNonRoot runAsUser seLinuxOptions seccompProfile windowsOptions
        """

    /// What Istio calls the proxy's container.
    private static let proxyName = "istio-proxy"

    /// Reads a container or an init container.
    init?(reading field: FieldReader, isInit: Bool) {
        guard field.check(Self.fields), let name = field.required("name")?.string else { return nil }
        self.init(
            name: name, image: field["image"]?.string ?? "", command: field["command"]?.strings ?? [],
            arguments: field["args"]?.strings ?? [], ports: field["ports"]?.list.compactMap(Self.port) ?? [],
            location: field.location)
        for element in field["env"]?.list ?? [] {
            element.check("name value valueFrom")
            guard let name = element.required("name")?.string, let value = element["value"]?.string else { continue }
            environment[name] = value
            if self.name == Self.proxyName, let field = element["value"] {
                CaptureLists.checkProxyMetadata(name, field)
            }
        }
        volumeMounts = field["volumeMounts"]?.list.compactMap { VolumeMount(reading: $0) } ?? []
        workingDirectory = field["workingDir"]?.string
        probes = ContainerProbes(reading: field, ports: ports)
        isNativeSidecar = isInit && field["restartPolicy"]?.string == "Always"
        guard let security = field["securityContext"], security.check(Self.securityFields) else { return }
        runAsUser = security["runAsUser"]?.userID
        runAsGroup = security["runAsGroup"]?.userID
        security["capabilities"]?.check("add drop")
        addedCapabilities = (security["capabilities"]?["add"]?.strings ?? []).map {
            $0.hasPrefix("CAP_") ? String($0.dropFirst(4)) : $0
        }
        if security["privileged"]?.boolean == true { addedCapabilities.append("ALL") }
    }

    private static func port(_ field: FieldReader) -> Port? {
        guard field.check("containerPort hostIP hostPort name protocol"),
            let number = field.required("containerPort")?.port
        else { return nil }
        field["hostPort"]?.say(.note, "nothing enters from outside through a host port")
        let transport = field["protocol"].map(\.transport) ?? .tcp
        guard let transport else { return nil }
        var port = Port(name: field["name"]?.string, number: number, transport: transport)
        // 0 is as good as none.
        if let host = field["hostPort"], host.node.text != "0" { port.hostPort = host.port }
        if let address = field["hostIP"]?.string, !address.isEmpty { port.hostIP = IPAddress(address) }
        return port
    }
}
