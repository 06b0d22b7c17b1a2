import AtomicFiles
import Foundation

#if canImport(Darwin)
    import Darwin
#else
    import Glibc
#endif

/// A program in a separate process that obeys one-byte commands and shares memory with this process.
///
/// It finds these descriptors open: 3, the channel for commands and answers; 4, the shared memory, as a file to be mapped; 5, the lifeline, on which
/// nothing is ever sent and which is closed when this process ends, however it ends. Its input is empty, and what it prints is kept as its last
/// words.
///
/// Nothing is left behind. The shared memory has no name; ``lifelineProgram`` lets the system end the program with this process, even if this one is
/// killed and the program hangs.
final class WorkerProcess {
    /// The memory that both processes see; initially zeros.
    let memory: UnsafeMutableRawBufferPointer
    /// For messages.
    private let name: String
    private let channel: Descriptor
    private let errors: Descriptor
    private let lifeline: Descriptor
    private var process: pid_t
    private var lastWords: [UInt8] = []
    private var failure: EnvironmentError?

    /// The process ID; nil after its end.
    var identifier: Int32? { process > 0 ? process : nil }

    /// The first lines, in Python, of a program.
    ///
    /// The lifeline's owner gets SIGIO when the other end is closed; by default that ends a process, whatever it is doing. Linux's PR_SET_PDEATHSIG
    /// would already do so when the thread that started the process ends, and threads come and go here.
    static let lifelineProgram = """
        import fcntl, os, select, signal, sys
        CHANNEL, MEMORY, LIFELINE = 3, 4, 5
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        fcntl.fcntl(LIFELINE, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(LIFELINE, fcntl.F_SETFL, fcntl.fcntl(LIFELINE, fcntl.F_GETFL) | os.O_ASYNC)
        poll = select.poll()
        poll.register(LIFELINE, 0)
        if poll.poll(0): sys.exit("the process that began this one has ended")

        """

    /// Starts a program.
    ///
    /// - Throws: ``EnvironmentError`` if the system does not allow it.
    init(_ executable: String, _ arguments: [String], sharing size: Int, name: String) throws {
        func failure(_ what: String, _ code: Int32) -> EnvironmentError {
            EnvironmentError(environment: name, problem: "cannot \(what): \(String(cString: strerror(code)))")
        }
        let shared = try Self.sharedFile(of: size, failure)
        defer { close(shared) }
        guard let start = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, shared, 0), start != MAP_FAILED else {
            throw failure("map \(size) bytes of shared memory", errno)
        }
        var isStarted = false
        defer { if !isStarted { munmap(start, size) } }
        // Sockets, because they can be created so that no process being started meanwhile inherits them, and because writing to one that nobody reads
        // need not end this process.
        var far: [Int32] = []
        defer { for number in far { close(number) } }
        func socketPair() throws -> Descriptor {
            let (near, other) = try Self.socketPair(failure)
            far.append(other)
            return Descriptor(near)
        }
        let channel = try socketPair()
        let errors = try socketPair()
        let lifeline = try socketPair()

