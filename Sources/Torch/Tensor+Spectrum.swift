import Foundation

// Spectra of signals. A complex number is two real ones on a last axis of length 2.

extension Tensor {
    /// The short-time Fourier transform of signals, `[…, samples]`: real and imaginary parts, `[…, size/2 + 1, frames, 2]`.
    ///
    /// X[k, t] = Σₙ w[n]·x[n + t·hop]·exp(−2πi·k·n/size), of real signals for frequencies from 0 to half the sampling rate. A centred frame has its middle at
    /// t·hop; for that the signal is padded by half the size on both sides. PyTorch's `torch.stft(x, size, hop, window=w, return_complex=True)` gives the same.
    ///
    /// - Parameters:
    ///   - size: samples of a frame, PyTorch's `n_fft`.
    ///   - hop: samples from one frame to the next.
    ///   - window: w, `[length]` of at most the size, in whose middle it is put; ``hannWindow(_:isPeriodic:type:on:)``, say.
    ///   - isCentred: whether frames have their middle at t·hop, not their first sample.
    ///   - paddingMode: how a signal is padded for centred frames.
    public func shortTimeFourierTransform(
        size: Int, hop: Int, window: Tensor, isCentred: Bool = true, paddingMode: PaddingMode = .reflect
    ) -> Tensor {
        trap(
            unless: rank > 0 && size > 0 && hop > 0 && window.rank == 1 && (1...size).contains(window.count),
            "short-time Fourier transform: expected a signal […, samples], a size and hop of at least 1 and a window of at most \(size) "
                + "samples, found shape \(shape), size \(size), hop \(hop) and window \(window.shape)")
        let leading = Array(shape.dropLast())
        let mode = paddingMode == .zeros ? "constant" : paddingMode.rawValue
        let complex = operators.signals.shortTimeFourierTransform(
            .tensor(reshaped([leading.reduce(1, *), shape[rank - 1]])), .integer(size), .integer(hop), .integer(window.count),
            .tensor(window), .boolean(isCentred), .text(mode), .boolean(false), .boolean(true), .boolean(true), .none)
        let parts = operators.signals.viewAsReal(.tensor(complex))
        return parts.reshaped(leading + parts.shape.dropFirst())
    }

    /// The signals, `[…, samples]`, whose short-time Fourier transform this tensor, `[…, size/2 + 1, frames, 2]`, is, or which have the nearest one.
    ///
    /// Frames are multiplied by the window, added where they overlap, and divided by the sum of the squared windows (Griffin & Lim, 1984), which must be above 0
    /// everywhere. Without a length there are hop·(frames − 1) samples if frames are centred, else size more.
    public func inverseShortTimeFourierTransform(
        size: Int, hop: Int, window: Tensor, isCentred: Bool = true, length: Int? = nil
    ) -> Tensor {
        trap(
            unless: rank >= 3 && shape[rank - 1] == 2 && shape[rank - 3] == size / 2 + 1,
            "inverse short-time Fourier transform: expected shape […, \(size / 2 + 1), frames, 2], found \(shape)")
        let leading = Array(shape.dropLast(3))
        let complex = operators.signals.viewAsComplex(.tensor(reshaped([leading.reduce(1, *)] + shape.suffix(3)).contiguous()))
        let signals = operators.signals.inverseShortTimeFourierTransform(
            .tensor(complex), .integer(size), .integer(hop), .integer(window.count), .tensor(window), .boolean(isCentred), .boolean(false),
            .boolean(true), .optional(length), .boolean(false))
        return signals.reshaped(leading + [signals.shape[1]])
    }

    /// ½ − ½·cos(2πn/length), or with length − 1 in the divisor if it is not periodic but symmetric: Hann's window.
    public static func hannWindow(
        _ length: Int, isPeriodic: Bool = true, type: ElementType = .float32, on device: Device = .cpu
    ) -> Tensor {
        operators.signals.hannWindow(
            .integer(length), .boolean(isPeriodic), .optional(type), .none, .device(device), .none)
    }

    /// Filters that add the energies of a spectrum to bands of the mel scale, `[bands, bins]`: triangles between three neighbouring points of `bands + 2` that lie
    /// evenly on the scale.
    ///
    /// - Parameters:
    ///   - bands: their number.
    ///   - bins: the spectrum's frequencies, from 0 to half the sampling rate: size/2 + 1 of ``shortTimeFourierTransform(size:hop:window:isCentred:paddingMode:)``.
    ///   - sampleRate: samples in a second, as `frequencies` in Hz.
    ///   - frequencies: of the first point and the last; by default from 0 to half the sampling rate.
    ///   - scale: which mel scale.
    ///   - areas: whether each triangle is divided by half its width in Hz, so that all have the area 1 (librosa's default, `norm="slaney"`), or has a height of
    ///     1 (torchaudio's).
    ///   - type: of the elements.
    ///   - device: where they are.
    public static func melFilters(
        bands: Int, bins: Int, sampleRate: Double, frequencies: ClosedRange<Double>? = nil, scale: MelScale = .slaney,
        unitAreas areas: Bool = true, type: ElementType = .float32, on device: Device = .cpu
    ) -> Tensor {
        let ends = frequencies ?? 0...sampleRate / 2
        trap(
            unless: bands > 0 && bins > 1 && sampleRate > 0 && ends.lowerBound >= 0 && ends.lowerBound < ends.upperBound,
            "mel filters: expected at least 1 band, 2 bins and increasing frequencies from 0 up, found \(bands), \(bins) and \(ends)")
        let (low, high) = (scale.mel(ends.lowerBound), scale.mel(ends.upperBound))
        let points = (0..<bands + 2).map { scale.frequency(low + (high - low) * Double($0) / Double(bands + 1)) }
        var filters = [Double](repeating: 0, count: bands * bins)
        for band in 0..<bands {
            let (left, middle, right) = (points[band], points[band + 1], points[band + 2])
            for bin in 0..<bins {
                let frequency = sampleRate / 2 * Double(bin) / Double(bins - 1)
                let height = max(0, min((frequency - left) / (middle - left), (right - frequency) / (right - middle)))
                filters[band * bins + bin] = areas ? height * 2 / (right - left) : height
            }
        }
        return Tensor(filters, shape: [bands, bins], on: device).converted(to: type)
    }
}

/// A scale on which steps of equal size sound equal.
public enum MelScale: Sendable {
    /// Linear up to 1000 Hz, then logarithmic (Slaney's *Auditory Toolbox*, 1998): librosa's default.
    case slaney
    /// 2595·log₁₀(1 + f/700) (O'Shaughnessy, 1987): HTK's, and torchaudio's default.
    case htk

    private static let (step, corner, ratio) = (200.0 / 3, 1000.0, Foundation.log(6.4) / 27)

    /// The place on the scale of a frequency in Hz.
    func mel(_ frequency: Double) -> Double {
        switch self {
        case .htk: 2595 * log10(1 + frequency / 700)
        case .slaney:
            frequency < Self.corner
                ? frequency / Self.step : Self.corner / Self.step + Foundation.log(frequency / Self.corner) / Self.ratio
        }
    }

    /// The frequency in Hz at a place on the scale.
    func frequency(_ mel: Double) -> Double {
        switch self {
        case .htk: 700 * (pow(10, mel / 2595) - 1)
        case .slaney:
            mel < Self.corner / Self.step ? mel * Self.step : Self.corner * Foundation.exp((mel - Self.corner / Self.step) * Self.ratio)
        }
    }
}
