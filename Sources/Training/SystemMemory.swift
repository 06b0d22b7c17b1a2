import Foundation

/// The memory available on this machine.
package enum SystemMemory {
    /// Bytes that programs can still allocate without swapping, by the system's own estimate (`MemAvailable` in `/proc/meminfo`), or that a
    /// container's limit (control groups, version 2) leaves; nil if the system does not say.
    package static var available: Int? {
        func text(_ path: String) -> String? { FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) } }
        let group = "/sys/fs/cgroup/memory"
        return available(
            meminfo: text("/proc/meminfo"), limit: text("\(group).max"), used: text("\(group).current"), details: text("\(group).stat"))
    }

    package static func available(meminfo: String?, limit: String?, used: String?, details: String?) -> Int? {
        func number(_ name: String, in table: String?) -> Int? {
            let line = table?.split(separator: "\n").first { $0.hasPrefix(name) }
            return line?.dropFirst(name.count).split(separator: " ").first.flatMap { Int($0) }
        }
        func whole(_ text: String?) -> Int? { text.flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) } }
        let machine = number("MemAvailable:", in: meminfo).map { $0 * 1024 }
        // Without a limit it says `max`. Memory that the container uses to cache files is freed for programs when needed.
        var container: Int?
        if let limit = whole(limit), let used = whole(used) { container = limit - used + (number("inactive_file", in: details) ?? 0) }
        return [machine, container].compactMap { $0 }.min()
    }
}
