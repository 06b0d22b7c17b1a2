package import Foundation

/// What a browser makes of a report: the curves it draws and the errors it meets.
///
///     let check = try await BrowserCheck.inspect(file, scheme: .dark, width: 360)
///     #expect(check.errors.isEmpty)
package struct BrowserCheck: Decodable {
    package enum Scheme: Int, CaseIterable {
        // The numbers are Blink's.
        case dark = 0
        case light = 1
    }

    package struct Curve: Decodable {
        /// The chart's accessible name.
        package var chart: String
        package var series: String
        /// Length in units of the chart's own square, whose side is 1000.
        package var length: Double
        /// The curve's box on the screen, in CSS pixels.
        package var width: Double
        package var height: Double
        /// Whether that box lies within the chart's plot, where a clip cuts it or it fits by itself.
        package var isInside: Bool
        /// The computed stroke, such as "rgb(31, 69, 168)".
        package var stroke: String
    }

    /// Errors of scripts and of things that could not be loaded.
    package var errors: [String]
    /// Addresses that the page asked for besides itself.
    package var requests: [String]
    package var curves: [Curve]
    package var background: String
    /// What the page took the scheme to be.
    package var isDark: Bool
    /// Width of the window, and of the content that should fit into it.
    package var windowWidth: Double
    package var contentWidth: Double

    package struct Failure: Error, CustomStringConvertible {
        package var description: String

        package init(description: String) { self.description = description }
    }

    /// Chromium, where it is installed.
    package static let executable: URL? = {
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        let files = ["chromium", "chromium-browser", "google-chrome"].flatMap { name in
            folders.map { URL(fileURLWithPath: String($0)).appendingPathComponent(name) }
        }
        return files.first { FileManager.default.isExecutableFile(atPath: $0.path) }
    }()

    /// Opens a copy of the file in a browser without a window.
    ///
    /// - Parameter width: of the page; it may be less than the 500 pixels that Chromium gives a window.
    package static func inspect(_ file: URL, scheme: Scheme, width: Int = 1200, timeout: Duration = .seconds(60)) async throws
        -> BrowserCheck
    {
        guard let executable else {
            throw Failure(description: "expected chromium, chromium-browser or google-chrome in PATH, found none")
        }
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("browser-check-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }

        let page = try instrumented(String(contentsOf: file, encoding: .utf8), name: file.path)
        try page.write(to: folder.appendingPathComponent("page.html"), atomically: true, encoding: .utf8)
        let frame = folder.appendingPathComponent("frame.html")
        try wrapper(width: width).write(to: frame, atomically: true, encoding: .utf8)

        let output = try await run(
            executable, in: folder, timeout: timeout,
            arguments: [
                "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run", "--hide-scrollbars",
                "--user-data-dir=\(folder.appendingPathComponent("profile").path)", "--window-size=\(max(500, width)),1000",
                "--blink-settings=preferredColorScheme=\(scheme.rawValue)", "--virtual-time-budget=10000", "--dump-dom",
                frame.absoluteString,
            ])
        guard let start = output.range(of: "<pre id=\"result\">"),
            let end = output.range(of: "</pre>", range: start.upperBound..<output.endIndex),
            let json = Data(base64Encoded: String(output[start.upperBound..<end.lowerBound])), !json.isEmpty
        else {
            throw Failure(description: "expected the browser to report on \(file.path), found: \(output.prefix(400))")
        }
        return try JSONDecoder().decode(BrowserCheck.self, from: json)
    }

    // The listener stands before everything else, so that no error comes too early for it.
    private static func instrumented(_ html: String, name: String) throws -> String {
        guard let head = html.range(of: "<head>"), let body = html.range(of: "</body>", options: .backwards) else {
            throw Failure(description: "expected <head> and </body> in \(name), found a page without")
        }
        var result = html
        result.insert(contentsOf: "<script>\(probe)</script>", at: body.lowerBound)
        result.insert(contentsOf: "<script>\(listener)</script>", at: head.upperBound)
        return result
    }

    /// A page around the page: a frame can be narrower than a window.
    private static func wrapper(width: Int) -> String {
        """
        <!DOCTYPE html><html><head><meta charset="utf-8"><meta name="color-scheme" content="light dark"></head>
        <body style="margin:0"><pre id="result"></pre>
        <script>addEventListener('message', e => { document.getElementById('result').textContent = e.data; });</script>
        <iframe src="page.html" style="border:0;width:\(width)px;height:1000px"></iframe></body></html>
        """
    }

    private static let listener = """
        window.foundErrors = [];
        addEventListener('error', e => {
            foundErrors.push(e.message || 'cannot load ' + (e.target.src || e.target.href || e.target.tagName));
        }, true);
        addEventListener('unhandledrejection', e => foundErrors.push('rejected: ' + e.reason));
        """

    private static let probe = """
        addEventListener('load', () => {
            const curves = Array.from(document.querySelectorAll('path.curve'), curve => {
                const box = curve.getBoundingClientRect();
                const inner = curve.closest('svg');
                const outer = curve.closest('figure svg[role=img]');
                const plot = (outer || inner).getBoundingClientRect();
                const fits = box.left >= plot.left - 2 && box.right <= plot.right + 2
                    && box.top >= plot.top - 2 && box.bottom <= plot.bottom + 2;
                const meets = box.left <= plot.right && box.right >= plot.left && box.top <= plot.bottom && box.bottom >= plot.top;
                const clipped = getComputedStyle(inner).overflow !== 'visible';
                return {
                    chart: (outer && outer.getAttribute('aria-label')) || '', series: curve.dataset.series || '',
                    length: curve.getTotalLength(), width: box.width, height: box.height,
                    isInside: plot.width > 0 && plot.height > 0 && (fits || (clipped && meets)),
                    stroke: getComputedStyle(curve).stroke,
                };
            });
            const text = JSON.stringify({
                errors: foundErrors,
                requests: performance.getEntriesByType('resource').map(r => r.name).filter(n => !n.startsWith('data:')),
                curves, background: getComputedStyle(document.body).backgroundColor,
                isDark: matchMedia('(prefers-color-scheme: dark)').matches,
                windowWidth: innerWidth, contentWidth: document.documentElement.scrollWidth,
            });
            parent.postMessage(btoa(new TextEncoder().encode(text).reduce((all, byte) => all + String.fromCharCode(byte), '')), '*');
        });
        """

    /// Runs the browser and gives back what it printed; it is stopped when the time is over.
    private static func run(_ executable: URL, in folder: URL, timeout: Duration, arguments: [String]) async throws -> String {
        // Files, not pipes: nobody has to read while the browser runs, and its helpers cannot hold an end open.
        let (output, errors) = (folder.appendingPathComponent("output"), folder.appendingPathComponent("errors"))
        for file in [output, errors] { try Data().write(to: file) }
        let process = Process()
        process.executableURL = executable
        process.arguments = arguments
        process.currentDirectoryURL = folder
        process.environment = ProcessInfo.processInfo.environment.merging(["HOME": folder.path]) { $1 }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = try FileHandle(forWritingTo: output)
        process.standardError = try FileHandle(forWritingTo: errors)
        try process.run()
        let start = ContinuousClock.now
        while process.isRunning {
            if ContinuousClock.now - start > timeout {
                kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
                throw Failure(description: "expected \(executable.lastPathComponent) to end within \(timeout), found it still running")
            }
            try await Task.sleep(for: .milliseconds(50))
        }
        guard process.terminationStatus == 0 else {
            let text = try String(decoding: Data(contentsOf: errors), as: UTF8.self)
            throw Failure(
                description:
                    "expected \(executable.lastPathComponent) to end well, found status \(process.terminationStatus): \(text.suffix(400))")
        }
        return try String(decoding: Data(contentsOf: output), as: UTF8.self)
    }
}