        #if canImport(Darwin)
            var actions: posix_spawn_file_actions_t?
            var attributes: posix_spawnattr_t?
        #else
            var actions = posix_spawn_file_actions_t()
            var attributes = posix_spawnattr_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        posix_spawnattr_init(&attributes)
        defer {
            posix_spawn_file_actions_destroy(&actions)
            posix_spawnattr_destroy(&attributes)
        }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        for (target, number) in [far[1], far[1], far[0], shared, far[2]].enumerated() {
            posix_spawn_file_actions_adddup2(&actions, number, Int32(target + 1))
        }
        // Its own process group: Ctrl-C is for this process, which may want to save a run before it ends. No signal is blocked or ignored.
        posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK))
        posix_spawnattr_setpgroup(&attributes, 0)
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        for number in [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGIO] { sigaddset(&signals, number) }
        posix_spawnattr_setsigdefault(&attributes, &signals)

        var list: [UnsafeMutablePointer<CChar>?] = ([executable] + arguments).map { strdup($0) }
        defer { for argument in list { free(argument) } }
        list.append(nil)
        var process: pid_t = 0
        let code = posix_spawn(&process, executable, &actions, &attributes, list, environ)
        guard code == 0 else { throw failure("start \(executable)", code) }
        isStarted = true
        memory = UnsafeMutableRawBufferPointer(start: start, count: size)
        (self.name, self.process) = (name, process)
        self.channel = channel
        self.errors = errors
        self.lifeline = lifeline
    }

    deinit {
        end()
        munmap(memory.baseAddress, memory.count)
    }

    /// A file without a name, so that nothing is left behind if this process is killed at any time.
    private static func sharedFile(of size: Int, _ failure: (String, Int32) -> EnvironmentError) throws -> Int32 {
        #if os(Linux)
            let number = open("/dev/shm", __O_TMPFILE | O_RDWR | O_CLOEXEC, 0o600)
        #else
            var template = Array("\(NSTemporaryDirectory())weightnorm-XXXXXX".utf8CString)
            let number = mkstemp(&template)
            if number >= 0 { unlink(template) }
        #endif
        guard number >= 0 else { throw failure("make shared memory in /dev/shm", errno) }
        guard ftruncate(number, off_t(size)) == 0 else {
            let code = errno
            close(number)
            throw failure("make \(size) bytes of shared memory", code)
        }
        return moved(number)
    }

    private static func socketPair(_ failure: (String, Int32) -> EnvironmentError) throws -> (Int32, Int32) {
        var numbers: [Int32] = [0, 0]
        #if os(Linux)
            let code = socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue | SOCK_CLOEXEC.rawValue), 0, &numbers)
        #else
            let code = socketpair(AF_UNIX, SOCK_STREAM, 0, &numbers)
        #endif
        guard code == 0 else { throw failure("make a socket", errno) }
        return (moved(numbers[0]), moved(numbers[1]))
    }

    /// The same file under a descriptor other than those that the program expects.
    private static func moved(_ number: Int32) -> Int32 {
        let other = fcntl(number, F_DUPFD_CLOEXEC, 10)
        guard other >= 0 else { return number }
        close(number)
        return other
    }

    /// Sends a command.
    ///
    /// - Throws: ``EnvironmentError`` if the program has ended.
    func send(_ command: UInt8) throws {
        if let failure { throw failure }
        var byte = command
        #if os(Linux)
            let flags = Int32(truncatingIfNeeded: MSG_NOSIGNAL)
        #else
            let flags: Int32 = 0
        #endif
        var sent: Int
        repeat { sent = sendBytes(channel.number, &byte, 1, flags) } while sent < 0 && errno == EINTR
        if sent != 1 { throw ended() }
    }

    /// Waits for an answer of one byte.
    ///
    /// - Throws: ``EnvironmentError`` if it is another answer, none comes in the given time, or the program has ended; the program is then
    ///   terminated.
    func receive(_ expected: UInt8, within seconds: Double) throws {
        if let failure { throw failure }
        let deadline = ContinuousClock.now + .seconds(seconds)
        while true {
            let rest = max(0, (deadline - ContinuousClock.now) / .milliseconds(1))
            var waiting = [
                pollfd(fd: channel.number, events: Int16(POLLIN), revents: 0), pollfd(fd: errors.number, events: Int16(POLLIN), revents: 0),
            ]
            // Once the program has closed its output, there is nothing more to wait for.
            let ready = poll(&waiting, nfds_t(areErrorsOpen ? 2 : 1), Int32(min(rest.rounded(.up), 1e9)))
            if ready < 0, errno != EINTR { throw fail("cannot wait for it: \(String(cString: strerror(errno)))") }
            if ready == 0 && rest == 0 {
                throw fail("expected an answer within \(String(format: "%g", seconds)) s, found none")
            }
            if waiting[1].revents != 0 { readErrors() }
            guard ready > 0, waiting[0].revents != 0 else { continue }
            var byte: UInt8 = 0
            let count = recv(channel.number, &byte, 1, 0)
            if count < 0 && errno == EINTR { continue }
            guard count == 1 else { throw ended() }
            guard byte == expected else { throw fail("expected the answer \(expected), found \(byte)") }
            return
        }
    }

    private var areErrorsOpen = true

    /// Reads what the program has printed, without waiting for more, and keeps the end.
    private func readErrors() {
        var chunk = [UInt8](repeating: 0, count: 4096)
        while areErrorsOpen {
            let count = recv(errors.number, &chunk, chunk.count, Int32(truncatingIfNeeded: MSG_DONTWAIT))
            if count == 0 { areErrorsOpen = false }
            guard count > 0 else { return }
            lastWords = (lastWords + chunk[..<count]).suffix(8192)
        }
    }

    /// The error to throw after the program has closed the channel.
    private func ended() -> EnvironmentError {
        // The channel closes a moment before the process ends; the way it ends tells why.
        var status: Int32 = 0
        for _ in 0..<100 where process > 0 {
            if waitpid(process, &status, WNOHANG) == process {
                process = 0
                let signal = status & 0x7F
                let way = signal == 0 ? "exit status \(status >> 8 & 0xFF)" : "signal \(signal)"
                return fail("expected the emulator process to keep running, found that it ended with \(way)")
            }
            usleep(10_000)
        }
        return fail("expected the program that plays it to answer, found its channel closed")
    }

    private func fail(_ problem: String) -> EnvironmentError {
        end()
        readErrors()
        let failure = EnvironmentError(environment: name, problem: problem, lastWords: String(decoding: lastWords, as: UTF8.self))
        self.failure = failure
        return failure
    }

    /// Terminates the program, which has nothing to save, and waits for its end.
    func end() {
        guard process > 0 else { return }
        kill(process, SIGKILL)
        while waitpid(process, nil, 0) < 0 && errno == EINTR {}
        process = 0
        if failure == nil { failure = EnvironmentError(environment: name, problem: "expected it to be played, found that it was ended") }
    }
}

// Inside the class the name `send` refers to its own method.
private func sendBytes(_ number: Int32, _ bytes: UnsafeRawPointer, _ count: Int, _ flags: Int32) -> Int {
    send(number, bytes, count, flags)
}
