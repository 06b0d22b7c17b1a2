import ArgumentParser
import Datasets
import Experiments
import Foundation
import Training

/// `weightnorm data`: the data sets of the experiments.
struct DataCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "data",
        abstract: "List, fetch and verify data sets.",
        discussion: """
            Data sets are kept unpacked in the cache, ${XDG_CACHE_HOME:-~/.cache}/swift-weightnorm, each in a folder of its own name, where the \
            experiments find them. Every file is checked against its MD5.
            """,
        subcommands: [List.self, Fetch.self, Verify.self])

    /// `weightnorm data list`.
    struct List: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "List the data sets, and say whether they are here.",
            discussion: "\"here\" means that files of the right names exist; 'weightnorm data verify' also checks their contents.")

        func run() {
            for publication in Publication.all {
                let folder = "\(DataFolder.cache)/\(publication.name)"
                let names = publication.files.map(\.name)
                let megabytes = (publication.bytes + 500_000) / 1_000_000
                print(
                    """
                    \(publication.name)
                      what     \(publication.title)
                      files    \(names.count), \(megabytes) MB: \(names.joined(separator: ", "))
                      licence  \(publication.licence)
                      from     \(publication.home)
                      here     \(publication.isThere(in: folder) ? folder : "no: weightnorm data fetch \(publication.name)")
                    """)
            }
        }
    }

    /// `weightnorm data fetch`.
    struct Fetch: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Download, verify and unpack data sets.",
            discussion: """
                Fetches only what is missing or damaged. A download interrupted by the network or by Ctrl-C resumes when the command is run again. \
                The mirrors of a data set are tried in turn.
                """)

        @Argument(
            help: ArgumentHelp(
                "Names as 'weightnorm data list' shows them: \(DataFolder.names.joined(separator: ", ")).", valueName: "name"))
        var names: [String]

        @Option(
            help: ArgumentHelp(
                "Where to get the files, instead of the mirrors: the address of a folder on a web server, or a local folder with the files, "
                    + "packed as published or unpacked.", valueName: "address-or-folder"))
        var from: String?

        @Option(help: ArgumentHelp("Folder in which to create a folder for each data set. (default: the cache)", valueName: "folder"))
        var to: String?

        func run() throws {
            let publications = try names.map(publication)
            if let from, case .folder(let path) = DataFetcher.Source(from) {
                var isFolder: ObjCBool = false
                guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
                    throw ValidationError("--from: expected an address (http://, https://) or a folder, found '\(from)'")
                }
            }
            for publication in publications {
                var fetcher = DataFetcher(
                    publication, root: to ?? DataFolder.cache, sources: from.map { [DataFetcher.Source($0)] } ?? [])
                // In kilobytes: the numbers stay readable, and the smallest file has five.
                var last: ProgressDisplay?
                fetcher.display = { name, done, total in
                    let kilobytes = { ($0 + 999) / 1000 }
                    let display = ProgressDisplay(label: name, total: kilobytes(total), done: kilobytes(done), unit: "kB")
                    last = display
                    return { done in
                        display.update(done: kilobytes(done))
                        if done >= total { display.finish() }
                    }
                }
                fetcher.notify = { line in
                    guard let last else { return printToError(line) }
                    last.print(line)
                }
                let fetched = try fetcher.run()
                let all = publication.files.count
                print(
                    fetched == 0
                        ? "\(publication.name): all \(all) files were there and right, in \(fetcher.folder)"
                        : "\(publication.name): \(fetched) of \(all) files fetched, all checked, in \(fetcher.folder)")
            }
        }
    }

    /// `weightnorm data verify`.
    struct Verify: ParsableCommand {
        static let configuration = CommandConfiguration(
            abstract: "Check the MD5 of every file of a data set.",
            discussion: """
                Fails if any file is missing or wrong, and names them all. In a folder, the data set is recognised by its files, which may be gzipped.
                """)

        @Argument(
            help: ArgumentHelp(
                "Names as 'weightnorm data list' shows them, or folders with such a data set's files.", valueName: "name-or-folder"))
        var sets: [String]

        func run() throws {
            var problems: [String] = []
            for set in sets {
                let isName = DataFolder.names.contains(set)
                let folder = isName ? "\(DataFolder.cache)/\(set)" : set
                var isFolder: ObjCBool = false
                let exists = FileManager.default.fileExists(atPath: folder, isDirectory: &isFolder) && isFolder.boolValue
                guard isName || exists else {
                    throw ValidationError("expected \(DataFolder.names.joined(separator: ", ")) or a folder, found '\(set)'")
                }
                let check = isName ? try DataCheck(publication(set), folder: folder) : try DataCheck(folder: folder)
                for (file, state) in check.states {
                    switch state {
                    case .right: print("right    \(check.publication.name)  \(file.name)")
                    case .missing:
                        print("missing  \(check.publication.name)  \(file.name)")
                        problems.append("\(file.name) missing")
                    case .wrong(let problem):
                        print("wrong    \(check.publication.name)  \(file.name): \(problem)")
                        problems.append("\(file.name) wrong (\(problem))")
                    }
                }
            }
            guard problems.isEmpty else { throw Problems(description: problems.joined(separator: "; ")) }
        }

        /// Everything that is wrong, on one line.
        struct Problems: Error, CustomStringConvertible {
            let description: String
        }
    }
}

private func publication(_ name: String) throws -> Publication {
    guard let publication = Publication.all.first(where: { $0.name == name }) else {
        throw ValidationError("expected data sets out of \(DataFolder.names.joined(separator: ", ")), found '\(name)'")
    }
    return publication
}
