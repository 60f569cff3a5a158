import Manifests
import NetworkAddresses
import ProxyModel

/// Makes the host tables of a gateway's HTTP servers (gateway.md §2).
struct GatewayRoutePass {
    let context: ProxyContext
    let servers: GatewayServers

    static func tableName(plain port: UInt16) -> String { "http.\(port)" }

    /// Behind TLS each server has a table of its own.
    static func tableName(of server: GatewayServers.Server) -> String {
        let (port, gateway) = (server.server.port, server.gateway.metadata)
        return "https.\(port.number).\(port.name).\(gateway.name).\(gateway.namespace)"
    }

    func tables() -> [RouteConfiguration] {
        servers.ports.flatMap { port -> [RouteConfiguration] in
            switch port.kind {
            case .http: [table(name: Self.tableName(plain: port.number), port.servers)]
            case .tls:
                port.servers.filter { $0.terminatesTLS && $0.server.port.protocol == .https }.map {
                    table(name: Self.tableName(of: $0), [$0])
                }
            case .tcp: []
            }
        }
    }

    private func table(name: String, _ servers: [GatewayServers.Server]) -> RouteConfiguration {
        var hosts: [String: VirtualHost] = [:]
        var order: [String] = []
        for server in servers {
            var context = context
            context.gateways = [server.gatewayName]
            let rules = VirtualServicePass(context: context, isTLS: server.terminatesTLS)
            for service in context.scope.virtualServices where !service.rule.http.isEmpty {
                let names = server.hosts(of: service)
                guard !names.isEmpty, let routes = rules.routes(of: service, port: server.port) else { continue }
                for name in names {
                    if hosts[name] == nil {
                        order.append(name)
                        hosts[name] = VirtualHost(
                            name: "\(name):\(server.port)", domains: [name], routes: [],
                            includesAttemptCount: context.includesAttemptCount, origin: server.origin.description)
                    }
                    hosts[name]?.routes += routes
                }
            }
        }
        for (name, server) in Self.redirected(servers) {
            if hosts[name] == nil { order.append(name) }
            hosts[name] = redirection(of: name, server)
        }
        let virtualHosts = order.compactMap { hosts[$0] }.map { host in
            var host = host
            // The rules of several VirtualServices follow each other, those for everything at the end.
            host.routes = host.routes.filter { !$0.isCatchAll } + host.routes.filter(\.isCatchAll)
            return host
        }
        let port = servers.first?.port ?? 0
        let nobody = VirtualHost(
            name: "blackhole:\(port)", domains: ["*"], routes: [], origin: servers.first?.origin.description)
        return RouteConfiguration(
            name: name, virtualHosts: virtualHosts.isEmpty ? [nobody] : virtualHosts, ignoresPortInHost: true)
    }

    /// The hosts of servers with `httpsRedirect`. They need no VirtualService, and one of them changes nothing.
    private static func redirected(_ servers: [GatewayServers.Server]) -> [(String, GatewayServers.Server)] {
        servers.filter { $0.server.tls?.httpsRedirect == true && !$0.terminatesTLS }.flatMap { server in
            server.server.hosts.map { ($0.name.lowercased(), server) }
        }
    }

    private func redirection(of host: String, _ server: GatewayServers.Server) -> VirtualHost {
        VirtualHost(
            name: "\(host):\(server.port)", domains: [host],
            routes: [
                Route(
                    match: RouteMatch(path: .prefix("/")), action: .redirect(RedirectAction(schemeRedirect: "https")),
                    origin: server.origin.description)
            ], includesAttemptCount: context.includesAttemptCount, origin: server.origin.description)
    }
}

extension Route {
    /// Matches every request.
    fileprivate var isCatchAll: Bool {
        guard match.headers.isEmpty, match.queryParameters.isEmpty else { return false }
        return match.path == nil || match.path == .prefix("/") || match.path == .regex(".*")
    }
}
