import Foundation
import Torch
import Training
import WeightNorm

// Two spirals of 200 points each, and a network that tells them apart.
let turns = (0..<400).map { Float($0 / 2) / 200 * 9 + 1 }
let points = turns.enumerated().flatMap { index, turn -> [Float] in
    let angle = turn + (index % 2 == 0 ? 0 : .pi)
    return [turn * cos(angle) / 10, turn * sin(angle) / 10]
}
let x = Tensor(points, shape: [400, 2])
let y = Tensor((0..<400).map { $0 % 2 })

let random = Generator(seed: 1)
let network = Sequential(
    Dense(2, to: 64, random: random), Activation.relu,  // w = g·v/‖v‖, unless another normalization is asked for
    Dense(64, to: 64, random: random), Activation.relu,
    Dense(64, to: 2, random: random))
_ = withoutGradients { network(x, .initializing(random)) }  // data-dependent initialization is a forward pass

let adam = Adam(network.parameters)
for step in 1...500 {
    let loss = network(x, .training(random)).softmaxCrossEntropy(labels: y)
    adam.minimize(loss, learningRate: 0.003)
    if step % 100 == 0 { print("step \(step): loss \(loss.item())") }
}

let wrong = withoutGradients { (network(x, .inference).indexOfMaximum(along: 1) .!= y).sum().item() }
print("\(Int(wrong)) of 400 points wrong")
