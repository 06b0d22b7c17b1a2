import Foundation
import Torch
import Training
import WeightFiles
import WeightNorm

// A form of weights of one's own, defined in this package: it is initialized from data, trained, measured, saved, read back and folded.
let folder = FileManager.default.temporaryDirectory.appending(path: "own-form-\(ProcessInfo.processInfo.processIdentifier)")
try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
defer { try? FileManager.default.removeItem(at: folder) }
@MainActor func file(_ name: String) -> String { folder.appending(path: name).path }

/// Ends the program unless a promise is kept.
func check(_ promise: String, _ isKept: Bool) {
    print("\(isKept ? "ok" : "not ok") - \(promise)")
    if !isKept { exit(1) }
}

func network(_ seed: UInt64, _ normalization: Normalization = .softplus) -> Sequential {
    let random = Generator(seed: seed)
    return Sequential(
        Convolution(1, to: 8, kernel: 3, padding: 1, normalization: normalization, random: random), Activation.relu,
        Reshape(rows: 8 * 16), Dense(8 * 16, to: 2, normalization: normalization, random: random))
}

/// `[batch, …]` to `[batch, rows]`.
struct Reshape: Layer {
    let rows: Int
    func callAsFunction(_ input: Tensor, _ pass: Pass) -> Tensor { input.reshaped([-1, rows]) }
}

func difference(_ one: Tensor, _ other: Tensor) -> Double { withoutGradients { (one - other).magnitude().maximum().item() } }

// Images of 4 × 4 numbers: of two classes, with the larger sum above or below.
let random = Generator(seed: 1)
let images = Tensor.normal([200, 1, 4, 4], from: random)
let halves = images.reshaped([200, 2, 8]).sum(over: [2])
let labels = halves.indexOfMaximum(along: 1)

let model = network(2)
_ = withoutGradients { model(images, .initializing(random)) }
let first = withoutGradients { model.layers[0](images, .inference) }
let (variance, mean) = first.varianceAndMean(over: [0, 2, 3])
check(
    "initialization gives each unit mean 0 and deviation 1",
    mean.magnitude().maximum().item() < 1e-5 && (variance - 1).magnitude().maximum().item() < 1e-3)

let observer = WeightObserver(model)
_ = observer.read(learningRate: 0.01)
let adam = Adam(model.parameters)
@MainActor func step(_ model: Sequential, _ adam: Adam) {
    adam.minimize(model(images, .training(random)).softmaxCrossEntropy(labels: labels), learningRate: 0.01)
}
for _ in 1...100 { step(model, adam) }
let wrong = withoutGradients { (model(images, .inference).indexOfMaximum(along: 1) .!= labels).sum().item() }
check("it learns: \(Int(wrong)) of 200 wrong", wrong <= 10)
let readings = observer.read(learningRate: 0.01)
check("its paths are \(readings.map(\.path))", readings.map(\.path) == ["0.weight", "3.weight"])
check("‖v‖, g, the step and the angle are measured", readings.allSatisfy { $0.gain.smallest > 0 && ($0.angle?.mean ?? 0) > 0 })

var checkpoint = Checkpoint(kind: "own form")
checkpoint.add(model, as: "network")
checkpoint.add(adam, as: "optimizer")
try checkpoint.write(to: file("checkpoint"))
let resumed = network(3)
let resumedAdam = Adam(resumed.parameters)
let saved = try Checkpoint(reading: file("checkpoint"), kind: "own form")
try saved.restore(resumed, from: "network")
try saved.restore(resumedAdam, from: "optimizer")
step(model, adam)
step(resumed, resumedAdam)
let outputs = withoutGradients { model(images, .inference) }
check("a resumed run takes the same step", difference(resumed(images, .inference), outputs) == 0)

try model.write(to: file("native"))
let read = network(4)
let report = try read.load(from: file("native"))
check("a file has it as it is", report.weights.allSatisfy(\.isExact) && difference(read(images, .inference), outputs) == 0)
let plain = network(5, .plain)
try plain.load(from: file("native"), forms: .adopt, knowing: [SoftplusWeight.self])
check("other networks adopt it", plain.namedWeights.allSatisfy { ($0.value.form as? SoftplusWeight)?.sharpness == 2 })
for layout in [StateLayout.plain, .weightNorm, .parametrizations] {
    try model.write(to: file("other"), layout: layout)
    try read.load(from: file("other"))
    let normalized = network(6, .weight)
    try normalized.load(from: file("other"))
    check(
        "there and back through the layout \(layout.rawValue)",
        difference(read(images, .inference), outputs) < 1e-4 && difference(normalized(images, .inference), outputs) < 1e-4)
}

// Without its network: a file's weights by their names.
let weights = try WeightFile(opening: file("native"), knowing: [SoftplusWeight.self])
check("a file has \(weights.weights.map(\.name))", weights.weights.allSatisfy { $0.form == SoftplusWeight.self })
_ = try weights.convert(to: .plain, path: file("folded"))
let folded = network(7, .plain)
try folded.load(from: file("folded"))
check("and is folded", difference(folded(images, .inference), outputs) < 1e-4)

read.namedWeights[0].value.assign(model.namedWeights[0].value.value)
check("a value can be assigned", difference(read.namedWeights[0].value.value, model.namedWeights[0].value.value) < 1e-5)
model.foldWeights()
check("folded it is the same function", difference(model(images, .inference), outputs) == 0)
