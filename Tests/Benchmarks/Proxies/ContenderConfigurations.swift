import Foundation
import Netlink
import NetworkAddresses
import ProxyModel

/// The same task in each proxy's words: TCP to the original destination, TLS by its server name, HTTP by its Host. One
/// worker thread, no access log.
enum RivalConfigurations {
    /// nginx can't connect to the original destination: its upstreams are fixed.
    static func nginx(folder: URL) -> String {
        let name = ProxyWires.serverName
        let origin = ProxyWires.origin
        return """
            load_module \(ProxyContender.nginxStreamModule);
            user root;
            daemon off;
            worker_processes 1;
            worker_rlimit_nofile \(DescriptorLimit.current);
            pid \(folder.path)/nginx.pid;
            error_log \(folder.path)/error.log error;
            events { worker_connections \(DescriptorLimit.current); }
            stream {
                map $ssl_preread_server_name $sni_upstream {
                    hostnames;
                    \(name) \(origin):\(ProxyWires.Service.sni.rawValue);
                    *.example.test \(origin):\(ProxyWires.Service.sni.rawValue);
                }
                server {
                    listen \(ProxyWires.Service.tcp.proxyPort) backlog=4096;
                    proxy_pass \(origin):\(ProxyWires.Service.tcp.rawValue);
                }
                server {
                    listen \(ProxyWires.Service.sni.proxyPort) backlog=4096;
                    ssl_preread on;
                    proxy_pass $sni_upstream;
                }
                server {
                    listen \(ProxyWires.Service.flood.proxyPort) backlog=4096;
                    proxy_pass \(origin):\(ProxyWires.Service.flood.rawValue);
                }
            }
            http {
                access_log off;
                client_body_temp_path \(folder.path)/body;
                proxy_temp_path \(folder.path)/proxy;
                fastcgi_temp_path \(folder.path)/fastcgi;
                uwsgi_temp_path \(folder.path)/uwsgi;
                scgi_temp_path \(folder.path)/scgi;
                keepalive_requests 1000000000;
                keepalive_timeout 300;
                upstream service {
                    server \(origin):\(ProxyWires.Service.http.rawValue);
                    keepalive 256;
                    keepalive_requests 1000000000;
                }
                server {
                    listen \(ProxyWires.Service.http.proxyPort) backlog=4096;
                    server_name \(name);
                    location / {
                        proxy_pass http://service;
                        proxy_http_version 1.1;
                        proxy_set_header Connection "";
                        proxy_set_header Host $host;
                    }
                }
            }

            """
    }

    static var haproxy: String {
        """
        global
            nbthread 1
            maxconn \(DescriptorLimit.current / 2 - 100)
            ulimit-n \(DescriptorLimit.current)
        defaults
            timeout connect 5s
            timeout client 300s
            timeout server 300s
        listen tcp
            mode tcp
            bind :\(ProxyWires.Service.tcp.proxyPort) backlog 4096
            bind :\(ProxyWires.Service.flood.proxyPort) backlog 4096
            server origin 0.0.0.0
        frontend sni
            mode tcp
            bind :\(ProxyWires.Service.sni.proxyPort) backlog 4096
            tcp-request inspect-delay 5s
            tcp-request content accept if { req.ssl_hello_type 1 }
            use_backend sni if { req.ssl_sni -i \(ProxyWires.serverName) }
        backend sni
            mode tcp
            server origin 0.0.0.0
        frontend http
            mode http
            bind :\(ProxyWires.Service.http.proxyPort) backlog 4096
            use_backend http if { hdr(host) -i \(ProxyWires.serverName) }
        backend http
            mode http
            http-reuse always
            server origin \(ProxyWires.origin):\(ProxyWires.Service.http.rawValue)

        """
    }
}

/// The bundled proxy's.
enum OwnConfiguration {
    static func json() throws -> Data {
        let original = Cluster(name: "original", discovery: .originalDestination)
        let service = Cluster(
            name: "service", discovery: .staticEndpoints,
            endpoints: [Endpoint(host: "\(ProxyWires.origin)", port: ProxyWires.Service.http.rawValue)])
        let forward = ForwardAction(clusters: [WeightedCluster(name: "service")])
        let host = VirtualHost(
            name: "service", domains: [ProxyWires.serverName],
            routes: [Route(name: "default", match: RouteMatch(path: .prefix("/")), action: .forward(forward))])
        let tcp = FilterChain(name: "tcp", filter: .tcpProxy(TCPProxy(cluster: "original")))
        let sni = FilterChain(
            name: "sni", match: FilterChainMatch(serverNames: [ProxyWires.serverName]),
            filter: .tcpProxy(TCPProxy(cluster: "original")))
        let http = FilterChain(
            name: "http",
            filter: .httpConnectionManager(HTTPConnectionManager(statPrefix: "http", routeConfiguration: "http")))
        let listeners = [
            listener(.tcp, tcp), listener(.flood, tcp), listener(.sni, sni, filters: [.tlsInspector]),
            listener(.http, http),
        ]
        let node = ProxyNode(id: "bench", role: .sidecar, namespace: "bench", pod: "bench", workload: "bench")
        return try JSONEncoder().encode(
            ProxyConfiguration(
                node: node, listeners: listeners,
                routes: [RouteConfiguration(name: "http", virtualHosts: [host])], clusters: [original, service]))
    }

