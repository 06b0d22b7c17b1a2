"""Attacks the command with what users, disks, servers and passers-by can do to it. `python3 Scripts/torture --help`

Every case is made from the seed, the campaign and its number alone, so that a fault can be had again:
`make torture ARGS='--seed 1 --only readers --case 17'`.
"""
import argparse
import collections
import hashlib
import os
import queue
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import inputs
from campaign_kills import errors, kills, starts
from campaign_readers import readers
from campaign_servers import Server, servers
from campaign_settings import settings
from campaign_special import special
from campaign_surroundings import can_mount, surroundings
from machine import Fault, Machine, build_shim
from runs import Runs

# What each gets of the time, and how many cases of it a short run has.
CAMPAIGNS = {
    "kills": (kills, 24, 8), "errors": (errors, 24, 16), "readers": (readers, 20, 300), "settings": (settings, 16, 100), "special": (special, 10, 40),
    "surroundings": (surroundings, 8, 20), "starts": (starts, 6, 1), "servers": (servers, 0, 12)}
KEPT = 4  # inputs of faults of one kind


class World:
    def __init__(self, root):
        self.root = root
        self.runs = Runs(root)
        inputs.make_images(f"{root}/data/images")
        inputs.make_colour(f"{root}/data/colour")
        self.models = inputs.model_files()
        self.server = Server(lambda c, request, n: c.sendall(b'HTTP/1.1 200 OK\r\nETag: "tag"\r\nContent-Length: 1000\r\n\r\n' + bytes(1000)))
        self.patience = 200
        self.mounts = can_mount(f"{root}/mount")
        self.peak, self.guard = None, threading.Lock()

    def fetch_peak(self, machine):
        """The memory of a fetch that comes to nothing."""
        with self.guard:
            if self.peak is None:
                server = Server(lambda c, request, n: c.sendall(b"HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n"))
                folder = f"{self.root}/peak"
                os.makedirs(folder)
                self.peak = machine.run(["data", "fetch", "mnist", "--from", server.address, "--to", "to"], folder).peak
                server.close()
            return self.peak

    @staticmethod
    def fingerprint(folder):
        """Everything that lies in a folder: names, kinds, contents."""
        found = []
        for path, folders, names in os.walk(folder):
            for name in sorted(folders + names):
                file = os.path.join(path, name)
                status = os.lstat(file)
                data = hashlib.md5(inputs.read(file)).hexdigest() if os.path.isfile(file) and not os.path.islink(file) else ""
                found.append((file, status.st_mode, status.st_size, data))
        return sorted(found)


