/// Ends the program with the message unless the condition holds: for mistakes in a program, like `precondition`, which prints no message in an
/// optimised build.
package func trap(unless condition: @autoclosure () -> Bool, _ message: @autoclosure () -> String) {
    guard condition() else { fail(message()) }
}

/// Ends the program with the message, and with the layer in whose forward pass this thread is.
package func fail(_ message: String) -> Never {
    // Finding the name may fail in turn.
    let layer = LayerTrail.current.map { trail in LayerTrail.$current.withValue(nil) { trail.description } }
    fatalError(layer.map { "\($0): \(message)" } ?? message)
}

/// The layers in whose forward pass a thread is, so that a message about a mistake can name them.
package final class LayerTrail: Sendable {
    @TaskLocal static var current: LayerTrail?

    /// What a layer is called: its whole path in a network, or a part of it.
    package enum Name {
        case path(String)
        case part(String)
    }

    // Only ever called in this layer's own forward pass, on its thread.
    private nonisolated(unsafe) let name: () -> Name
    private let outer: LayerTrail?

    private init(_ name: @escaping () -> Name, in outer: LayerTrail?) { (self.name, self.outer) = (name, outer) }

    /// Calls the body, a layer's forward pass; the name is asked for only if a mistake ends the program there.
    package static func within<Result>(_ name: @escaping () -> Name, _ body: () -> Result) -> Result {
        $current.withValue(LayerTrail(name, in: current), operation: body)
    }

    /// Such as `layer 'blocks.3.second'`.
    var description: String {
        var parts: [String] = []
        var next: LayerTrail? = self
        while let trail = next {
            switch trail.name() {
            case .path(let path): return "layer '\(([path] + parts).joined(separator: "."))'"
            case .part(let part): parts.insert(part, at: 0)
            }
            next = trail.outer
        }
        return "layer '\(parts.joined(separator: "."))'"
    }
}
