// swift-tools-version: 6.2
import PackageDescription

// Programs that race this library against others; a package of its own, so that its users build none of it.
let swift: [SwiftSetting] = [
    .treatAllWarnings(as: .error), .enableUpcomingFeature("InternalImportsByDefault"), .enableUpcomingFeature("ExistentialAny"),
]

let package = Package(
    name: "swift-weightnorm-benchmarks",
    platforms: [.macOS(.v14)],
    dependencies: [
        .package(name: "swift-weightnorm", path: ".."),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
    ],
    targets: [
        .target(
            name: "Workloads", dependencies: [.product(name: "WeightNormalization", package: "swift-weightnorm")], swiftSettings: swift),
        .executableTarget(
            name: "entrant",
            dependencies: [
                "Workloads", .product(name: "WeightNormalization", package: "swift-weightnorm"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swift),
        .testTarget(
            name: "WorkloadsTests",
            dependencies: ["Workloads", .product(name: "WeightNormalization", package: "swift-weightnorm")],
            exclude: ["reference.json"], swiftSettings: swift),
    ]
)
