// swift-tools-version: 6.2
import PackageDescription

// A package that depends on swift-weightnorm as any other would: by URL and version. `WEIGHTNORM_URL` names the repository; without it, the clone
// that this example lies in.
let url = Context.environment["WEIGHTNORM_URL"] ?? "file://\(Context.packageDirectory)/../.."

let package = Package(
    name: "Spirals",
    platforms: [.macOS(.v14)],
    dependencies: [.package(url: url, from: "0.2.0")],
    targets: [
        .executableTarget(name: "Spirals", dependencies: [.product(name: "WeightNormalization", package: "swift-weightnorm")]),
        .executableTarget(name: "OwnRun", dependencies: [.product(name: "WeightNormalization", package: "swift-weightnorm")]),
        .executableTarget(name: "OwnForm", dependencies: [.product(name: "WeightNormalization", package: "swift-weightnorm")]),
    ]
)
