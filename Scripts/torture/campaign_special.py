"""Files of a run's or a download's folder that are no plain files: nothing outside changes, nothing hangs, memory is bounded."""
import os
import shutil
import stat

import inputs
from campaign_kills import LIMIT
from campaign_readers import READS, done, prepared
from inputs import read, write
from machine import Fault
from runs import again, start

# "a link outside" keeps the bytes, so that whoever reads through it goes on and writes.
REPLACEMENTS = ["a link outside", "a link outside", "a link to the sentinel", "a FIFO", "a folder", "a full folder", "a link to a folder", "/dev/zero", "/dev/full", "/dev/null",
                "/dev/urandom", "/dev/tty", "a sparse file", "unreadable", "a broken link", "a loop", "a socket", "/proc/self/mem", "/proc/kmsg"]


def replace(random, path, outside, what):
    data = read(path) if os.path.isfile(path) else b"nothing"
    if os.path.lexists(path):
        os.unlink(path) if not os.path.isdir(path) or os.path.islink(path) else shutil.rmtree(path)
    other = os.path.join(outside, "copy")
    match what:
        case "a link outside":
            write(other, data)
            os.symlink(other, path)
        case "a link to the sentinel":
            os.symlink(os.path.join(outside, "sentinel"), path)
        case "a link to a folder":
            os.symlink(outside, path)
        case "a FIFO":
            os.mkfifo(path)
        case "a folder":
            os.mkdir(path)
        case "a full folder":
            write(os.path.join(path, "file"), b"mine")
        case "a sparse file":
            with open(path, "wb") as file:
                file.write(data)
                for size in (4 << 40, 4 << 30):
                    try:
                        file.truncate(size)
                        break
                    except OSError:
                        continue
        case "unreadable":
            write(path, data)
            os.chmod(path, 0)
        case "a broken link":
            os.symlink(os.path.join(outside, "nowhere"), path)
        case "a loop":
            os.symlink(os.path.basename(path), path)
        case "a socket":
            import socket
            server = socket.socket(socket.AF_UNIX)
            here = os.getcwd()
            try:
                # The name of a socket is short.
                folder = os.open(os.path.dirname(path), os.O_RDONLY)
                server.bind(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
                os.close(folder)
            finally:
                server.close()
        case _:
            os.symlink(what, path)


def special(world, machine, random, case):
    if random.random() < 0.2:
        return downloads(world, machine, random, case)
    if random.random() < 0.1:
        return listed(world, machine, random, case)
    if random.random() < 0.1:
        shutil.copytree(world.runs.analysed(machine), f"{case}/run")
        kind, words = "compare", ["analyze", "run", "--examples", "20", "--layers", "output", "--threads", "1"]
    else:
        kind, words = prepared(world, machine, random, case)
    if random.random() < 0.3:
        words = start(kind, world.runs.data, every=1000)
    names = sorted(os.listdir(f"{case}/run")) + ["config.json", "metrics.jsonl", ".weightnorm-run", "summary.json", "analysis.json", "analysis.html", "report.html", "layers.jsonl", "checkpoint.safetensors"]
    # A link whose name is drawn for what a run writes beside its files would be guessing: those names are random.
    name = random.choice(names)
    what = random.choice(REPLACEMENTS)
    if random.random() < 0.04:
        what, name = random.choice(["the folder is a link", "a link in the middle"]), ""
        os.rename(f"{case}/run", f"{case}/real")
        os.symlink("real", f"{case}/run")
    else:
        replace(random, f"{case}/run/{name}", f"{case}/outside", what)
    return tried(world, machine, case, words, f"{name}: {what}", name, what)


def tried(world, machine, case, words, note, name="", what=""):
    before = world.fingerprint(f"{case}/outside")
    result = machine.run(words, case, limit=LIMIT, seconds=45)
    try:
        outcome = result.judge(LIMIT)
        if world.fingerprint(f"{case}/outside") != before:
            raise Fault(f"a file outside was changed: {name} as {what}" if what else "a file outside was changed", result.words())
        return outcome
    except Fault as fault:
        fault.detail = f"{note}; {fault.detail}"
        raise


def listed(world, machine, random, case):
    """A name added to the list of a run's files: what the run did not make is not its to delete."""
    kind, words = prepared(world, machine, random, case)
    words = start(kind, world.runs.data, every=1000) if random.random() < 0.7 else words
    name = random.choice(["precious.txt", "thesis.tex", "notes", "network-mine.txt", "data.bin"])
    write(f"{case}/run/{name}", b"mine")
    with open(f"{case}/run/.weightnorm-run", "ab") as file:
        file.write(name.encode() + b"\n")
    result = machine.run(words, case)
    outcome = result.judge(LIMIT)
    if not os.path.exists(f"{case}/run/{name}"):
        raise Fault("a file of the user's, named in .weightnorm-run, was deleted", f"{name}; {result.words()}")
    return outcome


def downloads(world, machine, random, case):
    """The folders of downloads and of data."""
    way = random.randrange(3)
    what = random.choice(REPLACEMENTS)
    if way == 0:
        # Data that a user names may be links; what is no file is refused.
        shutil.copytree(f"{world.runs.data}/images", f"{case}/data")
        name = random.choice(sorted(os.listdir(f"{case}/data")))
        replace(random, f"{case}/data/{name}", f"{case}/outside", what)
        words = random.choice([["data", "verify", "data"], ["data", "fetch", "mnist", "--from", "data", "--to", "to"],
                               ["compare", "--data", "data", "--norm", "weight", "--epochs", "1", "--batch", "20", "--width", "0.05", "--threads", "1", "--out", "run2"]])
        return tried(world, machine, case, words, f"data/{name}: {what}", name, what)
    server = world.server
    names = ["mnist", ".mnist.lock", ".mnist.download", ".mnist.download/train-images-idx3-ubyte.gz", ".mnist.download/train-images-idx3-ubyte.gz.part",
             ".mnist.download/train-images-idx3-ubyte.gz.part.origin", "mnist/train-images-idx3-ubyte", ".mnist.work-1"]
    name = random.choice(names)
    path = f"{case}/to/{name}"
    os.makedirs(os.path.dirname(path))
    if name.endswith(".origin"):
        write(path.removesuffix(".origin"), b"part")
    elif name.endswith(".part"):
        write(path, bytes(1000))
        write(path + ".origin", b'{"address":"%s/train-images-idx3-ubyte.gz","validator":"\\"tag\\""}' % server.address.encode())
    replace(random, path, f"{case}/outside", what)
    if way == 1:
        shutil.copytree(f"{world.runs.data}/images", f"{case}/from")
        source = "from"
    else:
        source = server.address
    return tried(world, machine, case, ["data", "fetch", "mnist", "--from", source, "--to", "to"], f"{name}: {what}, from {'a server' if way == 2 else 'a folder'}", name, what)
