import Foundation
import Testing
import Torch

struct SpectrumTests {
    @Test("each frame's transform is the sum that it is defined by")
    func definition() {
        let (size, hop) = (8, 3)
        let signal = Tensor.normal([2, 23], type: .float64, from: Generator(seed: 1))
        let window = Tensor.hannWindow(size, type: .float64)
        let found = signal.shortTimeFourierTransform(size: size, hop: hop, window: window, isCentred: false)
        #expect(found.shape == [2, 5, 6, 2])
        let (numbers, weights) = (signal[1].elements(as: Double.self), window.elements(as: Double.self))
        for frequency in 0..<5 {
            for frame in 0..<6 {
                var (real, imaginary) = (0.0, 0.0)
                for n in 0..<size {
                    let angle = -2 * Double.pi * Double(frequency * n) / Double(size)
                    real += weights[n] * numbers[frame * hop + n] * cos(angle)
                    imaginary += weights[n] * numbers[frame * hop + n] * sin(angle)
                }
                #expect(
                    abs(found[1, frequency, frame, 0].item() - real) < 1e-12
                        && abs(found[1, frequency, frame, 1].item() - imaginary) < 1e-12)
            }
        }
    }

    @Test("the inverse gives the signal back, and both carry gradients")
    func inverse() {
        let signal = Parameter(.normal([3, 2, 64], type: .float64, from: Generator(seed: 2)))
        let window = Tensor.hannWindow(16, type: .float64)
        let spectrum = signal.value.shortTimeFourierTransform(size: 16, hop: 4, window: window)
        #expect(spectrum.shape == [3, 2, 9, 17, 2])
        let back = spectrum.inverseShortTimeFourierTransform(size: 16, hop: 4, window: window, length: 64)
        #expect((back - signal.value).detached().magnitude().maximum().item() < 1e-12)
        let slopes = gradients(of: (back * 3).sum(), withRespectTo: [signal])
        #expect((slopes[0] - 3).magnitude().maximum().item() < 1e-12)
    }

    @Test("mel filters are triangles of area 1 between points that lie evenly on the scale")
    func mel() {
        let filters = Tensor.melFilters(bands: 8, bins: 1025, sampleRate: 16000, type: .float64)
        #expect(filters.shape == [8, 1025])
        // The sum over bins times their distance is the integral over Hz.
        #expect((filters.sum(over: [1]) * (8000.0 / 1024) - 1).magnitude().maximum().item() < 1e-3)
        let heights = Tensor.melFilters(
            bands: 8, bins: 4097, sampleRate: 16000, frequencies: 50...7000, scale: .htk, unitAreas: false, type: .float64)
        #expect((heights.maximum(over: [1]) - 1).magnitude().maximum().item() < 0.02)
        // Neighbouring triangles add up to 1 between the first peak and the last.
        let sums = heights.sum(over: [0])
        let first = Int(heights[0].indexOfMaximum(along: 0).item()) + 1
        let last = Int(heights[7].indexOfMaximum(along: 0).item())
        #expect((sums[first..<last] - 1).magnitude().maximum().item() < 1e-9)
    }
}
