/// Ends the program with the message unless the condition holds: for mistakes in a program, as `precondition` is, which in an optimised build
/// would keep its message to itself.
package func trap(unless condition: @autoclosure () -> Bool, _ message: @autoclosure () -> String) {
    guard condition() else { fatalError(message()) }
}
