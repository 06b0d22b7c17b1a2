package import Torch
package import WeightNorm

/// Lower quartile, median and upper quartile of a quantity over the units of a layer.
package struct Quartiles: Codable, Equatable, Sendable {
    package var lower: Double
    package var median: Double
    package var upper: Double

    /// The quartiles of numbers that may be infinite; NaN is left out. Nil if no numbers remain.
    package init?(_ values: [Double]) {
        let sorted = values.filter { !$0.isNaN }.sorted()
        guard !sorted.isEmpty else { return nil }
        func quantile(_ part: Double) -> Double {
            let place = part * Double(sorted.count - 1)
            let (low, high) = (sorted[Int(place.rounded(.down))], sorted[Int(place.rounded(.up))])
            return low == high ? low : low + (high - low) * (place - place.rounded(.down))
        }
        (lower, median, upper) = (quantile(0.25), quantile(0.5), quantile(0.75))
    }
}

/// The covariance of single examples' gradients in each weight of a network, and how weight normalization changes it (§2.1 of the paper).
package enum NetworkAnalysis {
    /// The results for one weight; quartiles are over its output units.
    package struct Layer: Codable, Equatable, Sendable {
        package var path: String
        /// d, the number of elements in a unit.
        package var elements: Int
        package var units: Int
        /// The number of units whose covariance was computed: all whose weight is not 0, or the requested number, evenly spaced.
        package var unitsAnalysed: Int
        /// Whether there were too few examples for a covariance of full rank: then there are no condition numbers.
        package var isRankDeficient: Bool
        /// The number of units for which C's smallest eigenvalue is within rounding error of its largest; their condition number counts as infinite.
        package var unitsBelowRounding: Int
        /// g²/‖v‖²; 1 for weights that are not normalized.
        package var scale: Quartiles?
        /// λ₁/λ_d of C, the covariance of the gradient in w.
        package var gradientCondition: Quartiles?
        /// λ₁/λ_{d−1} of D orthogonal to w.
        package var directionCondition: Quartiles?
        /// The former divided by the latter, at least 1.
        package var improvement: Quartiles?
        /// The part of it that comes from the largest eigenvalue: λ₁ of C / λ₁ of M·C·M.
        package var improvementOfLargest: Quartiles?
        /// The improvement from projecting out a random direction instead of w.
        package var improvementOfDrawn: Quartiles?
        /// λ₁'s share of C's trace.
        package var leadingShare: Quartiles?
        /// |cos| of the angles between w and C's first five eigenvectors.
        package var cosines: [Quartiles]
        /// The mean |cos| between a random direction and any eigenvector.
        package var drawnCosine: Double
        /// The largest λ₁ of any unit divided by the smallest, for C and for D: how unequal the units' gradients are.
        package var gradientSpread: Double
        package var directionSpread: Double
        /// The medians over the units of λ_k/λ₁, k = 1, …, for C and for D.
        package var gradientSpectrum: [Double]
        package var directionSpectrum: [Double]
    }

    package struct Options: Sendable {
        /// The number of examples whose gradients are used.
        package var examples: Int
        /// The maximum number of units analysed per layer.
        package var units: Int
        /// Paths of weights or of their layers; nil for all.
        package var layers: [String]?
        /// The seed of the random directions.
        package var seed: UInt64

        package init(examples: Int, units: Int, layers: [String]?, seed: UInt64) {
            (self.examples, self.units, self.layers, self.seed) = (examples, units, layers, seed)
        }
    }

    /// Why an analysis failed.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
        package init(_ description: String) { self.description = description }
    }

    /// The maximum memory for sums of products, in bytes.
    static let mostMemory = 4 << 30

    /// A weight to analyse.
    private struct Site {
        let path: String
        let weight: Parameter
        let units: Int
        /// (g/‖v‖)² of the chosen units.
        let scale: [Double]
        var moments: GradientMoments
    }

    /// Analyses every weight of a module; this folds the module.
    ///
    /// `loss` returns the loss of one example, recorded for gradients; use float64 if eigenvalues far below λ₁ are to be meaningful.
    package static func analyse(
        _ module: some Module, _ options: Options, loss: (_ example: Int) -> Tensor, progress: (_ examples: Int, _ note: String) -> Void
    ) throws -> [Layer] {
        var sites = try fold(module, options)
        let weights = sites.map(\.weight)
        for example in 0..<options.examples {
            for (index, gradient) in gradients(of: loss(example), withRespectTo: weights).enumerated() {
                sites[index].moments.add(gradient)
            }
            progress(example + 1, "gradients")
        }
        let random = Generator(seed: options.seed)
        return try sites.indices.map { index in
            progress(options.examples, "eigenvalues of \(sites[index].path)")
            return try layer(&sites[index], options, random)
        }
    }

    /// Replaces the weights by plain ones, so that gradients are with respect to w, and keeps g²/‖v‖².
    private static func fold(_ module: some Module, _ options: Options) throws -> [Site] {
        let before = module.namedWeights
        let known = Dictionary(module.weightUnits.map { ($0.path, $0.value) }, uniquingKeysWith: { first, _ in first })
        for name in options.layers ?? [] where !before.contains(where: { matches($0.path, name) }) {
            let paths = before.map { $0.path.hasSuffix(".weight") ? String($0.path.dropLast(7)) : $0.path }
            throw Failure("layer: expected one of \(paths.joined(separator: ", ")), found '\(name)'")
        }
        let units = before.map { $0.value.units ?? known[$0.path] ?? .axis(0) }
        let scales = withoutGradients {
            zip(before, units).map { named, units -> [Double] in
                let norms = units.wideNorms(of: named.value.vector.detached()).reshaped([-1])
                guard type(of: named.value.form).normalizesDirection else { return norms.elements().map { (_: Double) in 1 } }
                return (named.value.gains(norms: norms) / norms.replacing(where: norms .== 0, with: 1)).squared().elements()
            }
        }
        module.foldWeights()
        var sites: [Site] = []
        var memory = 0
        for (index, named) in module.namedWeights.enumerated() {
            guard options.layers?.contains(where: { matches(named.path, $0) }) ?? true, let plain = named.value.plain else { continue }
            let elements = named.value.shape.reduce(1, *) / scales[index].count
            memory += min(options.units, scales[index].count) * elements * elements * 8
            guard memory <= mostMemory else {
                throw Failure(
                    "covariances: expected at most \(mostMemory >> 30) GiB of them, found more; choose fewer --layers or --units")
            }
            let moments = GradientMoments(weight: plain.value, units: units[index], most: options.units)
            sites.append(
                Site(
                    path: named.path, weight: plain, units: scales[index].count,
                    scale: moments.chosen.map { scales[index][$0] }, moments: moments))
        }
        return sites
    }

    private static func matches(_ path: String, _ name: String) -> Bool { path == name || path == "\(name).weight" }

    private static func layer(_ site: inout Site, _ options: Options, _ random: Generator) throws -> Layer {
        let rows = site.moments.rows(of: site.weight.value).moved(to: .cpu)
        let covariance = site.moments.covariance().moved(to: .cpu)
        guard covariance.isFinite().allTrue() else { throw Failure("\(site.path): its gradients are not finite") }
        let elements = rows.shape[1]
        // A few units at a time, to limit the memory for the eigenvalues.
        let most = max(1, (32 << 20) / (elements * elements * 8))
        let norms: [Double] = rows.norm(over: [1]).elements()
        let alive = norms.indices.filter { norms[$0] > 0 }
        var spectra: [UnitSpectra] = []
        for start in stride(from: 0, to: alive.count, by: most) {
            let part = Tensor(alive[start..<min(start + most, alive.count)].map { Int64($0) })
            spectra.append(
                UnitSpectra(covariance: covariance.selecting(part, along: 0), weights: rows.selecting(part, along: 0), random: random))
        }
        return summary(site, alive: alive, elements: elements, options, spectra)
    }

    private static func summary(_ site: Site, alive: [Int], elements: Int, _ options: Options, _ spectra: [UnitSpectra]) -> Layer {
        let c = spectra.flatMap(\.gradient)
        let d = spectra.flatMap(\.projected)
        let drawn = spectra.flatMap(\.randomlyProjected)
        let cosines = spectra.flatMap(\.cosines)
        // The covariance of N centred gradients has a rank of at most N − 1.
        let isDeficient = options.examples <= elements
        func conditions(_ lists: [[Double]]) -> [Double] { isDeficient ? [] : lists.map(UnitSpectra.conditionNumber) }
        // Where C is singular within rounding error, the quotient would be meaningless: infinite.
        func quotients(_ other: [[Double]]) -> [Double] {
            zip(conditions(c), conditions(other)).map { $0.isFinite && $1.isFinite ? $0 / $1 : .nan }
        }
        let scale = alive.map { site.scale[$0] }
        let largest = (c.map { $0[0] }, zip(d, scale).compactMap { values, scale in values.first.map { $0 * scale } })
        func spread(_ values: [Double]) -> Double {
            guard let low = values.min(), let high = values.max(), low > 0 else { return .nan }
            return high / low
        }
        func spectrum(_ lists: [[Double]]) -> [Double] {
            (0..<(lists.first?.count ?? 0)).compactMap { place in
                Quartiles(lists.map { $0[0] > 0 ? max(0, $0[place]) / $0[0] : .nan })?.median
            }
        }
        return Layer(
            path: site.path, elements: elements, units: site.units, unitsAnalysed: alive.count, isRankDeficient: isDeficient,
            unitsBelowRounding: conditions(c).count { $0 == .infinity }, scale: Quartiles(scale),
            gradientCondition: Quartiles(conditions(c)),
            directionCondition: Quartiles(conditions(d)), improvement: Quartiles(quotients(d)),
            improvementOfLargest: Quartiles(zip(c, d).map { c, d in d.isEmpty || d[0] <= 0 ? .nan : c[0] / d[0] }),
            improvementOfDrawn: Quartiles(quotients(drawn)),
            leadingShare: Quartiles(c.map { $0[0] / $0.reduce(0, +) }),
            cosines: (0..<min(5, elements)).compactMap { place in Quartiles(cosines.map { $0[place] }) },
            drawnCosine: UnitSpectra.meanCosineOfDrawnDirection(dimensions: elements),
            gradientSpread: spread(largest.0), directionSpread: spread(largest.1), gradientSpectrum: spectrum(c),
            directionSpectrum: spectrum(d))
    }
}
