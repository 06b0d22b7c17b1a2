// swift-tools-version: 6.2
import PackageDescription

// libtorch is found through `libtorch.pc`: PKG_CONFIG_PATH names its folder (`Scripts/libtorch.sh --print env`).
// No unsafeFlags here: they would make the package unusable as a versioned dependency.
let swift: [SwiftSetting] = [
    .treatAllWarnings(as: .error), .enableUpcomingFeature("InternalImportsByDefault"), .enableUpcomingFeature("ExistentialAny"),
]

let package = Package(
    name: "swift-weightnorm",
    platforms: [.macOS(.v14)],
    products: [
        // Not `WeightNorm`: on a file system without case it would be the command's name.
        .library(name: "WeightNormalization", targets: ["Torch", "WeightNorm", "Training", "Datasets"]),
        .executable(name: "weightnorm", targets: ["Command"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
    ],
    targets: [
        .systemLibrary(name: "Libtorch", pkgConfig: "libtorch"),
        .target(name: "CTorch", dependencies: ["Libtorch"], cxxSettings: [.treatAllWarnings(as: .error)]),
        .target(name: "Torch", dependencies: ["CTorch"], swiftSettings: swift),
        .target(name: "WeightNorm", dependencies: ["Torch"], swiftSettings: swift),
        .target(name: "Training", dependencies: ["Torch", "WeightNorm"], swiftSettings: swift),
        .target(name: "Datasets", dependencies: ["Torch"], swiftSettings: swift),
        .target(name: "CTransfer", cSettings: [.treatAllWarnings(as: .error)]),
        .target(
            name: "Experiments", dependencies: ["CTransfer", "Torch", "WeightNorm", "Training", "Datasets"], swiftSettings: swift),
        .executableTarget(
            name: "Command",
            dependencies: [
                "Torch", "WeightNorm", "Training", "Datasets", "Experiments",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swift),
        .testTarget(name: "TorchTests", dependencies: ["Torch"], swiftSettings: swift),
        .testTarget(name: "WeightNormTests", dependencies: ["WeightNorm", "Torch"], swiftSettings: swift),
        .testTarget(
            name: "TrainingTests", dependencies: ["Training", "WeightNorm", "Torch"], exclude: ["Fixtures"], swiftSettings: swift),
        .testTarget(name: "DatasetsTests", dependencies: ["Datasets", "Torch"], swiftSettings: swift),
        .testTarget(
            name: "ExperimentsTests", dependencies: ["Experiments", "Datasets", "Training", "WeightNorm", "Torch"], swiftSettings: swift),
    ],
    cxxLanguageStandard: .cxx20
)
