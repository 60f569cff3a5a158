import NetworkAddresses

extension JSON {
    /// Envoy: `config.core.v3.Address`.
    static func address(_ endpoint: IPEndpoint) -> JSON { ["socket_address": socketAddress(endpoint)] }

    /// Envoy: `config.core.v3.SocketAddress`.
    static func socketAddress(_ endpoint: IPEndpoint) -> JSON {
        socketAddress(host: endpoint.address.description, port: endpoint.port)
    }

    static func socketAddress(host: String, port: UInt16) -> JSON {
        ["address": .string(host), "port_value": .number(Int(port))]
    }

    /// A unix socket.
    static func pipe(_ path: String, mode: Int? = nil) -> JSON {
        ["pipe": ["path": .string(path), "mode": mode.map(JSON.number)]]
    }

    /// Envoy: `config.core.v3.CidrRange`.
    static func range(_ prefix: IPPrefix) -> JSON {
        ["address_prefix": .string(prefix.address.description), "prefix_len": .number(prefix.length)]
    }
}
