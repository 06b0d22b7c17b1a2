import Foundation

/// A JSON document, changed in one place after the other.
struct Mutations {
    private let document: Any

    init(of value: some Encodable) throws {
        document = try JSONSerialization.jsonObject(with: JSONEncoder().encode(value), options: .fragmentsAllowed)
    }

    init(json: String) throws { document = try JSONSerialization.jsonObject(with: Data(json.utf8), options: .fragmentsAllowed) }

    /// A step on the way to a place.
    enum Step: CustomStringConvertible {
        case key(String)
        case index(Int)

        var description: String {
            switch self {
            case .key(let key): ".\(key)"
            case .index(let index): "[\(index)]"
            }
        }
    }

    /// Every place in the document, the whole included.
    var places: [[Step]] { Self.places(in: document) }

    /// Those of numbers alone.
    var numbers: [[Step]] { places.filter { Self.value(in: document, at: $0[...]) is NSNumber } }

    private static func places(in value: Any) -> [[Step]] {
        var inner: [[Step]] = []
        if let object = value as? [String: Any] {
            for (key, value) in object.sorted(by: { $0.key < $1.key }) { inner += places(in: value).map { [.key(key)] + $0 } }
        } else if let list = value as? [Any] {
            // The first and the last stand for all.
            for index in Set([0, list.count - 1]).sorted() where list.indices.contains(index) {
                inner += places(in: list[index]).map { [.index(index)] + $0 }
            }
        }
        return [[]] + inner
    }

    private static func value(in value: Any, at place: ArraySlice<Step>) -> Any? {
        guard let first = place.first else { return value }
        switch first {
        case .key(let key): return (value as? [String: Any])?[key].flatMap { self.value(in: $0, at: place.dropFirst()) }
        case .index(let index): return (value as? [Any]).flatMap { self.value(in: $0[index], at: place.dropFirst()) }
        }
    }

    /// The document with other JSON in a place, or without the place.
    func document(replacing place: [Step], by json: String?) -> String {
        let marker = "\u{E000}here"
        let changed = Self.replace(document, at: place[...], by: json == nil ? nil : marker) ?? [String: Any]()
        guard let data = try? JSONSerialization.data(withJSONObject: changed, options: [.fragmentsAllowed, .sortedKeys]) else { return "" }
        // As text, since a number such as 1e39 or 2^70 need not be one to the writer.
        return String(decoding: data, as: UTF8.self).replacing("\"\(marker)\"", with: json ?? "")
    }

    private static func replace(_ value: Any, at place: ArraySlice<Step>, by new: Any?) -> Any? {
        guard let first = place.first else { return new }
        switch first {
        case .key(let key):
            guard var object = value as? [String: Any], let inner = object[key] else { return value }
            object[key] = replace(inner, at: place.dropFirst(), by: new)
            return object
        case .index(let index):
            guard var list = value as? [Any] else { return value }
            if let inner = replace(list[index], at: place.dropFirst(), by: new) { list[index] = inner } else { list.remove(at: index) }
            return list
        }
    }
}
