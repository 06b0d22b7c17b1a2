"""Fuzz of every reader: exit 0 or one line, bounded memory and time, and nothing written that should not be."""
import json
import os
import random as randoms
import shutil
import struct

import inputs
from campaign_kills import LIMIT
from inputs import read, write
from machine import Fault
from mutations import at, leaves, nasty, hide, spoil, spoil_json, spoil_safetensors
from runs import again, leftovers

SECONDS = 60


def readers(world, machine, random, case):
    return random.choices(
        [weights, run_file, checkpoint_values, images, colours, archives, verify, lines],
        [30, 14, 16, 12, 6, 10, 5, 7])[0](world, machine, random, case)


def done(result, folder, *absent):
    outcome = result.judge(LIMIT)
    if outcome == "refused":
        for name in absent:
            if os.path.lexists(f"{folder}/{name}"):
                raise Fault("a refused command leaves its output", f"{name}; {result.words()}; {result.line}")
    if left := leftovers(folder):
        raise Fault("a half-written file is left", f"{left}; {result.words()}")
    return outcome


def weights(world, machine, random, case):
    files = world.models
    name = random.choice(sorted(files))
    data = spoil_safetensors(random, files[name])
    if random.random() < 0.02:
        data = random.choice([b"PK\3\4", b"\x80\2}q", b"", b"\x89HDF"]) + data
    write(f"{case}/in.safetensors", data)
    words = random.choice([
        ["inspect"], ["inspect", "--json"], ["fold"], ["unfold"], ["unfold", "--dim", "none"], ["unfold", "--dim", "1"], ["unfold", "--layout", "native"],
        ["convert", "--to", "plain"], ["convert", "--to", "native"], ["convert", "--to", "parametrizations"], ["convert", "--to", "weight-norm"]])
    out = [] if words[0] == "inspect" else ["--out", "out.safetensors"]
    result = machine.run(["weights", words[0], "in.safetensors", *words[1:], *out], case, seconds=SECONDS)
    outcome = done(result, case, "out.safetensors")
    if outcome == "ok" and out:
        again = machine.run(["weights", "inspect", "out.safetensors"], case, seconds=SECONDS)
        if again.judge(LIMIT) != "ok":
            raise Fault("what was written cannot be read", f"{result.words()}; {again.line}")
    return outcome


READS = {
    "classification": [["resume"], ["analyze", "run", "--examples", "20", "--layers", "output", "--out", "made", "--threads", "1"]],
    "compare": [["resume"], ["analyze", "run", "--examples", "20", "--layers", "output", "--out", "made", "--threads", "1"]],
    "ladder": [["resume"], ["sample", "run", "--count", "2", "--out", "made"]],
    "residual": [["sample", "run", "--count", "2", "--out", "made"]],
    "draw": [["resume"], ["sample", "run", "--count", "2", "--out", "made"], ["sample", "run", "--count", "2", "--still", "--out", "made"]],
    "dqn": [["resume"], ["play", "run", "--actions", "5", "--out", "made"]],
}


def prepared(world, machine, random, case, kinds=tuple(READS), stopped=None):
    """A copy of a run's folder, and a command that reads it."""
    kind = random.choice([k for k in kinds if k != "residual"])
    words = random.choice(READS[kind])
    if stopped is None:
        stopped = words[0] == "resume" and random.random() < 0.7
    source = world.runs.stopped(machine, kind) if stopped else world.runs.whole(machine, kind)[0]
    shutil.copytree(source, f"{case}/run")
    if words[0] == "resume":
        words = again(kind, world.runs.data, every=1000)
        if random.random() < 0.5:
            words = [*words[: 1 if kind == "compare" else 2], *(words[words.index("--data"):][:2] if kind == "compare" else []), "--resume", "--out", "run"]
            words = again(kind, world.runs.data, every=1000) if kind == "compare" else words
    return kind, words


def run_file(world, machine, random, case):
    """Any binary file of a run's folder, spoilt by bytes."""
    kind, words = prepared(world, machine, random, case)
    names = sorted(n for n in os.listdir(f"{case}/run") if n.endswith(".safetensors"))
    name = random.choice(names)
    data = read(f"{case}/run/{name}")
    write(f"{case}/run/{name}", spoil_safetensors(random, data))
    result = machine.run(words, case, seconds=SECONDS)
    return done(result, case, "made")


