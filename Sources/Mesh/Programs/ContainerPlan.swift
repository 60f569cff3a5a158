package import ProxyModel

/// A container in whose place a program runs.
package struct ContainerPlan: Sendable, Equatable {
    package enum Program: Sendable, Equatable {
        case sniProxy(SNIProxyConfiguration)
    }

    /// The container's name.
    package var name: String
    package var program: Program

    package init(name: String, program: Program) {
        self.name = name
        self.program = program
    }
}
