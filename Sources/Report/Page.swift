public import Foundation

/// A report: one HTML file that needs nothing else, neither a network nor a script.
public struct Page: Sendable {
    /// A part of a section.
    public indirect enum Block: Sendable {
        /// A paragraph.
        case prose(Prose)
        /// A list with bullets.
        case list([Prose])
        /// Commands or program output, with its line breaks.
        case code(String)
        /// A line chart.
        case chart(Chart)
        /// Values of several runs.
        case dots(DotPlot)
        /// A table.
        case table(Table)
        /// A picture.
        case image(Image)
        /// Names and values.
        case settings(Settings)
        /// Blocks side by side if there is room, else below each other.
        case row([Block])
    }

    /// A heading and what follows it.
    public struct Section: Sendable {
        /// The heading.
        public var title: String
        /// The blocks below it.
        public var blocks: [Block]

        /// A section with this heading.
        public init(_ title: String, _ blocks: [Block]) {
            self.title = title
            self.blocks = blocks
        }
    }

    /// Names and values: hyperparameters, machine, versions.
    public struct Settings: Sendable {
        /// The heading; nil for none.
        public var title: String?
        /// In the order of the page.
        public var items: [(name: String, value: String)]

        /// A list of names and values.
        public init(_ title: String? = nil, _ items: [(name: String, value: String)]) {
            self.title = title
            self.items = items
        }
    }

    /// The heading of the page, and its name in the browser.
    public var title: String
    /// The text below the heading: what the page is about, in a few sentences.
    public var lead: Prose
    /// The parts of the page.
    public var sections: [Section]
    /// The text at the end: who made the page, and when.
    public var footer: Prose
    /// Rules added to the style sheet, for `Series.Colour.custom`. It is trusted, not escaped.
    public var extraStyle: String

    /// A page with these parts.
    public init(_ title: String, lead: Prose, sections: [Section], footer: Prose, extraStyle: String = "") {
        self.title = title
        self.lead = lead
        self.sections = sections
        self.footer = footer
        self.extraStyle = extraStyle
    }

    /// The whole file.
    public func html() -> String {
        var ids = Identifiers()
        let parts: [Markup] = sections.map { section in
            let blocks: [Markup] = section.blocks.map { Page.markup($0, &ids) }
            return "<section>\n<h2>\(section.title)</h2>\n\(blocks)</section>\n"
        }
        let document: Markup = """
            <!DOCTYPE html>
            <html lang="en">
            <head>
            <meta charset="utf-8">
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <meta name="color-scheme" content="light dark">
            <title>\(title)</title>
            <style>
            \(Markup(trusted: StyleSheet.css))
            \(Markup(trusted: extraStyle))
            </style>
            </head>
            <body>
            \(Palette.symbols)<header class="page-header">
            <h1>\(title)</h1>
            <p class="lead">\(lead.markup)</p>
            </header>
            <main>
            \(parts)</main>
            <footer class="page-footer">\(footer.markup)</footer>
            </body>
            </html>

            """
        return document.html
    }

    /// Writes a temporary file beside it and renames that, so that a reader never sees half a page.
    ///
    /// - Throws: ``ReportError/cannotWrite(file:reason:)`` if the system does not allow it.
    public func write(to file: URL) throws(ReportError) {
        do {
            try Data(html().utf8).write(to: file, options: .atomic)
        } catch {
            throw .cannotWrite(file: file.path, reason: error.localizedDescription)
        }
    }

    /// Gives every figure its own id.
    private struct Identifiers {
        private var last = 0

        mutating func next() -> String {
            last += 1
            return "figure-\(last)"
        }
    }

    private static func markup(_ block: Block, _ ids: inout Identifiers) -> Markup {
        switch block {
        case .prose(let prose): return "<p>\(prose.markup)</p>\n"
        case .list(let items):
            let lines: [Markup] = items.map { "<li>\($0.markup)</li>\n" }
            return lines.isEmpty ? "" : "<ul class=\"prose\">\n\(lines)</ul>\n"
        case .code(let text): return "<pre tabindex=\"0\"><code>\(text)</code></pre>\n"
        case .chart(let chart): return chart.markup(id: ids.next())
        case .dots(let plot): return plot.markup(id: ids.next())
        case .table(let table): return table.markup(id: ids.next())
        case .image(let image): return image.markup(id: ids.next())
        case .settings(let settings):
            let heading: Markup = settings.title.map { "<h3>\($0)</h3>\n" } ?? ""
            let items: [Markup] = settings.items.map { "<dt>\($0.name)</dt><dd>\($0.value)</dd>\n" }
            return items.isEmpty ? "" : "<div class=\"settings\">\n\(heading)<dl>\n\(items)</dl>\n</div>\n"
        case .row(let blocks):
            let inside: [Markup] = blocks.map { markup($0, &ids) }
            return "<div class=\"row\">\n\(inside)</div>\n"
        }
    }
}

/// What can go wrong with a report.
public enum ReportError: Error, Equatable, CustomStringConvertible {
    /// The page's file cannot be written, with the system's reason.
    case cannotWrite(file: String, reason: String)
    /// A picture's data are not a PNG file.
    case notPNG(name: String, found: String)

    /// One line with what was expected and found.
    public var description: String {
        switch self {
        case .cannotWrite(let file, let reason): "Report: cannot write \(file): \(reason)"
        case .notPNG(let name, let found): "Report: expected a PNG image for \"\(name)\", found \(found)"
        }
    }
}

/// A PNG picture embedded in the page.
public struct Image: Sendable {
    let png: Data
    let width: Int
    let height: Int
    let alternative: String
    let title: String
    let summary: Prose?
    let scale: Int
    let isPixelArt: Bool

    /// A picture from the bytes of a PNG file.
    ///
    /// - Parameters:
    ///   - title: the heading above it.
    ///   - png: the file's bytes.
    ///   - alternative: what the picture shows, for readers who cannot see it.
    ///   - summary: a sentence below the title.
    ///   - scale: CSS pixels per pixel of the picture, for samples of a few dozen pixels.
    ///   - isPixelArt: whether enlarged pixels keep their edges.
    /// - Throws: ``ReportError/notPNG(name:found:)`` for data that is not a PNG picture.
    public init(
        _ title: String, png: Data, alternative: String, summary: Prose? = nil, scale: Int = 1, isPixelArt: Bool = false
    ) throws(ReportError) {
        let bytes = [UInt8](png.prefix(24))
        guard bytes.count == 24, bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) else {
            let start = bytes.prefix(4).map { String($0, radix: 16, uppercase: true) }.joined(separator: " ")
            throw .notPNG(name: title, found: png.isEmpty ? "no bytes" : "\(png.count) bytes that begin with \(start)")
        }
        // Width and height are at fixed places, right after the signature and the name of the first chunk.
        func number(at offset: Int) -> Int { bytes[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) } }
        guard number(at: 16) > 0, number(at: 20) > 0 else { throw .notPNG(name: title, found: "a picture without pixels") }
        self.png = png
        width = number(at: 16)
        height = number(at: 20)
        self.alternative = alternative
        self.title = title
        self.summary = summary
        self.scale = max(1, scale)
        self.isPixelArt = isPixelArt
    }

    package func markup(id: String) -> Markup {
        let style = isPixelArt ? "picture pixels" : "picture"
        return """
            <figure id="\(id)">
            \(Markup.caption(title: title, summary: summary))<img class="\(style)" width="\(width * scale)" height="\(height * scale)" \
            alt="\(alternative)" src="data:image/png;base64,\(png.base64EncodedString())">
            </figure>

            """
    }
}
