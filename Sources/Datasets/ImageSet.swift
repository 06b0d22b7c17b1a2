import Torch

/// Images of one size, in grey or colour, and the class of each.
public struct ImageSet: Equatable, Sendable {
    /// The pixels, 0 for dark to 255, as `[count, channels, rows, columns]`.
    public let images: [UInt8]
    /// The class of each image, from 0 up.
    public let labels: [UInt8]
    /// 1 for grey, 3 for red, green and blue.
    public let channels: Int
    /// The height of an image in pixels.
    public let rows: Int
    /// The width of an image in pixels.
    public let columns: Int
    /// The classes' names, as far as known: label i is of the class `classNames[i]`.
    public let classNames: [String]?
    /// The number of images.
    public var count: Int { labels.count }
    /// The bytes of one image: channels × rows × columns.
    public var features: Int { channels * rows * columns }
    /// The size of an image in words, such as `28 × 28 pixels` or `3 × 32 × 32 pixels`.
    public var size: String { "\(channels == 1 ? "" : "\(channels) × ")\(rows) × \(columns) pixels" }

    /// A set of images in memory; traps unless there is a class and channels × rows × columns bytes for each image, and a name for each class if there are names.
    public init(images: [UInt8], labels: [UInt8], channels: Int = 1, rows: Int, columns: Int, classNames: [String]? = nil) {
        trap(
            unless: channels > 0 && rows > 0 && columns > 0 && images.count == labels.count * channels * rows * columns,
            "images: expected \(labels.count) of \(channels) × \(rows) × \(columns) pixels, found \(images.count) bytes")
        self.images = images
        self.labels = labels
        self.channels = channels
        self.rows = rows
        self.columns = columns
        if let classNames, let largest = labels.max() {
            trap(unless: Int(largest) < classNames.count, "images: expected a name for class \(largest), found \(classNames.count) names")
        }
        self.classNames = classNames
    }

    /// The two parts in which data sets are published; the raw value is the prefix of MNIST's file names.
    public enum Split: String, CaseIterable, Sendable {
        /// The images to learn from.
        case training = "train"
        /// The images to measure the error on.
        case test = "t10k"
    }
}
