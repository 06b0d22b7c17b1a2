import Foundation
package import Torch

/// Measures during training what the paper's §2 is about: the length of v, g, the size of a step, and how far w turns.
///
///     let observer = WeightObserver(network)  // after data-dependent initialization; its first reading is the start
///     …
///     for reading in observer.read(learningRate: 0.003) { print(reading.path, reading.directionNorm.mean, reading.angle?.mean ?? 0) }
///
/// A reading takes a few operators per weight and one transfer from the device for all of them; between readings it costs only the memory
/// of one copy of the weights. It holds the weights that the module had when the observer was made: after ``Module/foldWeights()`` or
/// another change of their form, make a new observer.
public final class WeightObserver {
    private struct Entry {
        let path: String
        let weight: Weight
        let units: OutputUnits
        var previous: Directions?
    }

    /// The directions of a weight's units.
    package struct Directions {
        /// w/‖w‖, `[units, elements]`.
        package let vectors: Tensor
        /// 1, or 0 for a unit of length 0, `[units]`.
        package let exist: Tensor

        /// Directions that were read earlier.
        package init(vectors: Tensor, exist: Tensor) { (self.vectors, self.exist) = (vectors, exist) }
    }

    private var entries: [Entry]

    /// An observer of every weight of the module; a shared weight is read once, at its first path.
    ///
    /// A plain weight's units are those that its layer would give a normalized weight. In a type that is not ``HoldsWeights``, they are
    /// taken to lie along axis 0.
    public init(_ module: some Module) {
        let known = Dictionary(module.weightUnits.map { ($0.path, $0.value) }, uniquingKeysWith: { first, _ in first })
        entries = module.namedWeights.map { named in
            Entry(path: named.path, weight: named.value, units: named.value.units ?? known[named.path] ?? .axis(0))
        }
    }

    /// The weights' directions at the last reading, with which the next reading compares them; empty before the first.
    package var directions: [(path: String, directions: Directions)] {
        entries.compactMap { entry in entry.previous.map { (entry.path, $0) } }
    }

    /// Whether the directions fit this module's weights.
    package func takes(_ directions: [(path: String, directions: Directions)]) -> Bool {
        let found = Dictionary(directions.map { ($0.path, $0.directions) }, uniquingKeysWith: { first, _ in first })
        return entries.allSatisfy { entry in
            guard let own = found[entry.path] else { return true }
            let rows = entry.units.rows(of: entry.weight.vector.detached()).shape
            return own.vectors.shape == rows && own.exist.shape == [rows[0]]
        }
    }

    /// Resumes after a reading by an observer of the same module.
    package func restore(_ directions: [(path: String, directions: Directions)]) {
        let found = Dictionary(directions.map { ($0.path, $0.directions) }, uniquingKeysWith: { first, _ in first })
        for index in entries.indices { entries[index].previous = found[entries[index].path] }
    }

    /// One reading of every weight, in the order of ``Module/namedWeights``.
    ///
    /// - Parameter learningRate: that of the last step (or of the next), for ``WeightReading/effectiveStep``.
    public func read(learningRate: Double) -> [WeightReading] {
        withoutGradients {
            let first = entries.map { $0.previous == nil }
            var columns: [Tensor] = []
            for index in entries.indices { columns.append(measure(&entries[index])) }
            guard let device = columns.first?.device else { return [] }
            let numbers = Tensor.concatenated(columns.map { $0.moved(to: device) }, along: 1).elements(as: Double.self)
            let total = numbers.count / 4
            var start = 0
            return entries.indices.map { index in
                let count = columns[index].shape[1]
                defer { start += count }
                let rows = (0..<4).map { Array(numbers[$0 * total + start..<$0 * total + start + count]) }
                return WeightReading(
                    path: entries[index].path, rate: learningRate, norms: rows[0], gains: rows[1],
                    angles: first[index] ? nil : zip(rows[2], rows[3]).map { 2 * atan2($0, $1) })
            }
        }
    }

