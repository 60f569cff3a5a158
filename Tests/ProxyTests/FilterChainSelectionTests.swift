import NetworkAddresses
import Proxy
import ProxyModel
import Testing

@Suite struct FilterChainSelectionTests {
    private static func chain(_ name: String, _ match: FilterChainMatch) -> FilterChain {
        FilterChain(name: name, match: match, filter: .tcpProxy(TCPProxy(cluster: name)))
    }

    private static func listener(_ chains: [FilterChain], fallback: Bool = true) -> Listener {
        Listener(
            name: "l", addresses: [], trafficDirection: .outbound, filterChains: chains,
            defaultFilterChain: fallback ? chain("default", FilterChainMatch()) : nil)
    }

    private static func traits(
        _ destination: String = "203.0.113.67:443", sni: String? = nil, tls: Bool = false, protocols: [String] = []
    ) throws -> ConnectionTraits {
        ConnectionTraits(
            destination: try #require(IPEndpoint(destination)), source: try #require(IPEndpoint("10.244.1.5:40000")),
            serverName: sni, transportProtocol: tls ? .tls : .rawBuffer, applicationProtocols: protocols)
    }

    @Test(
        "server names: exact, then longer suffixes, then none; a suffix does not match its own domain",
        arguments: [
            ("en.wikipedia.org", "exact"), ("de.wikipedia.org", "suffix"), ("a.b.wikipedia.org", "suffix"),
            ("x.long.wikipedia.org", "longer"), ("wikipedia.org", "default"), ("other.org", "default"),
            (nil, "default"),
        ] as [(String?, String)])
    func serverNames(_ name: String?, _ expected: String) throws {
        let listener = Self.listener([
            Self.chain("suffix", FilterChainMatch(serverNames: ["*.wikipedia.org"])),
            Self.chain("longer", FilterChainMatch(serverNames: ["*.long.wikipedia.org"])),
            Self.chain("exact", FilterChainMatch(serverNames: ["en.wikipedia.org"])),
        ])
        #expect(listener.filterChain(for: try Self.traits(sni: name, tls: true))?.name == expected)
    }

    @Test("the longest prefix wins, and there is no way back from it")
    func noBacktracking() throws {
        let wide = try #require(IPPrefix("203.0.113.0/24"))
        let narrow = try #require(IPPrefix("203.0.113.67/32"))
        let listener = Self.listener([
            Self.chain("wide", FilterChainMatch(prefixRanges: [wide], serverNames: ["a.org"])),
            Self.chain("narrow", FilterChainMatch(prefixRanges: [narrow], serverNames: ["b.org"])),
            Self.chain("any", FilterChainMatch()),
        ])
        // The narrow chain wants b.org; neither the wide one nor the one for all addresses is looked at again.
        #expect(listener.filterChain(for: try Self.traits(sni: "a.org", tls: true))?.name == "default")
        #expect(listener.filterChain(for: try Self.traits(sni: "b.org", tls: true))?.name == "narrow")
        #expect(
            listener.filterChain(for: try Self.traits("203.0.113.1:443", sni: "a.org", tls: true))?.name == "wide")
        #expect(listener.filterChain(for: try Self.traits("198.51.100.1:443"))?.name == "any")
    }

    @Test("the destination port comes first: 15001 goes to its own chain")
    func destinationPort() throws {
        let listener = Self.listener([
            Self.chain("blackhole", FilterChainMatch(destinationPort: 15001)),
            Self.chain("rest", FilterChainMatch()),
        ])
        #expect(listener.filterChain(for: try Self.traits("10.244.1.5:15001"))?.name == "blackhole")
        #expect(listener.filterChain(for: try Self.traits())?.name == "rest")
    }

    @Test("transport before application protocol; HTTP/1.0 matches neither http/1.1 nor h2c")
    func protocols() throws {
        let listener = Self.listener([
            Self.chain(
                "http", FilterChainMatch(transportProtocol: .rawBuffer, applicationProtocols: ["http/1.1", "h2c"])),
            Self.chain("tls", FilterChainMatch(transportProtocol: .tls)),
        ])
        #expect(listener.filterChain(for: try Self.traits(protocols: ["http/1.1"]))?.name == "http")
        #expect(listener.filterChain(for: try Self.traits(protocols: ["http/1.0"]))?.name == "default")
        #expect(listener.filterChain(for: try Self.traits(tls: true, protocols: ["h2", "http/1.1"]))?.name == "tls")
        #expect(Self.listener([], fallback: false).filterChain(for: try Self.traits()) == nil)
    }

    @Test("of equal chains the first one wins")
    func equalChains() throws {
        let listener = Self.listener([
            Self.chain("older", FilterChainMatch(serverNames: ["a.org"])),
            Self.chain("newer", FilterChainMatch(serverNames: ["a.org"])),
        ])
        #expect(listener.filterChain(for: try Self.traits(sni: "a.org", tls: true))?.name == "older")
    }

    @Test("a connection goes to the exact address, the wildcard of its family, else stays")
    func listenerTable() throws {
        func listener(_ name: String, _ address: String, capture: Bool = false) throws -> Listener {
            Listener(
                name: name, addresses: [try #require(IPEndpoint(address))], trafficDirection: .outbound,
                bindToPort: capture, useOriginalDestination: capture)
        }
        let capture = try listener("virtualOutbound", "0.0.0.0:15001", capture: true)
        let inbound = Listener(
            name: "virtualInbound", addresses: [try #require(IPEndpoint("0.0.0.0:15006"))],
            trafficDirection: .inbound, bindToPort: true)
        let table = ListenerTable([
            capture, inbound, try listener("wild", "0.0.0.0:80"), try listener("exact", "10.96.0.10:80"),
            try listener("wild6", "[::]:80"),
        ])
        func find(_ destination: String, _ capturing: Listener) throws -> String {
            table.listener(for: try #require(IPEndpoint(destination)), capturedBy: capturing).name
        }
        #expect(try find("10.96.0.10:80", capture) == "exact")
        #expect(try find("203.0.113.1:80", capture) == "wild")
        #expect(try find("[2001:db8::1]:80", capture) == "wild6")
        #expect(try find("203.0.113.1:443", capture) == "virtualOutbound")
        #expect(try find("10.244.1.5:15001", capture) == "virtualOutbound")
        #expect(try find("10.244.1.5:80", inbound) == "virtualInbound")
    }
}
