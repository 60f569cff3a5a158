/// Envoy: `RouteAction.HashPolicy`: what a request's hash is made of, for clusters that choose hosts by it.
package enum HashPolicy: Codable, Equatable, Sendable {
    case header(String)
    /// With a time to live, clients without the cookie are given one; 0 lasts as long as the client's session.
    case cookie(name: String, ttlMs: Int?, path: String)
    /// The client's address.
    case sourceIP
    case queryParameter(String)
}