class Driver:
    def __init__(self, options, root, log):
        self.options, self.root, self.log = options, root, log
        self.world = World(root)
        self.shim = build_shim(root)
        self.lock = threading.Lock()
        self.outcomes = {name: collections.Counter() for name in options.only}
        self.spent, self.begun = collections.Counter(), collections.Counter()
        self.faults = {}
        self.start = time.monotonic()
        self.deadline = None if options.cases or options.case is not None else self.start + options.minutes * 60
        self.told = self.start
        self.machines, self.threads = [], []
        self.ended = False

    def next(self, waits):
        """The campaign whose turn it is, and the number of its case; None at the end."""
        with self.lock:
            if self.ended:
                return None
            names = [n for n in self.options.only if (n == "servers") == waits]
            if self.options.case is not None:
                names = [n for n in names if self.begun[n] == 0]
            elif self.options.cases:
                names = [n for n in names if self.begun[n] < max(1, round(CAMPAIGNS[n][2] * self.options.cases))]
            elif time.monotonic() > self.deadline:
                return None
            if not names:
                return None
            name = min(names, key=lambda n: (self.spent[n] / max(1, CAMPAIGNS[n][1]), self.begun[n]))
            number = self.begun[name] if self.options.case is None else self.options.case
            self.begun[name] += 1
            # Until it is done, what such a case has taken so far counts, so that two threads do not both take a long one.
            self.spent[name] += 0.01
            return name, number

    def work(self, index, waits):
        machine = Machine(self.options.command, self.shim, f"{self.root}/home-{index}", self.options.plain)
        self.machines.append(machine)
        try:
            while (turn := self.next(waits)) is not None:
                begin = time.monotonic()
                try:
                    self.case(machine, *turn)
                except Exception as error:  # of this script
                    self.report(*turn, Fault(f"the torture script: {type(error).__name__}: {error}", repr(error)), "")
                    machine.stop()
                with self.lock:
                    self.spent[turn[0]] += time.monotonic() - begin
                self.tell()
        finally:
            machine.stop()

    def case(self, machine, name, number):
        folder = f"{self.root}/cases/{name}-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        inputs.write(f"{folder}/outside/sentinel", b"not yours")
        seen = self.world.fingerprint(f"{folder}/outside")
        draws = random.Random(f"{self.options.seed} {name} {number}")
        draws.number = number
        try:
            outcome = CAMPAIGNS[name][0](self.world, machine, draws, folder)
            if name != "special" and self.world.fingerprint(f"{folder}/outside") != seen:
                raise Fault("a file outside was changed")
            self.outcomes[name][outcome] += 1
        except Fault as fault:
            self.report(name, number, fault, folder)
        if self.options.case is None:
            remove(folder)

    def report(self, name, number, fault, folder):
        with self.lock:
            if self.ended:
                return  # a case that was given up at the end of the budget
            self.outcomes[name]["FAULT"] += 1
            kind = self.faults.setdefault((name, fault.kind), [])
            kind.append(number)
            if len(kind) > KEPT:
                return
            print(f"FAULT: {name}: {fault.kind}\n    {fault.detail[:700]}\n    again: {self.repeat(name, number)}", flush=True)
        if folder:
            keep(folder, f"{self.log}/{name}-{number}", f"{fault.kind}\n{fault.detail}\n{self.repeat(name, number)}\n")

    def repeat(self, name, number):
        return f"make torture ARGS='--seed {self.options.seed} --only {name} --case {number}'"

    def tell(self):
        with self.lock:
            now = time.monotonic()
            if now - self.told < 60:
                return
            self.told = now
            cases = ", ".join(f"{name} {sum(self.outcomes[name].values())}" for name in self.options.only)
            print(f"{(now - self.start) / 60:.1f} min: {cases}; {sum(o['FAULT'] for o in self.outcomes.values())} faults", flush=True)

    def run(self):
        waiting = 4 if "servers" in self.options.only else 0
        self.threads = [threading.Thread(target=self.work, args=(i, i >= self.options.jobs), daemon=True) for i in range(self.options.jobs + waiting)]
        for thread in self.threads:
            thread.start()
        for thread in self.threads:
            # A case in progress may end; one that takes longer is given up, so that the budget is kept.
            thread.join(None if self.deadline is None else max(0, self.deadline + 20 - time.monotonic()))
        self.stop()
        return self.summary()

    def stop(self):
        """Ends what is still going on; the children of a fork server end with it."""
        with self.lock:
            self.ended = True
        for machine in self.machines:
            if machine.server:
                machine.server.kill()
        for thread in self.threads:
            thread.join(2)

    def summary(self):
        print(f"\nSeed {self.options.seed}, {(time.monotonic() - self.start) / 60:.1f} minutes of {self.options.jobs} processes at a time")
        rows = [("campaign", "cases", "ok", "refused in one line", "FAULT")]
        for name in self.options.only:
            o = self.outcomes[name]
            rows.append((name, *map(str, (sum(o.values()), o["ok"], o["refused"], o["FAULT"]))))
        widths = [max(len(row[i]) for row in rows) for i in range(5)]
        for row in rows:
            print("  ".join([row[0].ljust(widths[0])] + [row[i].rjust(widths[i]) for i in range(1, 5)]))
        for (name, kind), numbers in sorted(self.faults.items(), key=lambda item: -len(item[1])):
            print(f"\n{len(numbers)} × {name}: {kind}\n    {self.repeat(name, numbers[0])}" + (f"  (also {', '.join(map(str, numbers[1:6]))})" if numbers[1:] else ""))
        if self.faults:
            print(f"\nWhat failed lies in {self.log}")
        return 1 if self.faults else 0


