import ProxyModel

/// A configuration made ready for use; never changed.
final class ProxySnapshot: Sendable {
    let model: ProxyConfiguration
    let listeners: ListenerTable
    let routes: [String: VirtualHostTable]

    init(_ model: ProxyConfiguration) throws {
        self.model = model
        listeners = ListenerTable(model.listeners)
        var routes: [String: VirtualHostTable] = [:]
        for route in model.routes where routes[route.name] == nil { routes[route.name] = try VirtualHostTable(route) }
        self.routes = routes
    }
}
