import NIOCore
import NetworkAddresses
import ProxyModel
import RegularExpressions

/// The pages of the bundled proxy's administration interface, made when they are asked for; in Envoy's words, paths and
/// forms. Confined to the worker's loop.
struct AdminPages {
    let worker: ProxyWorker

    /// What is known by a path: whether it changes something, and what `/help` says.
    private static let commands: [(path: String, changes: Bool, help: String)] = [
        ("/certs", false, "print certs on machine"),
        ("/clusters", false, "upstream cluster status"),
        ("/config_dump", false, "dump current configuration, as Envoy would have it"),
        ("/drain_listeners", true, "drain listeners"),
        ("/healthcheck/fail", true, "cause the server to fail health checks"),
        ("/healthcheck/ok", true, "cause the server to pass health checks"),
        ("/help", false, "print out list of admin commands"),
        ("/listeners", false, "print listener info"),
        ("/logging", true, "query/change logging levels"),
        ("/quitquitquit", true, "exit the server"),
        ("/ready", false, "print server state, return 200 if LIVE, otherwise return 503"),
        ("/reset_counters", true, "reset all counters to zero"),
        ("/server_info", false, "print server version/status information"),
        ("/stats", false, "print server stats"),
        ("/stats/prometheus", false, "print server stats in prometheus format"),
    ]

    /// The answer; nil for paths that are Envoy's, but not a bundled proxy's own affair.
    func answer(_ request: AdminRequest) -> AdminAnswer? {
        if let command = Self.commands.first(where: { $0.path == request.path }), command.changes,
            request.method != "POST"
        {
            return .postRequired(request.method)
        }
        switch request.path {
        case "/config_dump", "/quitquitquit": return nil
        case "/", "/help": return AdminAnswer("admin commands are:\n" + Self.help)
        case "/ready": return AdminAnswer(status: worker.admin.isLive ? 200 : 503, worker.admin.state + "\n")
        case "/stats": return StatisticsPage(worker).answer(request)
        case "/stats/prometheus": return StatisticsPage(worker).prometheus(request)
        case "/clusters": return AdminAnswer(clusters(matching: request.query["filter"]))
        case "/listeners": return request.query["format"] == "json" ? .json(listenersJSON) : AdminAnswer(listeners)
        case "/certs": return .json(CertificatesPage(worker.snapshot?.model.secrets ?? []).json)
        case "/server_info": return .json(serverInfo)
        case "/logging": return logging(request)
        case "/reset_counters":
            worker.statistics.resetCounters()
            return AdminAnswer("OK\n")
        case "/drain_listeners":
            worker.drainListeners(inboundOnly: request.query["inboundonly"] != nil)
            return AdminAnswer("OK\n")
        case "/healthcheck/fail", "/healthcheck/ok":
            worker.admin.failsHealthChecks = request.path == "/healthcheck/fail"
            return AdminAnswer("OK\n")
        default: return AdminAnswer(status: 404, "invalid path. admin commands are:\n" + Self.help)
        }
    }

    private static var help: String {
        commands.map { "  \($0.path)\($0.changes ? " (POST)" : ""): \($0.help)\n" }.joined()
    }

    // MARK: Pages

    /// Envoy: `ClustersHandler::writeClustersAsText`.
    private func clusters(matching filter: String?) -> String {
        let pattern = filter.flatMap { try? RegularExpression(searching: $0) }
        var page = ""
        for model in worker.snapshot?.model.clusters ?? [] {
            guard let cluster = worker.clusters[model.name], pattern?.matchesWhole(model.name) ?? true else {
                continue
            }
            let name = model.name
            let limits = cluster.model.circuitBreakers
            let unlimited = 4_294_967_295
            page += "\(name)::observability_name::\(name)\n"
            for (priority, isDefault) in [("default", true), ("high", false)] {
                let limits = isDefault ? limits : nil
                page += "\(name)::\(priority)_priority::max_connections::\(limits?.maxConnections ?? unlimited)\n"
                page +=
                    "\(name)::\(priority)_priority::max_pending_requests::\(limits?.maxPendingRequests ?? unlimited)\n"
                page += "\(name)::\(priority)_priority::max_requests::\(limits?.maxRequests ?? unlimited)\n"
                page += "\(name)::\(priority)_priority::max_retries::\(limits?.maxRetries ?? unlimited)\n"
            }
            page += "\(name)::added_via_api::true\n"
            for host in cluster.allHosts { page += lines(of: host, in: name) }
        }
        return page
    }