    private static func listener(
        _ service: ProxyWires.Service, _ chain: FilterChain, filters: [Listener.ListenerFilter] = []
    ) -> Listener {
        Listener(
            name: "\(service)", addresses: [IPEndpoint(.anyIPv4, service.proxyPort)], trafficDirection: .outbound,
            bindToPort: true, listenerFilters: filters, filterChains: [chain])
    }
}

/// Envoy's, written by hand: the plain proxy, without what the lab asks of it.
enum EnvoyConfiguration {
    static func json() throws -> Data {
        let listeners = [
            listener(.tcp, chain(tcp)), listener(.flood, chain(tcp)),
            listener(
                .sni, chain(tcp, ["server_names": [ProxyWires.serverName]]),
                filters: [
                    filter("envoy.filters.listener.tls_inspector", "filters.listener.tls_inspector.v3.TlsInspector")
                ]),
            listener(.http, chain(http), filters: []),
        ]
        let limits = ["thresholds": [Dictionary(uniqueKeysWithValues: limitNames.map { ($0, 1_000_000) })]]
        let endpoint = ["endpoint": address(ProxyWires.origin, ProxyWires.Service.http.rawValue)]
        let clusters: [[String: Any]] = [
            [
                "name": "original", "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED",
                "connect_timeout": "5s", "circuit_breakers": limits,
            ],
            [
                "name": "service", "type": "STATIC", "connect_timeout": "5s", "circuit_breakers": limits,
                "load_assignment": [
                    "cluster_name": "service", "endpoints": [["lb_endpoints": [endpoint]]],
                ] as [String: Any],
            ],
        ]
        return try JSONSerialization.data(withJSONObject: [
            "static_resources": ["listeners": listeners, "clusters": clusters]
        ])
    }

    private static let limitNames = ["max_connections", "max_pending_requests", "max_requests"]
    private static var tcp: [String: Any] {
        filter(
            "envoy.filters.network.tcp_proxy", "filters.network.tcp_proxy.v3.TcpProxy",
            ["stat_prefix": "tcp", "cluster": "original"])
    }

    private static var http: [String: Any] {
        let route: [String: Any] = ["match": ["prefix": "/"], "route": ["cluster": "service"]]
        let host: [String: Any] = ["name": "service", "domains": [ProxyWires.serverName], "routes": [route]]
        let table: [String: Any] = ["name": "http", "virtual_hosts": [host]]
        return filter(
            "envoy.filters.network.http_connection_manager",
            "filters.network.http_connection_manager.v3.HttpConnectionManager",
            [
                "stat_prefix": "http", "route_config": table,
                "http_filters": [filter("envoy.filters.http.router", "filters.http.router.v3.Router")],
            ])
    }

    private static func filter(_ name: String, _ type: String, _ fields: [String: Any] = [:]) -> [String: Any] {
        let typed = fields.merging(["@type": "type.googleapis.com/envoy.extensions.\(type)"]) { $1 }
        return ["name": name, "typed_config": typed]
    }

    private static func chain(_ filter: [String: Any], _ match: [String: Any] = [:]) -> [String: Any] {
        ["filters": [filter], "filter_chain_match": match]
    }

    private static func listener(
        _ service: ProxyWires.Service, _ chain: [String: Any], filters: [[String: Any]] = []
    ) -> [String: Any] {
        let destination = filter(
            "envoy.filters.listener.original_dst", "filters.listener.original_dst.v3.OriginalDst")
        return [
            "name": "\(service)", "filter_chains": [chain],
            "listener_filters": (service == .http ? [] : [destination]) + filters, "tcp_backlog_size": 4096,
        ].merging(address(.anyIPv4, service.proxyPort)) { $1 }
    }

    private static func address(_ address: IPAddress, _ port: UInt16) -> [String: Any] {
        ["address": ["socket_address": ["address": "\(address)", "port_value": Int(port)] as [String: Any]]]
    }
}
