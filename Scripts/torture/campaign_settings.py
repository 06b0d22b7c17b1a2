"""Edits of every JSON file of a run's folder: each value replaced, taken away, renamed or nested, by one to three at a time."""
import json
import os
import re
import shutil

import inputs
from campaign_readers import done, prepared
from inputs import read, write
from machine import Fault
from mutations import spoil, spoil_json
from runs import again


def settings(world, machine, random, case):
    if random.random() < 0.08:
        return rates_from(world, machine, random, case)
    if random.random() < 0.08:
        shutil.copytree(world.runs.analysed(machine), f"{case}/run")
        words = random.choice([
            ["analyze", "run", "--examples", "20", "--layers", "output", "--threads", "1"], again("compare", world.runs.data)])
    else:
        _, words = prepared(world, machine, random, case)
    names = [n for n in ("config.json", "summary.json", "analysis.json", "metrics.jsonl", "layers.jsonl", ".weightnorm-run") if os.path.exists(f"{case}/run/{n}")]
    weights = [12 if n == "config.json" else 2 if n in ("analysis.json", "summary.json") else 1 for n in names]
    name = random.choices(names, weights)[0]
    data, note = read(f"{case}/run/{name}"), name
    if random.random() < 0.04:
        data, note = random.choice([(b"", "empty"), (b"\xef\xbb\xbf" + data, "a byte order mark"), (data[: len(data) // 2], "cut"), (data.decode().encode("utf-16"), "UTF-16"),
                                    (spoil(random, data), "bytes"), (b"null", "null"), (b"[" * 200_000, "endless nesting")])
    elif name == ".weightnorm-run":
        listed = data.decode().splitlines(keepends=True)
        for _ in range(random.choice([1, 3])):
            listed.insert(random.randint(0, len(listed)), random.choice(["../outside/sentinel\n", "/etc/passwd\n", ".\n", "..\n", "\0\n", "x" * 5000 + "\n", "a/b\n", "config.json\n", "\n"]))
        data = "".join(listed).encode()
    elif name.endswith(".jsonl"):
        rows = data.splitlines()
        if rows:
            row = random.randrange(len(rows))
            text, note = spoil_json(random, json.loads(rows[row]))
            rows[row] = text.encode("utf-8", "surrogatepass")
        data = b"\n".join(rows) + b"\n"
    else:
        text, note = spoil_json(random, json.loads(data))
        data = text.encode("utf-8", "surrogatepass")
    write(f"{case}/run/{name}", data)
    if name == "config.json" and "--resume" in words:
        note += follow(random, f"{case}/run", data)
    # Many passes are no fault, as long as they can be ended.
    result = machine.run(words, case, seconds=30, polite=True)
    try:
        return done(result, case, "made")
    except Fault as fault:
        # One kind for each setting, so that none hides behind another.
        place = re.sub(r"\.\d+", "", note.split("; ")[0].split(" = ")[0].split(" taken")[0].split(" renamed")[0])[:60]
        fault.kind = f"{fault.kind.rstrip(': ')}: {name}: {place}"
        fault.detail = f"{name}: {note[:300]}; {fault.detail}"
        raise


def follow(random, run, config):
    """Half of the time the checkpoint is made to agree with the settings, or is not there yet: otherwise they would be refused for differing from it."""
    path = f"{run}/checkpoint.safetensors"
    way = random.random()
    if way > 0.5 or not os.path.exists(path):
        return ""
    if way < 0.25:
        os.unlink(path)
        return "; no checkpoint"
    try:
        header, content = inputs.parse_safetensors(read(path))
        inner = json.loads(header["__metadata__"]["checkpoint"])
        changed = json.loads(config)
        place = json.loads(inner["values"]["place"]) if "place" in inner["values"] else None
        for key in ("norms", "seeds"):
            if place and key in place[0]:
                place[0][key] = changed[key]
        inner["values"]["settings"] = json.dumps([changed["settings"]])
        if place:
            inner["values"]["place"] = json.dumps(place)
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""
    write(path, inputs.repaired_checkpoint(header, content, inner))
    return "; the checkpoint agrees"


def rates_from(world, machine, random, case):
    """Another run's summary that a training takes its learning rates from."""
    shutil.copytree(world.runs.whole(machine, "sweep")[0], f"{case}/rates")
    name = random.choice(["summary.json", "summary.json", "config.json"])
    text, note = spoil_json(random, json.loads(read(f"{case}/rates/{name}")))
    write(f"{case}/rates/{name}", text.encode("utf-8", "surrogatepass"))
    words = ["train", "classification", "--data", f"{world.runs.data}/images", "--norm", "weight", "--epochs", "1", "--batch", "20", "--width", "0.05", "--rates-from", "rates",
             "--out", "run", "--threads", "1"]
    try:
        return done(machine.run(words, case), case, "none")
    except Fault as fault:
        fault.detail = f"rates from {name}: {note[:300]}; {fault.detail}"
        raise
