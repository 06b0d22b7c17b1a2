import Testing
import Training

@Suite struct ProgressTests {
    /// A clock that stands still until it is set, and a record of what was written.
    private final class Screen {
        var time = 0.0
        var columns: Int?
        var written: [String] = []

        init(columns: Int?) { self.columns = columns }

        // Held by the display, not the other way round: a display may write when it is released, after the test's last use of the screen.
        func surroundings(colored: Bool = false) -> ProgressDisplay.Surroundings {
            .init(columns: { self.columns }, colored: colored, now: { self.time }, write: { self.written.append($0) })
        }

        func taken() -> [String] {
            defer { written = [] }
            return written
        }
    }

    private let erase = "\r\u{1B}[K"

    @Test func aUnitMayHaveParts() {
        let screen = Screen(columns: nil)
        let progress = ProgressDisplay(
            label: "study", total: 3000, done: 1000, unit: "runs", per: 1000, surroundings: screen.surroundings())
        screen.time = 10
        progress.update(done: 2250)
        #expect(screen.taken() == ["study: 2.2/3 (75 %), 0.12 runs/s, 6 s left\n"])
    }

    // MARK: On a terminal

    @Test func aTerminalShowsOneLineRedrawnInPlace() {
        let screen = Screen(columns: 100)
        let progress = ProgressDisplay(label: "train", total: 200, surroundings: screen.surroundings())
        progress.update(done: 0)
        #expect(screen.taken() == ["\(erase)train [------------------------------]  0/200  0 %"])
        screen.time = 4
        progress.update(done: 50, note: "loss 0.5")
        #expect(screen.taken() == ["\(erase)train [#######-----------------------]  50/200  25 %  12.5 steps/s  12 s left  loss 0.5"])
        screen.time = 8
        progress.update(done: 199)
        #expect(screen.written.last?.contains("99 %") == true, "100 % stands for all of it")
        #expect(screen.taken().last?.hasSuffix("loss 0.5") == true, "the last note stays")
        screen.time = 10
        progress.update(done: 200, note: "loss 0.4")
        progress.finish()
        let last = "\(erase)train [##############################]  200/200  100 %  20.0 steps/s  took 10 s  loss 0.4"
        #expect(screen.taken().suffix(2) == [last, "\n"])
        progress.finish()
        progress.update(done: 0)
        #expect(screen.taken() == [], "nothing comes after the end")
    }

    @Test func aTerminalIsDrawnTenTimesASecondAtMost() {
        let screen = Screen(columns: 80)
        let progress = ProgressDisplay(label: "train", total: 1000, surroundings: screen.surroundings())
        for step in 0..<1000 {
            screen.time = Double(step) / 1024
            progress.update(done: step)
        }
        #expect(screen.written.count == 10)
        #expect(screen.written.last?.contains("927/1000") == true)
        _ = screen.taken()
        progress.finish(note: "done")
        // What was not drawn is drawn at the end.
        #expect(screen.taken().first?.contains("999/1000  99 %  1024 steps/s  took 1 s  done") == true)
    }

    @Test(arguments: [0, 1, 2, 10, 20, 30, 40, 60, 80, 200]) func aLineFitsTheTerminal(columns: Int) {
        let screen = Screen(columns: columns)
        let progress = ProgressDisplay(label: "Übung", total: 100, surroundings: screen.surroundings(colored: true))
        screen.time = 20
        progress.update(done: 40, note: "loss 0.123, a long note with \u{1B}[2J, a\nnewline and 漢字")
        let line = screen.written[0].dropFirst(erase.count)
        let plain = line.replacing("\u{1B}[32m", with: "").replacing("\u{1B}[0m", with: "")
        #expect(plain.reduce(0) { $0 + ($1.isASCII ? 1 : 2) } <= max(columns - 1, 0))
        #expect(!plain.unicodeScalars.contains { $0.value < 0x20 }, "nothing in it moves the cursor")
        #expect(columns < 20 || plain.hasPrefix("Übung"))
        #expect((columns == 200) == plain.contains(" [############------------------]  "))
    }

    @Test func theWindowMayChangeItsWidth() {
        let screen = Screen(columns: 100)
        let progress = ProgressDisplay(label: "train", total: 10, surroundings: screen.surroundings())
        progress.update(done: 5)
        screen.time = 1
        screen.columns = 13
        progress.update(done: 6)
        #expect(screen.taken().last == "\(erase)train  6/10 ")
    }

    @Test func messagesStandAboveTheLine() {
        let screen = Screen(columns: 60)
        let progress = ProgressDisplay(label: "train", total: 10, surroundings: screen.surroundings())
        progress.print("before")
        progress.update(done: 5)
        let line = "train [###############---------------]  5/10  50 %"
        #expect(screen.taken() == ["before\n", erase + line])
        progress.print("in between")
        #expect(screen.taken() == ["\(erase)in between\n\(line)"])
        progress.finish()
        _ = screen.taken()
        progress.print("after")
        #expect(screen.taken() == ["after\n"])
    }

