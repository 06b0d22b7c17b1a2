/// Ends the program with the message unless the condition holds: for mistakes in a program, like `precondition`, which prints no message in an
/// optimised build.
package func trap(unless condition: @autoclosure () -> Bool, _ message: @autoclosure () -> String) {
    guard condition() else { fatalError(message()) }
}
