internal import CTorch

/// Where tensors lie and operators run: the CPU, or a CUDA device.
///
/// CUDA is loaded when a CUDA device is first requested; a program that requests none does not need CUDA.
public struct Device: Hashable, Sendable, CustomStringConvertible {
    let code: Int32

    /// The host's processor.
    public static let cpu = Device(code: 0)

    /// The CUDA device of the given index.
    ///
    /// Request it before taking the first gradient: libtorch then decides, for the whole process, whether there is CUDA.
    ///
    /// - Throws: ``TorchError`` if libtorch's CUDA half cannot be loaded or there is no such device; the error says what was looked for.
    public static func cuda(_ index: Int = 0) throws -> Device {
        var count: Int32 = 0
        if let message = ctorch_cuda_load(&count) {
            throw TorchError(
                "no CUDA device: expected libtorch_cuda.so beside libtorch_cpu.so and an NVIDIA driver; \(takeMessage(message))")
        }
        guard (0..<Int(count)).contains(index) else {
            throw TorchError(
                "no CUDA device \(index): expected an index below the number of devices, found \(count) device\(count == 1 ? "" : "s")")
        }
        return Device(code: 1 << 8 | Int32(index))
    }

    /// The device of the given name: `cpu`, `cuda` or `cuda:INDEX`.
    ///
    /// - Throws: ``TorchError`` if the name is none of these, or there is no such device.
    public init(named name: String) throws {
        switch name {
        case "cpu": self = .cpu
        case "cuda": self = try .cuda()
        default:
            guard name.hasPrefix("cuda:"), let index = Int(name.dropFirst(5)), (0..<256).contains(index) else {
                throw TorchError("unknown device: expected cpu, cuda or cuda:INDEX, found '\(name)'")
            }
            self = try .cuda(index)
        }
    }

    init(code: Int32) { self.code = code }

    /// Whether it is the host's processor.
    public var isCPU: Bool { code >> 8 == 0 }

    /// The name that ``init(named:)`` takes.
    public var description: String { isCPU ? "cpu" : "cuda:\(code & 0xff)" }

    /// Waits until all work submitted to the device is done; returns at once for the CPU.
    public func synchronize() {
        if !isCPU && StepPhase.isRecording { return StepPhase.refuse("it waits for the device") }
        if let message = ctorch_device_synchronize(code) { fatalError("synchronize \(self): \(takeMessage(message))") }
    }
}

/// The underlying runtime: versions, threads, and the number of live tensors.
public enum Runtime {
    /// The version of the libtorch that this was built against, such as `2.15.0`.
    public static var libtorchVersion: String { String(cString: ctorch_version()) }

    /// The vector instructions that libtorch's CPU kernels use here, such as `AVX2`.
    public static var processorCapability: String { String(cString: ctorch_cpu_capability()) }

    /// Whether the processor has instructions for products of bfloat16 that libtorch uses (AVX-512 BF16, or Arm's BF16): without them ``withAutocast(_:on:_:)`` is
    /// right on the CPU, but slower than float32.
    public static var processorHasBFloat16: Bool { ctorch_cpu_has_bfloat16() }

    /// Threads that one operator uses on the CPU.
    public static var threadCount: Int { Int(ctorch_thread_count()) }

    /// Sets how many threads one operator uses on the CPU, for the whole process.
    ///
    /// - Throws: ``TorchError`` if the count is not between 1 and 1024.
    public static func setThreadCount(_ count: Int) throws {
        guard (1...1024).contains(count) else { throw TorchError("number of threads: expected 1 to 1024, found \(count)") }
        if let message = ctorch_set_thread_count(Int32(count)) { throw TorchError(takeMessage(message)) }
    }

    /// Whether float32 matrix products and convolutions on CUDA may round their factors to TF32, for the whole process; false at first.
    ///
    /// TF32 has 8 bits of exponent and 10 of fraction, so a factor's relative error is up to 2⁻¹¹; sums are float32. It is much faster on GPUs that
    /// support it. The CPU does not.
    public static var allowsTF32: Bool {
        get { ctorch_tf32_allowed() }
        set {
            if let message = ctorch_tf32_allow(newValue) { fatalError("TF32: \(takeMessage(message))") }
        }
    }

    /// Whether 3×3 convolutions on the CPU may be computed with a quarter of the multiplications (Winograd's F(4×4, 3×3)), for the whole process; false at
    /// first.
    ///
    /// It takes effect in float32 on x86-64 processors with AVX2 or AVX-512, with stride 1, in channels last (``Tensor/channelsLast()``), from 8 channels on, where
    /// a minibatch is large enough to gain by it. The result differs in rounding: its root mean square error is at most two and a half times that of sums in float32
    /// made term by term, some 1e-6 of the result. Each 4×4 tile of the result is computed from 6×6 pixels: one that is far larger than those around it spoils the last digits of the whole tile,
    /// and one that is not a finite number makes all of the tile's results so, not only those that depend on it.
    public static var allowsWinograd: Bool {
        get { ctorch_winograd_allowed() }
        set { ctorch_winograd_allow(newValue) }
    }

    /// Whether dense products of float32 on the CPU go to oneDNN, for the whole process: at first they do with AVX-512 outside Intel's processors, where MKL
    /// takes its AVX2 kernels.
    package static var prefersOneDNNProducts: Bool {
        get { ctorch_onednn_products_preferred() }
        set { ctorch_onednn_products_prefer(newValue) }
    }

    /// From now until the process ends, keeps the memory of freed CPU tensors for later tensors.
    ///
    /// Otherwise the C library returns large blocks to the system. A training step frees all its activations, and the next step allocates them again,
    /// page by page, each first zeroed by the system: that takes 5 to 7 % of the time of a step of the paper's network (`Docs/performance.md`). A
    /// program that trains on the CPU should call this first.
    ///
    /// The price is memory: what tensors once needed stays with the process, and up to half as much again if sizes vary. That is why it is the
    /// program's choice. On CUDA devices there is always such a cache.
    public static func keepFreedMemory() { ctorch_keep_freed_memory() }

    /// The number of tensors that Swift now holds in the whole process; it stays constant over the steps of a training run that leaks nothing.
    public static var liveTensorCount: Int { Int(ctorch_tensor_live_count()) }
}