def checkpoint_values(world, machine, random, case):
    """Values and tensors inside a checkpoint or a replay memory, with checksums that are right again."""
    kind, words = prepared(world, machine, random, case, stopped=random.random() < 0.8)
    if "--resume" not in words:
        words = again(kind, world.runs.data, every=1000)
    name = "checkpoint.safetensors"
    header, data = inputs.parse_safetensors(read(f"{case}/run/{name}"))
    inner = json.loads(header["__metadata__"]["checkpoint"])
    note = ""
    if random.random() < 0.75 or not data:
        key = random.choice(sorted(inner["values"]))
        text, note = spoil_json(random, json.loads(inner["values"][key]))
        inner["values"][key] = text
        note = f"{key}: {note}"
    else:
        tensors = sorted(n for n in header if n != "__metadata__")
        for tensor in random.sample(tensors, min(len(tensors), random.choice([1, 1, 3, 100]))):
            begin, end = header[tensor]["data_offsets"]
            size = end - begin
            if not size:
                continue
            width = {"F32": 4, "F64": 8, "I64": 8, "U8": 1, "BF16": 2, "F16": 2}.get(header[tensor]["dtype"], 1)
            if header[tensor]["dtype"] in ("F32", "F64"):
                value = random.choice([float("nan"), float("inf"), -float("inf"), 1e38, -1e38, 1e-45, 0.0, -1.0])
                piece = struct.pack("<f" if width == 4 else "<d", value)
            else:
                piece = random.choice([b"\xff", b"\0", b"\x7f", b"\x80"]) * width
            place = begin + random.randrange(size // width) * width
            count = random.choice([1, 1, size // width])
            if count > 1:
                place, piece = begin, piece * count
            data = data[:place] + piece + data[place + len(piece):]
            note += f"{tensor}: {piece[:8].hex()} × {count}; "
    write(f"{case}/run/{name}", inputs.repaired_checkpoint(header, data, inner))
    result = machine.run(words, case, seconds=SECONDS)
    try:
        return done(result, case)
    except Fault as fault:
        fault.detail = f"{kind}: {note[:300]}; {fault.detail}"
        raise


def images(world, machine, random, case):
    """IDX files, packed or not."""
    shutil.copytree(f"{world.runs.data}/images", f"{case}/data")
    names = sorted(os.listdir(f"{case}/data"))
    for name in random.sample(names, random.choice([1, 1, 2])):
        data = read(f"{case}/data/{name}")
        packed = random.random() < 0.3
        if random.random() < 0.4:
            # The header means something; the rest is pixels.
            fields = list(struct.unpack(f">{4 if 'images' in name else 2}I", data[: 16 if "images" in name else 8]))
            for _ in range(random.choice([1, 2])):
                fields[random.randrange(len(fields))] = random.choice([0, 1, 2, 16, 28, 60, 2049, 2051, 65536, 2**31 - 1, 2**31, 2**32 - 1])
            data = struct.pack(f">{len(fields)}I", *fields) + data[4 * len(fields):]
        elif not packed or random.random() < 0.5:
            data = spoil(random, data)
        if packed:
            os.unlink(f"{case}/data/{name}")
            name += ".gz"
            data = inputs.gz(data)
            if random.random() < 0.7:
                data = spoil(random, data)
        write(f"{case}/data/{name}", data)
    result = machine.run(
        ["compare", "--data", "data", "--norm", "weight", "--epochs", "1", "--batch", "20", "--width", "0.05", "--threads", "1", "--out", "run"], case,
        seconds=SECONDS)
    return done(result, case, "run")


def colours(world, machine, random, case):
    shutil.copytree(f"{world.runs.data}/colour", f"{case}/data")
    name = random.choice(sorted(os.listdir(f"{case}/data")))
    data = read(f"{case}/data/{name}")
    if random.random() < 0.3:
        data = bytearray(data)
        data[random.randrange(10) * 3073] = random.choice([10, 11, 127, 128, 255])
    else:
        data = spoil(random, data)
    write(f"{case}/data/{name}", bytes(data))
    result = machine.run(
        ["compare", "--data", "data", "--norm", "weight", "--epochs", "1", "--batch", "10", "--width", "0.05", "--threads", "1", "--out", "run"], case,
        seconds=SECONDS)
    return done(result, case, "run")


def tar_header(random, name, size, kind=b"0"):
    """A header of a tar archive with fields that may be nasty, and the right checksum for them."""
    field = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    if random.random() < 0.2:
        field = random.choice([b"77777777777\0", b"\xff" * 12, b"\x80" + b"\xff" * 11, b"\x80" + bytes(3) + b"\x7f" + b"\xff" * 7, b" " * 12, b"-0000000001\0", b"9" * 12, b"\0" * 12])
    header = bytearray(512)
    header[0:100] = name.encode()[:100].ljust(100, b"\0")
    header[100:124] = b"0000644\0" + b"0000000\0" * 2
    header[124:136] = field
    header[136:148] = b"00000000000\0"
    header[156:157] = kind
    header[257:265] = b"ustar\x0000"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % (sum(header) % 8**6)
    return bytes(header)


def archives(world, machine, random, case):
    """tar.gz archives and gz files, by way of `data fetch --from FOLDER`."""
    if random.random() < 0.3:
        name = random.choice(["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"])
        data = inputs.gz(inputs.idx_labels(60))
        if random.random() < 0.2:
            # Much from little.
            data = inputs.gz(bytes(random.choice([10, 100]) << 20))
        write(f"{case}/from/{name}", spoil(random, data))
        result = machine.run(["data", "fetch", random.choice(["mnist", "fashion-mnist"]), "--from", "from", "--to", "to"], case, seconds=SECONDS)
        return done(result, case, "to/mnist", "to/fashion-mnist")
    content = b""
    names = ["cifar-10-batches-bin/data_batch_1.bin", "data_batch_1.bin", "cifar-10-batches-bin/", "../../outside/x", "/etc/x", "a" * 300, "batches.meta.txt",
             "cifar-10-batches-bin/test_batch.bin", ""]
    for _ in range(random.choice([0, 1, 3, 20])):
        kind = random.choice([b"0", b"0", b"0", b"\0", b"5", b"1", b"2", b"3", b"6", b"7", b"x", b"g", b"L", b"K", b"V", b"S", b"\xff"])
        size = random.choice([0, 1, 511, 512, 513, 3073, 30_730_000, 2**31, 2**33, 2**40, 2**62, 2**63 - 1, 2**64 - 1, 2**88 - 1])
        body = random.choice([b"", bytes(512), random.randbytes(3073), b"30 size=9999999999999999999\n", b"22 path=../../outside/x\n", b"99999999999 path=x\n", b"0 a=b\n", b"-5 size=1\n"])
        if random.random() < 0.4:
            size = len(body)
        content += tar_header(random, random.choice(names), size, kind) + body + bytes(-len(body) % 512)
    if random.random() < 0.1:
        # Many headers for the archive as a whole, each small, in all without end.
        content += (tar_header(random, "g", 1 << 20, b"g") + bytes(1 << 20)) * 200
    if random.random() < 0.5:
        content += bytes(1024)
    if random.random() < 0.3:
        content = spoil(random, content or bytes(512))
    data = inputs.gz(content)
    if random.random() < 0.3:
        data = spoil(random, data)
    write(f"{case}/from/cifar-10-binary.tar.gz", data)
    result = machine.run(["data", "fetch", "cifar10", "--from", "from", "--to", "to"], case, limit=400 << 20, seconds=SECONDS)
    return done(result, case, "to/cifar10")


def verify(world, machine, random, case):
    for name in random.sample(["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"], random.randint(1, 4)):
        data = spoil(random, inputs.gz(inputs.idx_labels(30)))
        write(f"{case}/data/{name}{random.choice(['', '.gz'])}", data)
    return done(machine.run(["data", "verify", "data"], case, seconds=SECONDS), case)


def lines(world, machine, random, case):
    """metrics.jsonl and layers.jsonl, by bytes and by lines."""
    kind, words = prepared(world, machine, random, case)
    names = [n for n in ("metrics.jsonl", "layers.jsonl") if os.path.exists(f"{case}/run/{n}")]
    name = random.choice(names)
    data = read(f"{case}/run/{name}")
    rows = data.splitlines(keepends=True)
    match random.randrange(6):
        case 0:
            data = spoil(random, data)
        case 1:
            data = b"".join(random.sample(rows, random.randint(0, len(rows))))
        case 2:
            data = b"".join(rows) * random.choice([2, 50])
        case 3:
            row = random.randrange(max(1, len(rows)))
            if rows:
                rows[row] = spoil_json(random, json.loads(rows[row]))[0].encode("utf-8", "surrogatepass") + b"\n"
            data = b"".join(rows)
        case 4:
            data = data.rstrip(b"\n")
        case _:
            row = random.randint(0, len(rows))
            rows[row:row] = [random.choice([b"\n", b"{}\n", b"[]\n", b"x" * 100_000 + b"\n", b"\xff\xfe\n", b"[" * 100_000 + b"\n"])]
            data = b"".join(rows)
    write(f"{case}/run/{name}", data)
    return done(machine.run(words, case, seconds=SECONDS), case, "made")