    @Test func colorsAreSwitchedOff() {
        for colored in [true, false] {
            let screen = Screen(columns: 60)
            let progress = ProgressDisplay(label: "train", total: 10, surroundings: screen.surroundings(colored: colored))
            progress.update(done: 5)
            #expect(screen.written[0].contains("[\u{1B}[32m###############\u{1B}[0m---------------]") == colored)
            #expect(screen.written[0].contains("[###############---------------]") != colored)
        }
    }

    @Test func anEndByAnErrorLeavesTheLine() {
        let screen = Screen(columns: 60)
        do {
            let progress = ProgressDisplay(label: "train", total: 10, surroundings: screen.surroundings())
            progress.update(done: 5)
        }
        #expect(screen.written.count == 2 && screen.written.last == "\n")
    }

    // MARK: Elsewhere

    @Test func aFileGetsOneLineInTenSecondsAndTheLast() {
        let screen = Screen(columns: nil)
        let progress = ProgressDisplay(label: "train", total: 100, surroundings: screen.surroundings(colored: true))
        for second in 0...25 {
            screen.time = Double(second)
            progress.update(done: 2 * second, note: "loss \(second)")
            if second == 12 { progress.print("a message") }
        }
        #expect(
            screen.taken() == [
                "train: 20/100 (20 %), 2.00 steps/s, 40 s left, loss 10\n", "a message\n",
                "train: 40/100 (40 %), 2.00 steps/s, 30 s left, loss 20\n",
            ])
        progress.finish()
        #expect(screen.taken() == ["train: 50/100 (50 %), 2.00 steps/s, took 25 s, loss 25\n"])
    }

    @Test func theIntervalAndTheUnitAreTheCallers() {
        let screen = Screen(columns: nil)
        let progress = ProgressDisplay(label: "a\nb", total: 4, unit: "epochs", interval: 60, surroundings: screen.surroundings())
        screen.time = 59
        progress.update(done: 1)
        #expect(screen.taken() == [])
        screen.time = 200
        progress.update(done: 2)
        // The first 59 seconds weigh e^(−141/30) = 0.009: 1.009 steps in 141.5 seconds.
        #expect(screen.taken() == ["a b: 2/4 (50 %), 0.0071 epochs/s, 4 min 41 s left\n"])
    }

    // MARK: Rate and time

    @Test func theRateFollowsAChangeOfSpeed() throws {
        let screen = Screen(columns: nil)
        let progress = ProgressDisplay(label: "x", total: 100_000, interval: 0, surroundings: screen.surroundings())
        func rate() throws -> Double {
            let line = try #require(screen.written.last)
            return try #require(Double(line.split(separator: ", ")[1].split(separator: " ")[0]))
        }
        for second in 1...300 {
            screen.time = Double(second)
            progress.update(done: 10 * second)
        }
        #expect(try rate() == 10)
        for second in 301...330 {
            screen.time = Double(second)
            progress.update(done: 3000 + 50 * (second - 300))
        }
        // After 30 seconds the new speed weighs 1 − 1/e: 10 + 40 · 0.632.
        #expect(abs(try rate() - 35.3) <= 0.1)
    }

    @Test func whatWasDoneBeforeDoesNotCount() {
        let screen = Screen(columns: nil)
        let progress = ProgressDisplay(label: "x", total: 1000, done: 500, interval: 0, surroundings: screen.surroundings())
        screen.time = 10
        progress.update(done: 510)
        #expect(screen.taken() == ["x: 510/1000 (51 %), 1.00 steps/s, 8 min 10 s left\n"])
        // Back to a checkpoint: no negative speed.
        screen.time = 20
        progress.update(done: 400)
        #expect(screen.taken().first?.contains("-") == false)
        progress.finish()
        #expect(screen.taken() == ["x: 400/1000 (40 %), 0 steps/s, took 20 s\n"])
    }

    @Test func strangeTotalsDoNoHarm() {
        for columns in [nil, 80] {
            let screen = Screen(columns: columns)
            let progress = ProgressDisplay(label: "x", total: 0, interval: 0, surroundings: screen.surroundings())
            screen.time = 1
            progress.update(done: 5)
            progress.finish()
            #expect(screen.written.first?.contains("5/0") == true)
        }
    }

    @Test(arguments: [
        (-1, "0 s"), (0.4, "0 s"), (45, "45 s"), (59.6, "1 min 00 s"), (130, "2 min 10 s"), (3599.6, "1 h 00 min"), (11_100, "3 h 05 min"),
        (187_200, "2 d 4 h"), (.infinity, "unknown time"), (.nan, "unknown time"),
    ])
    func durationsAreSaidAsPeopleDo(seconds: Double, text: String) {
        #expect(ProgressDisplay.duration(seconds) == text)
    }
}
