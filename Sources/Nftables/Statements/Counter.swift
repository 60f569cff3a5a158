/// Counts packets and bytes that come this far.
package struct Counter: Statement {
    package init() {}
    package var text: String { "counter packets 0 bytes 0" }
}
