package import NetworkAddresses

/// Servers outside the cluster: names, their addresses, and what listens on which port.
package struct InternetHost: Sendable, Equatable, Codable {
    /// What a declared port speaks.
    package enum PortKind: String, Sendable, Codable {
        case http = "HTTP"
        case https = "HTTPS"
        case tcp = "TCP"
        case udp = "UDP"
        case tls = "TLS"
    }

    /// What answers there.
    package enum App: String, Sendable, Codable, CaseIterable {
        case httpbin
        case redirectToHTTPS = "redirect-to-https"
        case echo
        /// Speaks first, as SMTP and SSH servers do: `220 ready`, then echo.
        case banner
        /// Istio's sample of an external authorizer: allows what has the header `x-ext-authz: allow`.
        case externalAuthorizer = "ext-authz"
    }

    /// The certificate of an HTTPS or TLS port, where it is not simply a right one.
    package struct ServerCertificate: Sendable, Equatable, Codable {
        package enum Issuer: String, Sendable, Codable, CaseIterable {
            /// The lab's authority, which clients trust.
            case lab
            /// Nobody's but its own.
            case `self`
            /// An authority that nobody trusts.
            case unknown
        }

        package enum Validity: String, Sendable, Codable, CaseIterable {
            case valid, expired
            case notYetValid = "not-yet-valid"
        }

        /// nil: the host's own names.
        package var names: [String]?
        package var issuer: Issuer
        package var validity: Validity

        package init(names: [String]? = nil, issuer: Issuer = .lab, validity: Validity = .valid) {
            self.names = names
            self.issuer = issuer
            self.validity = validity
        }
    }

    package struct Port: Sendable, Equatable, Codable {
        package var number: UInt16
        package var kind: PortKind
        package var app: App
        /// `1.1`, `2` or both: by ALPN inside TLS, by prior knowledge without. nil: what the lab's servers speak.
        package var httpVersions: [String]?
        /// nil: a right one for each name of the host.
        package var certificate: ServerCertificate?

        package init(
            number: UInt16, kind: PortKind, app: App, httpVersions: [String]? = nil,
            certificate: ServerCertificate? = nil
        ) {
            self.number = number
            self.kind = kind
            self.app = app
            self.httpVersions = httpVersions
            self.certificate = certificate
        }
    }

    /// Exact names, or `*.suffix`.
    package var hosts: [String]
    package var addresses: [IPAddress]
    package var ports: [Port]

    package init(hosts: [String], addresses: [IPAddress], ports: [Port] = []) {
        self.hosts = hosts
        self.addresses = addresses
        self.ports = ports
    }
}
