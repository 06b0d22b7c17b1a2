"""Races programs of one workload: they take turns, round by round, so that a slow spell of the machine falls on all of them.

    python race.py [--rounds 7] [--steps 1] [--json FILE] 'COMMAND' 'COMMAND' ...

A command that waits is stopped, so that its threads do not spin beside the running one. The times are medians over the rounds; the ratio is a command's
time divided by the first command's in the same round (above 1: the first is faster), with the median and the range over the rounds. The growth is the peak of a
process's memory less what it had before the network was made. Prints a table in Markdown; with --json, appends a line for each command to a file, with all its times.
"""
import argparse
import json
import shlex
import signal
import statistics
import subprocess
import sys


class Entrant:
    def __init__(self, command):
        self.command = command
        self.times = []
        try:
            self.process = subprocess.Popen(shlex.split(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        except OSError as error:
            sys.exit(f"race.py: error: cannot start '{command}': {error.strerror}")
        self.ready = self.answer("ready")
        self.process.send_signal(signal.SIGSTOP)

    def answer(self, key):
        for line in self.process.stdout:
            if line.startswith("{"):
                found = json.loads(line)
                if key in found:
                    return found
        sys.exit(f"race.py: error: '{self.command}': expected a line with '{key}', found the end of its output")

    def run(self, steps):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.write(f"run {steps}\n")
        self.process.stdin.flush()
        self.times.append(statistics.median(self.answer("ms")["ms"]))
        self.process.send_signal(signal.SIGSTOP)

    def finish(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.stdin.close()
        memory = self.answer("peak_rss_mb")
        self.peak, self.growth = memory["peak_rss_mb"], memory["peak_rss_mb"] - memory["before_mb"]
        self.process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1, help="steps of each command in a round, of which the median counts")
    parser.add_argument("--json", metavar="FILE", help="append a line of JSON for each command")
    parser.add_argument("commands", nargs="+")
    arguments = parser.parse_args()
    if arguments.json:
        try:
            open(arguments.json, "a").close()
        except OSError as error:
            sys.exit(f"race.py: error: --json: cannot write '{arguments.json}': {error.strerror}")
    entrants = [Entrant(command) for command in arguments.commands]
    for _ in range(arguments.rounds):
        for entrant in entrants:
            entrant.run(arguments.steps)
    for entrant in entrants:
        entrant.finish()
    print("| program | workload | norm | size | ms a step | fastest | peak MB | growth MB | ratio | range of the ratio |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    first = entrants[0].times
    for entrant in entrants:
        ratios = [own / base for own, base in zip(entrant.times, first)]
        ready = entrant.ready
        print(f"| {ready['ready']} | {ready['work']} | {ready['norm']} | {size(ready)} | {statistics.median(entrant.times):.0f} | {min(entrant.times):.0f} "
              f"| {entrant.peak:.0f} | {entrant.growth:.0f} | {statistics.median(ratios):.2f} | {min(ratios):.2f}–{max(ratios):.2f} |")
        if arguments.json:
            with open(arguments.json, "a") as file:
                record = {**ready, "ms": entrant.times, "ratios": ratios, "peak_mb": entrant.peak, "growth_mb": entrant.growth}
                file.write(json.dumps(record) + "\n")


def size(ready):
    if "side" not in ready:
        return f"{ready['batch']} × {ready['glimpses']} steps, {ready['width']} units"
    width = "units" if ready["work"] == "draw" else "maps"
    glimpses = f", {ready['glimpses']} glimpses" if "glimpses" in ready else ""
    return f"{ready['batch']} × {ready['side']}×{ready['side']}, {ready['width']} {width}{glimpses}"


if __name__ == "__main__":
    main()
