"""The runs that campaigns disturb: how they are started, what an undisturbed one leaves, and whether a disturbed one ends as it."""
import hashlib
import json
import os
import re
import shutil
import threading

from inputs import parse_safetensors, read
from machine import Fault

KINDS = ["classification", "compare", "ladder", "draw", "dqn", "sweep"]
# What a run tells of its own pace, and of the last checkpoint that it happened to write.
TIMES = re.compile("econd|[cC]ost|[tT]imes|^bytes$|^checkpoint$")
# Not of the results: the page repeats the summary with its times.
ASIDE = {"report.html", "analysis.html", ".weightnorm-run", ".out", ".err"}


def arguments(kind, data):
    images, colour = f"{data}/images", f"{data}/colour"
    match kind:
        case "classification":
            return ["train", "classification", "--data", images, "--norm", "weight+mean-only-batch,batch", "--epochs", "2", "--batch", "20", "--width", "0.05"]
        case "compare":
            return ["compare", "--data", images, "--norm", "weight,normal", "--epochs", "1", "--batch", "20", "--width", "0.05", "--seeds", "1,2"]
        case "ladder":
            return ["train", "vae", "--data", colour, "--epochs", "1", "--batch", "10", "--maps", "2", "--latents", "2", "--depth", "1,1", "--norm", "weight,normal"]
        case "residual":
            return ["train", "vae", "--data", images, "--epochs", "1", "--batch", "20", "--images", "20", "--latents", "2", "--flow-steps", "0", "--norm", "weight"]
        case "draw":
            return ["train", "draw", "--data", images, "--norm", "weight,normal", "--epochs", "1", "--batch", "20", "--hidden", "6", "--latents", "2",
                    "--glimpses", "2", "--importance-draws", "2"]
        case "dqn":
            return ["train", "dqn", "--game", "catch", "--norm", "weight", "--epochs", "2", "--actions-per-epoch", "520", "--evaluation-actions", "30"]
        case "sweep":
            return ["sweep", "--data", images, "--batch", "20", "--width", "0.05", "--images", "60", "--norm", "normal,weight", "--rates", "0.01,0.001"]
    raise ValueError(kind)


def start(kind, data, out="run", every=None):
    words = [*arguments(kind, data), "--out", out, "--threads", "1"]
    return words if every is None else [*words, "--checkpoint-every", str(every)]


def again(kind, data, out="run", every=None):
    """The command that resumes a run, or begins it."""
    return [*start(kind, data, out, every), "--resume"]


class Runs:
    """Undisturbed runs, made once when they are first asked for."""

    def __init__(self, root):
        self.root, self.data = root, f"{root}/data"
        self.locks, self.made, self.guard = {}, {}, threading.Lock()

    def _once(self, name, make):
        with self.guard:
            lock = self.locks.setdefault(name, threading.Lock())
        with lock:
            if name not in self.made:
                try:
                    self.made[name] = make()
                except Exception as error:
                    # Told once for each campaign that needs it, not tried again.
                    self.made[name] = error
            if isinstance(self.made[name], Exception):
                raise Fault(f"an undisturbed run fails: {name}", f"{self.made[name]!r}")
            return self.made[name]

    def whole(self, machine, kind):
        """The folder of a finished run, the calls that it took, and its seconds."""

        def make():
            folder = f"{self.root}/whole/{kind}"
            os.makedirs(folder)
            # Once for whatever is kept in the cache: what is counted is a run that finds it there.
            for attempt in ("first", "run"):
                result = machine.run(
                    start(kind, self.data, attempt, 0), folder,
                    {"TORTURE_ROOT": folder, "TORTURE_COUNTS": f"{folder}/counts"}, seconds=300)
                if result.judge(2 << 30) != "ok":
                    raise ValueError(f"{result.words()}: {result.line}")
            difference = self.difference(f"{folder}/first", f"{folder}/run")
            if difference:
                raise ValueError(f"two undisturbed runs differ: {difference}")
            counts = {name: int(n) for name, n in (line.split() for line in read(f"{folder}/counts").decode().splitlines())}
            return f"{folder}/run", counts, result.seconds

        return self._once(f"whole {kind}", make)

    def stopped(self, machine, kind):
        """The folder of a run that was killed halfway, with a checkpoint."""

        def make():
            _, counts, _ = self.whole(machine, kind)
            folder = f"{self.root}/stopped/{kind}"
            os.makedirs(folder)
            fault = f"rename {max(2, counts['rename'] * 2 // 5)} after"
            machine.run(start(kind, self.data, "run", 0), folder, {"TORTURE_ROOT": folder, "TORTURE_FAULT": fault}, seconds=300)
            if not os.path.exists(f"{folder}/run/config.json"):
                raise ValueError("it left no config.json")
            return f"{folder}/run"

        return self._once(f"stopped {kind}", make)

    def analysed(self, machine):
        """A finished comparison with an analysis in it."""

        def make():
            source, _, _ = self.whole(machine, "compare")
            folder = f"{self.root}/analysed"
            shutil.copytree(source, f"{folder}/run")
            result = machine.run(["analyze", "run", "--examples", "40", "--layers", "output", "--threads", "1"], folder)
            if result.judge(2 << 30) != "ok":
                raise ValueError(result.line)
            return f"{folder}/run"

        return self._once("analysed", make)

    # MARK: Comparing

    def difference(self, whole, found):
        """Words for the first difference between the results in two folders; '' if there is none."""
        if not os.path.isdir(found):
            return "no folder"
        expected, there = set(os.listdir(whole)) - ASIDE, set(os.listdir(found)) - ASIDE
        if expected != there:
            return f"files: {sorted(expected - there)} missing, {sorted(there - expected)} left over"
        if not os.path.exists(f"{found}/report.html"):
            return "no report.html"
        for name in sorted(expected):
            one, other = read(f"{whole}/{name}"), read(f"{found}/{name}")
            if name == "checkpoint.safetensors":
                one, other = self.moment(one), self.moment(other)
            elif name == "summary.json":
                one, other = (without_times(json.loads(data)) for data in (one, other))
            elif name == "metrics.jsonl":
                one, other = (re.sub(rb'"seconds":[^,}]*', b"", data) for data in (one, other))
            if one != other:
                return f"{name} differs"
        return ""

    @staticmethod
    def moment(data):
        """What a checkpoint holds, times aside."""
        header, content = parse_safetensors(data)
        inner = json.loads(header["__metadata__"]["checkpoint"])
        tensors = {}
        for name, entry in header.items():
            if name != "__metadata__" and not name.endswith("/times") and "/times/" not in name:
                begin, end = entry["data_offsets"]
                tensors[name] = (entry["dtype"], tuple(entry["shape"]), hashlib.md5(content[begin:end]).hexdigest())
        values = {}
        for name, text in inner["values"].items():
            values[name] = without_times(json.loads(text))
        return inner["kind"], sorted(tensors.items()), json.dumps(values, sort_keys=True)


def without_times(value):
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if not TIMES.search(k)}
    if isinstance(value, list):
        return [without_times(v) for v in value]
    return value


def leftovers(folder):
    found = []
    for path, _, names in os.walk(folder):
        found += [os.path.join(path, name) for name in names if name.startswith(".") and name.endswith(".partial")]
    return found


def checked_end(runs, whole, found, why):
    if difference := runs.difference(whole, found):
        raise Fault(f"the end is not that of an undisturbed run: {re.sub(r'seed[0-9]+', 'seed', difference)}", f"{why}; {difference}")
    if left := leftovers(found):
        raise Fault("a half-written file is left", f"{why}; {left}")