def remove(folder):
    for path, folders, _ in os.walk(folder):
        for name in folders:
            if not os.path.islink(os.path.join(path, name)):
                os.chmod(os.path.join(path, name), 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def keep(folder, place, words):
    """Copies what failed, as far as it can be copied."""
    os.makedirs(place, exist_ok=True)
    inputs.write(f"{place}/fault.txt", words.encode("utf-8", "surrogateescape"))
    for path, folders, names in os.walk(folder):
        target = os.path.join(place, "case", os.path.relpath(path, folder))
        os.makedirs(target, exist_ok=True)
        for name in names + [f for f in folders if os.path.islink(os.path.join(path, f))]:
            file = os.path.join(path, name)
            try:
                status = os.lstat(file)
                if os.path.islink(file):
                    os.symlink(os.readlink(file), os.path.join(target, name))
                elif os.path.isfile(file) and status.st_blocks * 512 <= 20 << 20 and status.st_size <= 1 << 30:
                    shutil.copy2(file, os.path.join(target, name))
                else:
                    inputs.write(os.path.join(target, name + ".what"), f"mode {status.st_mode:o}, {status.st_size} bytes\n".encode())
            except OSError:
                pass


def main():
    def campaigns(text):
        names = text.split(",")
        for name in names:
            if name not in CAMPAIGNS:
                raise argparse.ArgumentTypeError(f"expected campaigns out of {', '.join(CAMPAIGNS)}, found '{name}'")
        return names

    parser = argparse.ArgumentParser(prog="torture", description="Attacks the weightnorm command: kills, injected errors, damaged files, odd settings, special files, hostile servers.")
    parser.add_argument("command", help="the weightnorm command")
    parser.add_argument("--seed", type=int, default=1, help="seed of all cases (default: 1)")
    parser.add_argument("--minutes", type=float, default=60, help="how long to run (default: 60)")
    parser.add_argument("--cases", type=float, metavar="SHARE", help="run a fixed number of cases instead: 1 for those of a short run, 0.5 for half of them")
    parser.add_argument("--only", type=campaigns, default=list(CAMPAIGNS), metavar="LIST", help=f"campaigns to run: {','.join(CAMPAIGNS)} (default: all)")
    parser.add_argument("--case", type=int, metavar="NUMBER", help="run only this case, and keep its folder; with --only")
    parser.add_argument("--log", metavar="FOLDER", help="where to keep inputs that failed (default: a new temporary folder)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time, besides four that wait for servers (default: one per core)")
    parser.add_argument("--plain", action="store_true", help="start every process afresh instead of forking loaded ones; an order of magnitude slower")
    options = parser.parse_args()
    options.command = os.path.realpath(options.command)
    if not os.access(options.command, os.X_OK):
        parser.error(f"expected the weightnorm command, found '{options.command}'")
    if options.case is not None and len(options.only) != 1:
        parser.error("--case: expected --only with one campaign")
    log = os.path.abspath(options.log or tempfile.mkdtemp(prefix="torture-log-"))
    os.makedirs(log, exist_ok=True)
    # As Control-C does: nothing is left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # The number tells whose it is.
    root = os.path.realpath(tempfile.mkdtemp(prefix=f"torture-{os.getpid()}-"))
    driver = Driver(options, root, log)
    try:
        status = driver.run()
        if options.case is not None:
            place = f"{log}/case"
            keep(f"{root}/cases/{options.only[0]}-{options.case}", place, f"case {options.case}\n")
            print(f"The case's folder was copied to {place}")
    except BaseException:
        driver.stop()
        raise
    finally:
        remove(root)
        if not options.log and not os.listdir(log):
            os.rmdir(log)
    # Threads in cases that were given up must not keep the process.
    sys.stdout.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
