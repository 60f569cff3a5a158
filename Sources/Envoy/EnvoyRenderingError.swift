/// Something of a proxy's configuration that Envoy can't do as the model means it.
package struct EnvoyRenderingError: Error, Equatable, CustomStringConvertible {
    /// `route '80', virtual host 'httpbin.org:80'`.
    package let place: String
    package let problem: String
    package let remedy: String

    package var description: String { "Envoy can't be given \(place): \(problem); \(remedy)" }
}
