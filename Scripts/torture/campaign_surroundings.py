"""Surroundings that are not as they should be: programs, folders and disks that are missing, full or something else."""
import os
import shutil
import subprocess

import inputs
from campaign_kills import LIMIT, resumed
from inputs import read, write
from machine import Fault
from runs import again, leftovers, start


def surroundings(world, machine, random, case):
    ways = [gzip_program, temporary, cache, addresses, large_images]
    if world.mounts:
        ways += [full_disk] * 3
    return random.choice(ways)(world, machine, random, case)


def judged(result, note):
    try:
        return result.judge(LIMIT)
    except Fault as fault:
        fault.detail = f"{note}; {fault.detail}"
        raise


def program(path, text):
    write(path, text.encode())
    os.chmod(path, 0o755)


def gzip_program(world, machine, random, case):
    """What PATH says is gzip."""
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        write(f"{case}/data/{name}.gz", inputs.gz(read(f"{world.runs.data}/images/{name}")))
    way = random.choice(["a folder", "missing", "fails", "is killed", "without end", "says too much", "no program", "a folder before the right one", "nothing"])
    os.makedirs(f"{case}/bin")
    match way:
        case "a folder" | "a folder before the right one":
            os.makedirs(f"{case}/bin/gzip")
        case "fails":
            program(f"{case}/bin/gzip", "#!/bin/sh\nexit 3\n")
        case "is killed":
            program(f"{case}/bin/gzip", "#!/bin/sh\nkill -9 $$\n")
        case "without end":
            program(f"{case}/bin/gzip", "#!/bin/sh\nexec /bin/cat /dev/zero\n")
        case "says too much":
            program(f"{case}/bin/gzip", "#!/bin/sh\nPATH=/bin:/usr/bin; yes 'much to say' | head -c 3000000 >&2; exit 1\n")
        case "no program":
            program(f"{case}/bin/gzip", "nothing that runs\0\1")
        case "nothing":
            program(f"{case}/bin/gzip", "#!/bin/sh\nexit 0\n")
    path = f"{case}/bin:{machine.environment['PATH']}" if way == "a folder before the right one" else f"{case}/bin"
    words = random.choice([
        ["compare", "--data", "data", "--norm", "weight", "--epochs", "1", "--batch", "20", "--width", "0.05", "--threads", "1", "--out", "run"],
        ["data", "verify", "data"]])
    outcome = judged(machine.run(words, case, {"PATH": path}), f"gzip: {way}")
    # What is no program is passed over for the system's own.
    passed_over = way in ("a folder", "a folder before the right one", "missing")
    if words[0] == "compare" and (outcome == "ok") != passed_over:
        raise Fault(f"images are {'taken' if outcome == 'ok' else 'refused'} although gzip is: {way}")
    return outcome


def temporary(world, machine, random, case):
    """The temporary folder: what is drawn does not depend on it, or is refused."""
    source, _, _ = world.runs.whole(machine, "draw")
    shutil.copytree(source, f"{case}/run")
    words = ["sample", "run", "--count", "3", "--out"]
    judged(machine.run([*words, "right.png"], case), "as usual")
    way = random.choice(["missing", "a file", "empty", "unset", "closed"])
    if way == "a file":
        write(f"{case}/tmp", b"")
    elif way == "closed":
        os.makedirs(f"{case}/tmp")
        os.chmod(f"{case}/tmp", 0)
    changes = {"TMPDIR": None if way == "unset" else "" if way == "empty" else f"{case}/tmp"}
    outcome = judged(machine.run([*words, "found.png"], case, changes), f"temporary folder: {way}")
    if outcome == "ok" and read(f"{case}/right.png") != read(f"{case}/found.png"):
        raise Fault("the bytes of a picture depend on the temporary folder", way)
    return outcome


def cache(world, machine, random, case):
    """The cache, in which whitenings and data sets are kept."""
    way = random.choice(["a file", "below a file", "missing", "relative", "a device", "closed", "a FIFO in it", "no HOME"])
    changes = {"XDG_CACHE_HOME": f"{case}/cache"}
    match way:
        case "a file":
            write(f"{case}/cache", b"")
        case "below a file":
            write(f"{case}/cache", b"")
            changes["XDG_CACHE_HOME"] += "/below"
        case "relative":
            changes["XDG_CACHE_HOME"] = "cache"
        case "a device":
            changes["XDG_CACHE_HOME"] = "/dev/null"
        case "closed":
            os.makedirs(f"{case}/cache/swift-weightnorm", mode=0)
        case "a FIFO in it":
            os.makedirs(f"{case}/cache")
            os.mkfifo(f"{case}/cache/swift-weightnorm")
        case "no HOME":
            changes = {"XDG_CACHE_HOME": None, "HOME": None}
    words = random.choice([
        start("classification", world.runs.data), ["data", "list"], ["data", "verify", "mnist"], ["data", "fetch", "mnist", "--from", f"{world.runs.data}/images"],
        ["compare", "--epochs", "1"]])
    if way == "no HOME" and words[:2] == ["data", "fetch"]:
        words += ["--to", "to"]
    if way == "no HOME" and words[0] == "compare":
        # The account's own folder is taken, where the data set may be.
        words = start("compare", world.runs.data)
    outcome = judged(machine.run(words, case, changes), f"cache: {way}")
    if words[0] == "train" and outcome == "ok":
        whole, _, _ = world.runs.whole(machine, "classification")
        if difference := world.runs.difference(whole, f"{case}/run"):
            raise Fault("results depend on the cache", f"{way}: {difference}")
    return outcome


