/// Lists in messages: a file can have any number of defects, and one line cannot show them all.
package enum MessageList {
    /// The maximum number that a line shows.
    package static let most = 20

    /// The first of them, and how many more there are.
    package static func joined(_ items: some Collection<String>, separator: String = ", ", most: Int = most) -> String {
        let rest = items.count - most
        return items.prefix(most).joined(separator: separator) + (rest > 0 ? "\(separator)and \(rest) more" : "")
    }
}
