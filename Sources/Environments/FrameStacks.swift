public import Torch

/// The last frames of every game, as input for a network that acts: if an episode is shorter than the stack, the older frames are zero.
///
/// ``ReplayMemory`` gives the same stacks for the same steps.
public struct FrameStacks {
    /// The number of frames in a stack.
    public let depth: Int
    private let count: Int
    private let rows: Int
    private let columns: Int
    private let lostLifeEndsEpisode: Bool
    /// `[count, depth, rows, columns]`, the newest frame last.
    private var bytes: [UInt8]

    /// Zero stacks for the games of an environment.
    public init(_ environment: any Environment, depth: Int = 4, lostLifeEndsEpisode: Bool) {
        (count, rows, columns) = (environment.count, environment.rows, environment.columns)
        self.depth = depth
        self.lostLifeEndsEpisode = lostLifeEndsEpisode
        bytes = [UInt8](repeating: 0, count: count * depth * rows * columns)
    }

    /// Adds the newest frame of every game.
    public mutating func push(_ step: EnvironmentStep) {
        let size = rows * columns
        trap(
            unless: step.frames.count == count * size, "stacks: expected \(count) frames of \(size) bytes, found \(step.frames.count) bytes"
        )
        bytes.withUnsafeMutableBytes { bytes in
            step.frames.withUnsafeBytes { frames in
                for game in 0..<count {
                    let stack = UnsafeMutableRawBufferPointer(rebasing: bytes[game * depth * size..<(game + 1) * depth * size])
                    let older = UnsafeMutableRawBufferPointer(rebasing: stack[..<((depth - 1) * size)])
                    if step.startsEpisode(game, lostLifeEndsEpisode: lostLifeEndsEpisode) {
                        older.initializeMemory(as: UInt8.self, repeating: 0)
                    } else {
                        older.copyMemory(from: UnsafeRawBufferPointer(rebasing: stack[size...]))
                    }
                    UnsafeMutableRawBufferPointer(rebasing: stack[((depth - 1) * size)...])
                        .copyMemory(from: UnsafeRawBufferPointer(rebasing: frames[game * size..<(game + 1) * size]))
                }
            }
        }
    }

    /// The stacks, `.uint8` of `[count, depth, rows, columns]`, the newest frame last.
    public func tensor(on device: Device = .cpu) -> Tensor { Tensor(bytes, shape: [count, depth, rows, columns], on: device) }

    /// Resumes with stacks that ``tensor(on:)`` gave.
    ///
    /// - Throws: `TorchError` if they have another type or shape.
    public mutating func restore(_ tensor: Tensor) throws {
        guard tensor.type == .uint8, tensor.shape == [count, depth, rows, columns] else {
            throw TorchError("stacks of frames: expected uint8\([count, depth, rows, columns]), found \(tensor.type)\(tensor.shape)")
        }
        bytes = tensor.elements(as: UInt8.self)
    }
}
