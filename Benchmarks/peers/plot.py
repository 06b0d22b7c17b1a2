"""Draws how the time of a step grows, from the lines that race.py --json wrote: a panel for each workload and each size that varies in it.

    python plot.py races.json picture.svg

Needs matplotlib.
"""
import json
import statistics
import sys

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot as plt

SIZES = {"batch": "minibatch", "width": "maps or units", "side": "rows and columns", "glimpses": "glimpses"}
# Of each program what program() calls it, its label and its line.
PROGRAMS = [("swift-weightnorm", "swift-weightnorm", "C0o-"), ("swift-weightnorm-winograd", "swift-weightnorm, --winograd", "C2o-"),
            ("pytorch eager", "PyTorch, eager", "C1s--"), ("pytorch channels_last", "PyTorch, channels last", "C3s--"), ("jax", "JAX", "C4^:")]


def program(record):
    name = record["ready"]
    if name.startswith("pytorch"):
        return "pytorch " + name.split("-")[-1]
    return "jax" if name.startswith("jax") else name


def main():
    if len(sys.argv) != 3:
        sys.exit(f"plot.py: error: expected a file of race.py --json and a picture to write, found {len(sys.argv) - 1} arguments")
    with open(sys.argv[1]) as file:
        records = [record for record in map(json.loads, file) if record["norm"] == "weight"]
    panels = []
    for work in dict.fromkeys(record["work"] for record in records):
        own = [record for record in records if record["work"] == work]
        keys = [key for key in SIZES if key in own[0]]
        # The commonest value of each size is the published one.
        usual = {key: statistics.mode(record[key] for record in own) for key in keys}
        for key in keys:
            among = [record for record in own if all(record[other] == usual[other] for other in keys if other != key)]
            if len({record[key] for record in among}) > 2:
                panels.append((work, key, among))
    if not panels:
        sys.exit("plot.py: error: expected races with weight norm of at least three values of some size, found none")
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(4 * columns, 3.2 * rows), squeeze=False, layout="constrained")
    lines = {}
    for axis, (work, key, among) in zip(axes.flat, panels):
        for name, label, style in PROGRAMS:
            times = {}
            for record in among:
                if program(record) == name:
                    times.setdefault(record[key], []).extend(record["ms"])
            if times:
                places = sorted(times)
                lines[label] = axis.plot(places, [statistics.median(times[place]) for place in places], style, markersize=4)[0]
        axis.set(xscale="log", yscale="log", title=work, xlabel=SIZES[key], ylabel="ms a step")
        places = sorted({record[key] for record in among})
        axis.set_xticks(places, [str(place) for place in places], minor=False)
        axis.minorticks_off()
        axis.grid(alpha=0.3)
    for axis in axes.flat[len(panels):]:
        axis.axis("off")
    figure.legend(lines.values(), lines.keys(), loc="outside lower center", ncols=3)
    figure.savefig(sys.argv[2], metadata={"Date": None})


if __name__ == "__main__":
    main()