    private func lines(of host: UpstreamHost, in cluster: String) -> String {
        let counted = host.counted
        let facts: [(String, String)] = [
            ("cx_active", "\(counted.active)"), ("cx_connect_fail", "\(counted.connectFailures)"),
            ("cx_total", "\(counted.connections)"), ("rq_active", "\(host.active)"),
            ("rq_error", "\(counted.errors)"), ("rq_success", "\(counted.successes)"),
            ("rq_timeout", "\(counted.timeouts)"), ("rq_total", "\(counted.requests)"), ("hostname", ""),
            ("health_flags", host.isEjected ? "/failed_outlier_check" : "healthy"), ("weight", "\(host.weight)"),
            ("region", ""), ("zone", ""),
            ("sub_zone", ""), ("canary", "false"), ("priority", "0"), ("success_rate", "-1"),
            ("local_origin_success_rate", "-1"),
        ]
        return facts.map { "\(cluster)::\(host.endpoint)::\($0)::\($1)\n" }.joined()
    }

    private var listenerAddresses: [(name: String, address: IPEndpoint)] {
        (worker.snapshot?.model.listeners ?? []).flatMap { listener in
            listener.addresses.map { (listener.name, $0) }
        }
    }

    private var listeners: String { listenerAddresses.map { "\($0.name)::\($0.address)\n" }.joined() }

    private var listenersJSON: String {
        let entries = listenerAddresses.map { name, address in
            #"{"name":\#(JSONText.quoted(name)),"local_address":{"socket_address":{"address":"#
                + #"\#(JSONText.quoted(address.address.description)),"port_value":\#(address.port)}}}"#
        }
        return #"{"listener_statuses":[\#(entries.joined(separator: ","))]}"#
    }

    private var serverInfo: String {
        let uptime = "\(worker.admin.startedAt.millisecondsAgo / 1000)s"
        let node = worker.snapshot?.model.node
        return """
            {
             "version": "egress-lab/bundled",
             "state": "\(worker.admin.state)",
             "uptime_current_epoch": "\(uptime)",
             "uptime_all_epochs": "\(uptime)",
             "hot_restart_version": "disabled",
             "command_line_options": {"concurrency": 1, "disable_hot_restart": true},
             "node": {"id": \(JSONText.quoted(node?.id ?? "")), "cluster": \
            \(JSONText.quoted(node.map { "\($0.workload).\($0.namespace)" } ?? ""))}
            }
            """
    }

    // MARK: Log levels

    private func logging(_ request: AdminRequest) -> AdminAnswer {
        var changes: [(logger: String, level: String)] = []
        for (name, value) in request.query {
            switch name {
            case "level": changes += ProxyLog.Logger.allCases.map { ($0.rawValue, value) }
            case "paths", "group":
                for item in value.split(separator: ",") {
                    let pair = item.split(separator: ":", maxSplits: 1).map(String.init)
                    if pair.count == 2 { changes.append((pair[0], pair[1])) }
                }
            default: changes.append((name, value))
            }
        }
        var wanted: [(ProxyLog.Logger, ProxyLog.Level)] = []
        for change in changes {
            guard let level = ProxyLog.Level(rawValue: change.level) else { return refusal("unknown logger level") }
            guard let logger = ProxyLog.Logger(rawValue: change.logger) else { return refusal("unknown logger name") }
            wanted.append((logger, level))
        }
        for (logger, level) in wanted { worker.admin.log.set(level, of: logger) }
        return AdminAnswer(activeLoggers)
    }

    private func refusal(_ reason: String) -> AdminAnswer {
        AdminAnswer(
            status: 400,
            """
            error: \(reason)

            usage: /logging?<name>=<level> (change single level)
            usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)
            usage: /logging?level=<level> (change all levels)
            levels: \(ProxyLog.Level.allCases.map(\.rawValue).joined(separator: " "))
            \(activeLoggers)
            """)
    }

    private var activeLoggers: String {
        "active loggers:\n"
            + ProxyLog.Logger.allCases.map { "  \($0): \(worker.admin.log.level(of: $0))\n" }.joined()
    }
}

/// What the administration interface knows of a proxy beside its configuration. Confined to the worker's loop.
struct AdminState {
    let startedAt: NIODeadline
    var log = ProxyLog()
    var isDraining = false
    var failsHealthChecks = false

    var isLive: Bool { state == "LIVE" }
    var state: String { isDraining || failsHealthChecks ? "DRAINING" : "LIVE" }
}
