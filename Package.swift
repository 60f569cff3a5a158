// swift-tools-version: 6.0
import PackageDescription

/// Settings of every Swift target: the upcoming language modes that make dependencies and existentials visible.
let settings: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
]

/// lld, which comes with Swift, keeps constants out of the pages that each process writes to.
let linker: [LinkerSetting] = [.unsafeFlags(["-use-ld=lld"], .when(configuration: .release))]

func nio(_ name: String) -> Target.Dependency { .product(name: name, package: "swift-nio") }
func http2(_ name: String) -> Target.Dependency { .product(name: name, package: "swift-nio-http2") }

let package = Package(
    name: "egress-lab",
    products: [.executable(name: "egress-lab", targets: ["egress-lab"])],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-nio-http2", from: "1.46.0"),
        .package(url: "https://github.com/apple/swift-certificates", from: "1.21.1"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-asn1", from: "1.7.4"),
    ],
    targets: [
        .systemLibrary(name: "CMnl", path: "Sources/CMnl", pkgConfig: "libmnl", providers: [.apt(["libmnl-dev"])]),
        .systemLibrary(
            name: "CNftnl", path: "Sources/CNftnl", pkgConfig: "libnftnl", providers: [.apt(["libnftnl-dev"])]),
        .systemLibrary(name: "CLdns", path: "Sources/CLdns", pkgConfig: "ldns", providers: [.apt(["libldns-dev"])]),
        .target(name: "CLinux", dependencies: ["CMnl", "CNftnl"], cSettings: [.define("_GNU_SOURCE")]),
        .target(name: "CRE2", linkerSettings: [.linkedLibrary("re2")]),
        .target(name: "RegularExpressions", dependencies: ["CRE2"]),
        .target(name: "NetworkAddresses"),
        .target(name: "Netlink", dependencies: ["CLinux", "CMnl", "NetworkAddresses"]),
        .target(name: "Nftables", dependencies: ["Netlink", "CLinux", "CMnl", "CNftnl", "NetworkAddresses"]),
        .target(name: "Manifests", dependencies: ["NetworkAddresses", "RegularExpressions", "Yams"]),
        .target(name: "ProxyModel", dependencies: ["NetworkAddresses"]),
        .target(
            name: "Proxy",
            dependencies: [
                "ProxyModel", "NetworkAddresses", "RegularExpressions", nio("NIOCore"), nio("NIOPosix"),
                nio("NIOHTTP1"), nio("NIOConcurrencyHelpers"), nio("NIOTLS"), http2("NIOHTTP2"), http2("NIOHPACK"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
            ]),
        .target(
            name: "Envoy",
            dependencies: [
                "ProxyModel", "Proxy", "Netlink", "NetworkAddresses", nio("NIOCore"), nio("NIOPosix"),
                nio("NIOHTTP1"), nio("NIOConcurrencyHelpers"),
            ]),
        .target(
            name: "DNS",
            dependencies: [
                "CLdns", "NetworkAddresses", "Proxy", nio("NIOCore"), nio("NIOPosix"), nio("NIOConcurrencyHelpers"),
            ]),
        .target(
            name: "Mesh",
            dependencies: [
                "Manifests", "ProxyModel", "Nftables", "NetworkAddresses",
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
            ]),
        .target(name: "PolicyOracle", dependencies: ["Manifests", "NetworkAddresses"]),
        .target(name: "Evidence", dependencies: ["Manifests", "NetworkAddresses"]),
        .target(
            name: "Lab",
            dependencies: [
                "Mesh", "PolicyOracle", "Evidence", "Manifests", "Proxy", "Envoy", "ProxyModel", "Nftables", "Netlink",
                "CLinux", "DNS", "NetworkAddresses", nio("NIOCore"), nio("NIOPosix"), nio("NIOHTTP1"),
                nio("NIOConcurrencyHelpers"),
                nio("NIOTLS"), http2("NIOHTTP2"), http2("NIOHPACK"), .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
            ]),
        .target(name: "Control", dependencies: ["CLinux", "Netlink"]),
        .target(
            name: "Standing",
            dependencies: [
                "Control", "Lab", "Mesh", "Evidence", "Manifests", "Proxy", "ProxyModel", "Netlink", "NetworkAddresses",
                "RegularExpressions", "CLinux", nio("NIOCore"), nio("NIOPosix"), "Yams",
            ]),
        .target(name: "Reports", dependencies: ["Evidence", "Manifests", "NetworkAddresses"]),
        .executableTarget(
            name: "egress-lab",
            dependencies: [
                "Lab", "Mesh", "Evidence", "Manifests", "Proxy", "Envoy", "ProxyModel", "Nftables", "Netlink",
                "Reports", "Control", "Standing",
                "NetworkAddresses", "DNS", nio("NIOPosix"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            linkerSettings: linker),
        .target(
            name: "TestSupport", dependencies: ["Envoy", "Netlink", "CLinux", "NetworkAddresses"],
            path: "Tests/TestSupport"),
        .testTarget(name: "ArchitectureTests"),
        .testTarget(name: "RegularExpressionsTests", dependencies: ["RegularExpressions"]),
        .testTarget(name: "NetworkAddressesTests", dependencies: ["NetworkAddresses"]),
        .testTarget(name: "NetlinkTests", dependencies: ["Netlink", "CLinux", "NetworkAddresses", "TestSupport"]),
        .testTarget(
            name: "NftablesTests", dependencies: ["Nftables", "Netlink", "CLinux", "NetworkAddresses", "TestSupport"],
            exclude: ["Goldens"]),
        .testTarget(
            name: "ManifestsTests", dependencies: ["Manifests", "NetworkAddresses", "TestSupport"],
            exclude: ["Fixtures"]),
        .testTarget(name: "ProxyModelTests", dependencies: ["ProxyModel", "NetworkAddresses"]),
        .testTarget(
            name: "ProxyTests",
            dependencies: [
                "Proxy", "ProxyModel", "NetworkAddresses", "TestSupport", nio("NIOCore"), nio("NIOPosix"),
                nio("NIOHTTP1"), nio("NIOConcurrencyHelpers"), nio("NIOEmbedded"), http2("NIOHTTP2"),
                http2("NIOHPACK"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "Crypto", package: "swift-crypto"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
            ]),
        .testTarget(
            name: "EnvoyTests",
            dependencies: [
                "Envoy", "Manifests", "Mesh", "Netlink", "NetworkAddresses", "Proxy", "ProxyModel", "TestSupport",
                nio("NIOCore"), nio("NIOPosix"),
            ],
            exclude: ["Goldens"]),
        .testTarget(
            name: "DNSTests",
            dependencies: [
                "DNS", "CLdns", "Proxy", "NetworkAddresses", nio("NIOCore"), nio("NIOPosix"),
                nio("NIOConcurrencyHelpers"),
            ]),
        .testTarget(
            name: "MeshTests",
            dependencies: [
                "Mesh", "Manifests", "PolicyOracle", "ProxyModel", "Nftables", "Netlink", "NetworkAddresses",
                "TestSupport",
            ],
            exclude: ["Goldens", "Istio/Goldens"]),
        .testTarget(name: "EvidenceTests", dependencies: ["Evidence", "Manifests", "NetworkAddresses"]),
        .testTarget(
            name: "ReportsTests", dependencies: ["Reports", "Evidence", "Manifests", "TestSupport"],
            exclude: ["Goldens"]),
        .testTarget(name: "ControlTests", dependencies: ["Control", "Netlink"]),
        .testTarget(
            name: "StandingTests",
            dependencies: ["Standing", "Control", "Manifests", "Netlink", "TestSupport"]),
        .testTarget(
            name: "CommandTests",
            dependencies: [
                "egress-lab", "Evidence", "Lab", "LoadGenerator", "Mesh", "Manifests", "Netlink", "NetworkAddresses",
                "ProxyModel", "TestSupport", "Yams",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .testTarget(name: "SessionTests", dependencies: ["egress-lab", "CLinux", "Netlink", "TestSupport"]),
        .testTarget(name: "KilledRunTests", dependencies: ["egress-lab", "Netlink", "TestSupport"]),
        .testTarget(
            name: "LabTests",
            dependencies: [
                "Lab", "DNS", "Envoy", "Evidence", "Manifests", "Mesh", "Netlink", "NetworkAddresses", "Nftables",
                "Proxy",
                "ProxyModel", "TestSupport", nio("NIOCore"), nio("NIOPosix"), nio("NIOHTTP1"),
                nio("NIOConcurrencyHelpers"), http2("NIOHTTP2"), http2("NIOHPACK"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ]),
        .target(name: "LoadGenerator", path: "Tests/LoadGenerator", cSettings: [.define("_GNU_SOURCE")]),
        .executableTarget(
            name: "egress-lab-bench",
            dependencies: [
                "Lab", "Envoy", "Evidence", "LoadGenerator", "Manifests", "Mesh", "Netlink", "Nftables",
                "NetworkAddresses", "ProxyModel", nio("NIOCore"), nio("NIOPosix"),
            ],
            path: "Tests/Benchmarks"),
        .executableTarget(
            name: "egress-lab-differential", dependencies: ["Lab", "Evidence", "Envoy", "Manifests", "Mesh"],
            path: "Tests/Differential"),
        .testTarget(
            name: "DifferentialTests",
            dependencies: [
                "egress-lab-differential", "Evidence", "Manifests", "Mesh", "Envoy", "Netlink", "NetworkAddresses",
                "Proxy", "ProxyModel", "TestSupport", nio("NIOCore"), nio("NIOPosix"),
            ],
            exclude: ["RawHTTP/Cases"]),
    ],
    cxxLanguageStandard: .cxx17
)

/// `make check` and `make test` take our own warnings for errors; dependencies and users' builds are left alone.
let strict: [SwiftSetting] =
    Context.environment["EGRESS_LAB_STRICT"] == nil ? [] : [.unsafeFlags(["-warnings-as-errors"])]

for target in package.targets
where [.regular, .executable, .test].contains(target.type)
    && !["CLinux", "CRE2", "LoadGenerator"].contains(target.name)
{
    target.swiftSettings = (target.swiftSettings ?? []) + settings + strict
}
