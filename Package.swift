// swift-tools-version: 6.2
import PackageDescription

// libtorch is found through `libtorch.pc`: PKG_CONFIG_PATH names its folder (`Scripts/libtorch.sh --print env`).
// No unsafeFlags here: they would make the package unusable as a versioned dependency.
let swift: [SwiftSetting] = [
    .treatAllWarnings(as: .error), .enableUpcomingFeature("InternalImportsByDefault"), .enableUpcomingFeature("ExistentialAny"),
]

// What `make` builds from, for records that must say so; a build without make does not know.
let commit = Context.environment["WEIGHTNORM_COMMIT"]?.filter { $0.isHexDigit || $0 == "+" } ?? ""

// Who may import whom, from below (the import check fails the build where a target imports one that it does not name here):
//
//   AtomicFiles   files that are seen whole or not at all, and their errors      imports none
//   Report        pages, charts, tables, pictures                                imports none
//   Torch         tensors, autograd, devices: alone imports CTorch and libtorch
//   WeightNorm    weights, layers, initialization                                Torch
//   WeightFiles   safetensors, PyTorch's layouts, weights in files               AtomicFiles, Torch, WeightNorm
//   Training      optimizers, checkpoints, runs and their folders                AtomicFiles, Torch, WeightNorm, WeightFiles
//   Datasets      images and minibatches, fetching them, decoding pictures       CTransfer, CPictures, AtomicFiles, Torch
//   Environments  games, the Atari emulator's process, replay memory             AtomicFiles, Torch, WeightFiles, Training, Datasets
//   CBuild        which commit this is built from                                imports none
//   Experiments   the paper's experiments, as runs and reports                   all of these
//   Command       the command line                                               all of these, ArgumentParser
//   Workloads     steps of the experiments' models, for the race                 Torch, WeightNorm, Training, Experiments
//
// The product for other packages brings all of them but the last two; of Experiments, what opens a finished run.
let package = Package(
    name: "swift-weightnorm",
    platforms: [.macOS(.v14)],
    products: [
        // Not `WeightNorm`: on a file system without case it would be the command's name.
        .library(
            name: "WeightNormalization",
            targets: [
                "AtomicFiles", "Report", "Torch", "WeightNorm", "WeightFiles", "Training", "Datasets", "Environments", "Experiments",
            ]),
        .executable(name: "weightnorm", targets: ["Command"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0")
    ],
    targets: [
        .target(name: "AtomicFiles", swiftSettings: swift),
        .target(name: "Report", swiftSettings: swift),
        .systemLibrary(name: "Libtorch", pkgConfig: "libtorch"),
        .target(name: "CTorch", dependencies: ["Libtorch"], cxxSettings: [.treatAllWarnings(as: .error)]),
        .target(name: "Torch", dependencies: ["CTorch"], swiftSettings: swift),
        .target(name: "WeightNorm", dependencies: ["Torch"], swiftSettings: swift),
        .target(name: "WeightFiles", dependencies: ["AtomicFiles", "Torch", "WeightNorm"], swiftSettings: swift),
        .target(name: "Training", dependencies: ["AtomicFiles", "Torch", "WeightNorm", "WeightFiles"], swiftSettings: swift),
        .target(name: "CTransfer", cSettings: [.treatAllWarnings(as: .error)]),
        .target(name: "CPictures", cSettings: [.treatAllWarnings(as: .error)]),
        .target(name: "Datasets", dependencies: ["CTransfer", "CPictures", "AtomicFiles", "Torch"], swiftSettings: swift),
        .target(name: "Environments", dependencies: ["AtomicFiles", "Torch", "WeightFiles", "Training", "Datasets"], swiftSettings: swift),
        .target(name: "CBuild", cSettings: [.treatAllWarnings(as: .error), .define("WEIGHTNORM_COMMIT", to: "\"\(commit)\"")]),
        .target(
            name: "Experiments",
            dependencies: [
                "CBuild", "AtomicFiles", "Report", "Torch", "WeightNorm", "WeightFiles", "Training", "Datasets", "Environments",
            ],
            swiftSettings: swift),
        .executableTarget(
            name: "Command",
            dependencies: [
                "AtomicFiles", "Report", "Torch", "WeightNorm", "WeightFiles", "Training", "Datasets", "Environments", "Experiments",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            swiftSettings: swift),
        // The race against other libraries: steps of the experiments' own models.
        .target(
            name: "Workloads", dependencies: ["Experiments", "Torch", "Training", "WeightNorm"], path: "Benchmarks/Sources/Workloads",
            swiftSettings: swift),
        .executableTarget(
            name: "entrant",
            dependencies: [
                "Workloads", "Torch", "WeightNorm", .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Benchmarks/Sources/entrant", swiftSettings: swift),
        .testTarget(
            name: "WorkloadsTests", dependencies: ["Workloads", "Experiments", "Torch", "WeightNorm"],
            path: "Benchmarks/Tests/WorkloadsTests", exclude: ["reference.json"], swiftSettings: swift),
        .testTarget(name: "AtomicFilesTests", dependencies: ["AtomicFiles", "TestSupport"], swiftSettings: swift),
        // What several tests need: a folder for a while, what a browser makes of a report.
        .target(name: "TestSupport", path: "Tests/Support", swiftSettings: swift),
        .testTarget(name: "ReportTests", dependencies: ["Report", "TestSupport", "AtomicFiles", "Datasets"], swiftSettings: swift),
        .testTarget(name: "TorchTests", dependencies: ["Torch"], swiftSettings: swift),
        .testTarget(name: "WeightNormTests", dependencies: ["WeightNorm", "Torch"], swiftSettings: swift),
        .testTarget(
            name: "WeightFilesTests", dependencies: ["WeightFiles", "Training", "WeightNorm", "Torch", "AtomicFiles", "TestSupport"],
            exclude: ["Fixtures"], swiftSettings: swift),
        .testTarget(
            name: "TrainingTests", dependencies: ["Training", "WeightFiles", "WeightNorm", "Torch", "AtomicFiles", "TestSupport"],
            exclude: ["Fixtures"], swiftSettings: swift),
        .testTarget(
            name: "DatasetsTests", dependencies: ["Datasets", "Report", "Torch", "AtomicFiles", "TestSupport"], swiftSettings: swift),
        .testTarget(
            name: "EnvironmentsTests",
            dependencies: ["Environments", "Datasets", "Training", "WeightFiles", "Torch", "AtomicFiles", "TestSupport"],
            swiftSettings: swift),
        .testTarget(
            name: "ExperimentsTests",
            dependencies: [
                "Experiments", "Environments", "Report", "TestSupport", "Datasets", "Training", "WeightFiles", "WeightNorm", "Torch",
                "AtomicFiles",
            ],
            swiftSettings: swift),
    ],
    cxxLanguageStandard: .cxx20
)