    /// Four numbers per unit, `[4, units]` in float64: ‖v‖, g, ‖a − b‖ and ‖a + b‖, where a and b are the present and previous unit
    /// vectors.
    private func measure(_ entry: inout Entry) -> Tensor {
        let direction = entry.weight.vector.detached()
        let norms = entry.units.wideNorms(of: direction).reshaped([-1])
        let gains = entry.weight.gains(norms: norms)
        let exist = (norms .!= 0).converted(to: .float64)
        // A negative g reverses v; where g is 0 the direction is v's, in which w would grow.
        let signs = (gains .>= 0).converted(to: .float64) * 2 - 1
        // Divided in float64 and rounded at the end: a weight that did not move gives the same numbers, and so an angle of exactly 0.
        let unit = entry.units.rows(of: entry.units.unit(direction.converted(to: .float64)))
        let now = Directions(
            vectors: (unit * signs.expandingDimension(1)).converted(to: direction.type.accumulator),
            exist: exist)
        defer { entry.previous = now }
        guard let before = entry.previous else { return .stacked([norms, gains, norms, norms]) }
        let both = now.exist * before.exist
        return .stacked([
            norms, gains, (now.vectors - before.vectors).norm(over: [1]).converted(to: .float64) * both,
            (now.vectors + before.vectors).norm(over: [1]).converted(to: .float64),
        ])
    }
}

/// What a ``WeightObserver`` measured for one weight; each quantity is summarized over the weight's output units.
public struct WeightReading: Codable, Equatable, Sendable {
    /// A quantity over the output units of a weight.
    public struct Statistics: Codable, Equatable, Sendable {
        /// The mean over the units.
        public var mean: Double
        /// The smallest value of any unit.
        public var smallest: Double
        /// The largest value of any unit.
        public var largest: Double

        /// Statistics that are already known.
        public init(mean: Double, smallest: Double, largest: Double) {
            (self.mean, self.smallest, self.largest) = (mean, smallest, largest)
        }

        init(_ values: [Double]) {
            mean = values.reduce(0, +) / Double(values.count)
            smallest = values.min() ?? .nan
            largest = values.max() ?? .nan
        }
    }

    /// The weight's dotted path, such as `hidden.0.weight`.
    public var path: String
    /// The number of output units.
    public var units: Int
    /// ‖v‖, which is ‖w‖ for a plain weight.
    public var directionNorm: Statistics
    /// |g| = ‖w‖: the gain of a normalized weight, exp(c·s) for a gain on a logarithmic scale, ‖w‖ for a plain weight, and |s|·‖v‖ for a
    /// scaled one.
    public var gain: Statistics
    /// |g|·rate/‖v‖: how far w moves at right angles to itself when v moves by the learning rate.
    ///
    /// It falls as v grows. A plain weight, for which v = w and g = ‖w‖, has the learning rate itself; a scaled one |s|·rate. For a unit
    /// with ‖v‖ = 0 the divisor is 1, as it is for its weight.
    public var effectiveStep: Statistics
    /// The angle between each unit's w now and at the previous reading, in radians from 0 to π; nil at the first reading.
    ///
    /// It is 2·atan2(‖a − b‖, ‖a + b‖) of the unit vectors, which, unlike the arc cosine, is accurate for small angles. A unit with v = 0
    /// in either reading has no direction, and its angle counts as 0.
    public var angle: Statistics?

    init(path: String, rate: Double, norms: [Double], gains: [Double], angles: [Double]?) {
        self.path = path
        units = norms.count
        directionNorm = Statistics(norms)
        gain = Statistics(gains.map(\.magnitude))
        effectiveStep = Statistics(zip(norms, gains).map { $1.magnitude / ($0 == 0 ? 1 : $0) * rate })
        angle = angles.map { Statistics($0) }
    }
}

extension Weight {
    /// g of every unit, `[units]` in float64, for the given ‖v‖: a plain weight's is ‖w‖, a scaled one's s·‖v‖.
    package func gains(norms: Tensor) -> Tensor {
        guard let multiplier = form.multiplier?.reshaped([-1]).converted(to: .float64) else { return norms }
        return type(of: form).normalizesDirection ? multiplier : multiplier * norms
    }
}

extension Module {
    /// The units that a normalized form of each weight would have, by the weight's path, as far as types that are ``HoldsWeights`` report
    /// them.
    package var weightUnits: [Named<OutputUnits>] {
        holdersAndWeights.holders.flatMap { holder in
            var found: [Named<OutputUnits>] = []
            holder.value.changeWeights { property, weight, units in
                found.append(Named(path: holder.path.isEmpty ? property : "\(holder.path).\(property)", value: units))
                return weight
            }
            return found
        }
    }
}