def addresses(world, machine, random, case):
    server = world.server.address
    address = random.choice([
        server.replace("http", "HTTP"), server.replace("http", "Http"), "http://", "https://", "http:///x", "http://[::1", "http://127.0.0.1:0/", "http://127.0.0.1:65536/", "http://127.0.0.1:-1/",
        "http://" + "a" * 5000 + "/", "http://a b/", "http://127.0.0.1:1/" + "é" * 50, "http://user:pass@127.0.0.1:1/", "http://127.1:1/", "ftp://127.0.0.1/", "file:///etc", "http://%00/",
        server + "/../../x", server + "/?a=b", server + "#x", "", " ", "-", "/dev/null", "http://127.0.0.1:1\n/x"])
    result = machine.run(["data", "fetch", "mnist", f"--from={address}", "--to", "to"], case)
    outcome = judged(result, repr(address)[:100])
    if outcome == "ok":
        raise Fault("wrong bytes are taken for a data set", address)
    return outcome


def large_images(world, machine, random, case):
    """Images too large to be whitened, or for the network."""
    import struct
    side, count = random.choice([(700, 3), (100, 30), (2000, 2), (1, 30), (3, 30), (6000, 1)])
    for part in ("train", "t10k"):
        write(f"{case}/data/{part}-images-idx3-ubyte", struct.pack(">4i", 2051, count, side, side) + bytes(range(256)) * (count * side * side // 256) + bytes(count * side * side % 256))
        write(f"{case}/data/{part}-labels-idx1-ubyte", struct.pack(">2i", 2049, count) + bytes(i % 10 for i in range(count)))
    words = random.choice([
        ["compare", "--data", "data", "--whiten", "--norm", "weight", "--epochs", "1", "--batch", "1", "--width", "0.02", "--threads", "1", "--out", "run"],
        ["train", "classification", "--data", "data", "--norm", "weight", "--epochs", "1", "--batch", "1", "--width", "0.02", "--threads", "1", "--out", "run"]])
    return refused_or_done(machine, words, case, f"{count} images of {side} × {side}")


def refused_or_done(machine, words, case, note):
    # What is given is large: the memory for it may be, but no more than three times as much again.
    result = machine.run(words, case, limit=6 << 30, seconds=150)
    try:
        outcome = result.judge(6 << 30)
    except Fault as fault:
        fault.detail = f"{note}; {fault.detail}"
        raise
    if outcome == "refused" and os.path.lexists(f"{case}/run"):
        raise Fault("a refused run leaves its folder", f"{note}; {result.line}")
    return outcome


def full_disk(world, machine, random, case):
    """A disk of its own that is too small; then it grows, and the run goes on."""
    kind = random.choice(["classification", "compare", "ladder", "draw", "dqn", "sweep"])
    _, counts, _ = world.runs.whole(machine, kind)
    size = random.choice([4096, 16 << 10, 64 << 10, 128 << 10, 256 << 10, 512 << 10, random.randrange(4096, 1 << 20)])
    os.makedirs(f"{case}/run")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", f"{case}/run"], check=True)
    try:
        every = random.choice([0, 0, 1000])
        note = f"{kind} on a disk of {size} bytes, every {every}"
        outcome = judged(machine.run(again(kind, world.runs.data, every=every), case, seconds=180), note)
        subprocess.run(["mount", "-o", "remount,size=256m", f"{case}/run"], check=True)
        resumed(world, machine, kind, case, note)
        return outcome
    finally:
        subprocess.run(["umount", "-l", f"{case}/run"], check=False)


def can_mount(folder):
    """Whether this user may mount; if not, full disks are those of the shim alone."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        return False
    os.makedirs(folder)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4096", "tmpfs", folder], capture_output=True).returncode:
        return False
    return subprocess.run(["umount", folder], capture_output=True).returncode == 0
