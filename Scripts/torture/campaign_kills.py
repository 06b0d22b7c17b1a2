"""Kills, injected errors and starts at once: whatever happens, the run can be gone on with and ends in the same bits."""
import os
import shutil
import subprocess
import time

from machine import Fault, Result
from runs import KINDS, again, checked_end, leftovers, start

LIMIT = 1536 << 20
CALLS = ["open", "read", "write", "fsync", "rename", "mkdir", "unlink", "truncate", "close", "lock", "list"]
ERRNO = {"EIO": 5, "ENOSPC": 28, "EDQUOT": 122, "EMFILE": 24, "ENFILE": 23, "EINTR": 4, "EACCES": 13, "EROFS": 30, "ENOMEM": 12, "EFBIG": 27, "ENOENT": 2}


def resumed(world, machine, kind, case, why):
    """Goes on undisturbed and checks the end."""
    whole, _, _ = world.runs.whole(machine, kind)
    result = machine.run(again(kind, world.runs.data), case, seconds=180)
    if result.judge(LIMIT) != "ok":
        raise Fault("a run cannot be gone on with", f"{why}; {result.words()}; {result.line}")
    checked_end(world.runs, whole, f"{case}/run", why)


def kills(world, machine, random, case):
    kind = random.choice(KINDS)
    _, counts, seconds = world.runs.whole(machine, kind)
    notes = []
    for _ in range(random.choice([1, 1, 2, 3, 5])):
        every = random.choice([0, 0, 0.05, 0.5, 1000])
        if random.random() < 0.5:
            after = random.uniform(0, 1.1 * seconds)
            result = machine.run(again(kind, world.runs.data, every=every), case, kill_after=after, seconds=180)
            notes.append(f"{after:.2f} s, every {every}")
        else:
            call = random.choice([c for c in CALLS if counts[c]])
            what = random.choice(["before", "after", "midway"] if call == "write" else ["before", "after"])
            fault = f"{call} {random.randint(1, counts[call])} {what}"
            result = machine.run(
                again(kind, world.runs.data, every=every), case, {"TORTURE_ROOT": case, "TORTURE_FAULT": fault}, seconds=180)
            notes.append(f"{fault}, every {every}")
        if result.ended != "killed" and result.signal != 9:
            # It came to its end before the kill, or refused to go on.
            if result.judge(LIMIT) != "ok":
                raise Fault("a killed run cannot be gone on with", f"{kind}: {notes}; {result.words()}; {result.line}")
    resumed(world, machine, kind, case, f"{kind}: {notes}")
    return "ok"


def errors(world, machine, random, case):
    kind = random.choice(KINDS)
    whole, counts, seconds = world.runs.whole(machine, kind)
    changes, options, notes = {"TORTURE_ROOT": case}, {}, ""
    way = random.random()
    if random.random() < 0.4:
        # Something to resume with: the errors meet the resuming too.
        shutil.copytree(world.runs.stopped(machine, kind), f"{case}/run")
    during = None
    if way < 0.65:
        call = random.choice([c for c in CALLS if counts[c]] + ["write", "rename", "fsync"])
        name = random.choice(sorted(ERRNO))
        what = random.choice(["errno", "errno", "always"])
        if call == "write" and random.random() < 0.3:
            what = "short"
        if name == "EINTR":
            what = "errno"
        changes["TORTURE_FAULT"] = notes = f"{call} {random.randint(1, counts[call] + 1)} {what} {ERRNO[name]}"
    elif way < 0.8:
        name = random.choice(["ENOSPC", "EDQUOT", "EIO"])
        changes["TORTURE_FAULT"] = notes = f"bytes {random.randrange(counts['bytes'] + 1)} full {ERRNO[name]}"
    elif way < 0.88:
        options["file_size"] = random.choice([0, 1, 100, 1024, random.randrange(200_000)])
        notes = f"ulimit -f of {options['file_size']} bytes"
    elif way < 0.94:
        options["files"] = random.randrange(3, 40)
        notes = f"ulimit -n {options['files']}"
    elif way < 0.97:
        full = random.choice(["missing", "a file"])
        changes["TMPDIR"] = f"{case}/tmp"
        if full == "a file":
            open(f"{case}/tmp", "wb").close()
        notes = f"a temporary folder that is {full}"
    else:
        options["kill_after"] = random.uniform(0, 1.1 * seconds)
        notes = f"the folder renamed after {options['kill_after']:.2f} s"

        def during():
            if os.path.isdir(f"{case}/run"):
                os.rename(f"{case}/run", f"{case}/moved")

    every = random.choice([0, 0, 0, 1000])
    result = machine.run(again(kind, world.runs.data, every=every), case, changes, seconds=180, during=during, **options)
    why = f"{kind}: {notes}, every {every}"
    try:
        outcome = result.judge(LIMIT)
        # Whoever is told that a run went well has its records.
        if outcome == "ok":
            folder = "moved" if os.path.isdir(f"{case}/moved") and not os.path.isdir(f"{case}/run") else "run"
            if difference := world.runs.difference(whole, f"{case}/{folder}"):
                raise Fault("exit 0, but the results are not those of an undisturbed run", difference)
    except Fault as fault:
        fault.detail = f"{why}; {fault.detail}"
        raise
    if os.path.isdir(f"{case}/moved"):
        shutil.rmtree(f"{case}/run", ignore_errors=True)
        os.rename(f"{case}/moved", f"{case}/run")
    shutil.rmtree(f"{case}/tmp", ignore_errors=True)
    if os.path.isfile(f"{case}/tmp"):
        os.unlink(f"{case}/tmp")
    resumed(world, machine, kind, case, f"{why}: first {result.line}")
    return outcome


def starts(world, machine, random, case):
    """Sixteen processes, none of them from the fork server, at once in one folder."""
    kind = random.choice(["compare", "draw", "sweep", "dqn", "fetch"])
    environment = {k: v for k, v in machine.environment.items() if k != "LD_PRELOAD"}
    if kind == "fetch":
        os.makedirs(f"{case}/from")
        words = ["data", "fetch", "mnist", "--from", "from", "--to", "to"]
    elif random.random() < 0.5:
        words = start(kind, world.runs.data)
    else:
        words = again(kind, world.runs.data)
    children = []
    for number in range(16):
        error = open(f"{case}/err-{number}", "wb")
        children.append((subprocess.Popen([machine.command, *words], cwd=case, env=environment, stdin=subprocess.DEVNULL,
                                          stdout=subprocess.DEVNULL, stderr=error, start_new_session=True), error))
        if random.random() < 0.2:
            time.sleep(random.random() / 2)
    end, well = time.monotonic() + 240, 0
    for number, (child, error) in enumerate(children):
        ended = ""
        try:
            child.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            machine.kill(child.pid)
            child.wait()
            ended = "time"
        error.close()
        with open(f"{case}/err-{number}", "rb") as file:
            said = file.read()
        os.unlink(f"{case}/err-{number}")
        status = -child.returncode if child.returncode < 0 else child.returncode << 8
        well += Result(words, status, b"", said, 0, 0, ended).judge(LIMIT) == "ok"
    if kind == "fetch":
        return "refused"
    if well == 0:
        raise Fault("of sixteen starts at once none came to its end", kind)
    whole, _, _ = world.runs.whole(machine, kind)
    checked_end(world.runs, whole, f"{case}/run", kind)
    return "ok"
