import ProxyModel

/// A configuration made ready for use; never changed.
final class ProxySnapshot: Sendable {
    let model: ProxyConfiguration
    let listeners: ListenerTable
    let routes: [String: VirtualHostTable]
    let authorizations: AuthorizationTable
    let logNeeds: AccessLogNeeds

    init(_ model: ProxyConfiguration) throws {
        self.model = model
        logNeeds = AccessLogNeeds(model)
        listeners = ListenerTable(model.listeners)
        authorizations = try AuthorizationTable(model.listeners)
        var routes: [String: VirtualHostTable] = [:]
        for route in model.routes where routes[route.name] == nil { routes[route.name] = try VirtualHostTable(route) }
        self.routes = routes
    }
}
