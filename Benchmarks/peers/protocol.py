"""The entrant's side of the race: warm up, say that all is ready, then make as many steps as the race asks for."""
import json
import math
import resource
import sys
import time


def resident_megabytes():
    """The memory that the process has now; elsewhere than on Linux its peak so far."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * resource.getpagesize() / 2**20
    except FileNotFoundError:
        return peak_megabytes()


def peak_megabytes():
    # In bytes on macOS.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)


def serve(name, arguments, threads, before, step):
    """`before` is the memory before the network was made, in megabytes. `step` makes one step and returns its loss, for which it has waited until the step is done."""

    def checked_step():
        loss = step()
        if not math.isfinite(loss):
            sys.exit(f"{name}: expected a finite loss, found {loss}")

    def say(**values):
        print(json.dumps(values), flush=True)

    for _ in range(2):
        checked_step()
    say(ready=name, work=arguments.work, norm=arguments.norm, batch=arguments.batch, width=arguments.width, threads=threads,
        **{name: getattr(arguments, name) for name in ("side", "glimpses") if getattr(arguments, name) is not None})
    for line in sys.stdin:
        times = []
        for _ in range(int(line.removeprefix("run "))):
            start = time.perf_counter()
            checked_step()
            times.append((time.perf_counter() - start) * 1000)
        say(ms=times)
    say(before_mb=before, peak_rss_mb=peak_megabytes())


# The sizes if none are told: images, transitions or sequences in a minibatch; maps of the first layers, or units of LSTMs and GRUs; rows and columns of an image; glimpses, or steps of a
# sequence.
BATCHES = {"cnn": 50, "vae": 100, "draw": 100, "dqn": 64, "lstm": 32, "gru": 32}
WIDTHS = {"cnn": 96, "vae": 16, "draw": 256, "dqn": 32, "lstm": 512, "gru": 512}
SIDES = {"cnn": 32, "vae": 28, "draw": 28, "dqn": 84}
STEPS = {"draw": 64, "lstm": 64, "gru": 64}


def add_sizes(parser):
    parser.add_argument("work", choices=list(BATCHES))
    parser.add_argument("--batch", type=int)
    parser.add_argument("--width", type=int)
    parser.add_argument("--side", type=int)
    parser.add_argument("--glimpses", type=int, help="of draw, or steps of lstm and gru; 64 if not told")


def parse(parser):
    arguments = parser.parse_args()
    work = arguments.work
    if work not in STEPS and arguments.glimpses is not None:
        parser.error(f"--glimpses: expected it for {', '.join(STEPS)}, found {work}")
    if work not in SIDES and arguments.side is not None:
        parser.error(f"--side: expected it for {', '.join(SIDES)}, found {work}")
    for name, published in ("batch", BATCHES), ("width", WIDTHS), ("side", SIDES), ("glimpses", STEPS):
        value = getattr(arguments, name)
        if value is None:
            setattr(arguments, name, published.get(work))
        elif value < 1:
            parser.error(f"--{name}: expected a number above 0, found {value}")
    if work == "dqn" and arguments.width != WIDTHS[work]:
        parser.error(f"--width: expected {WIDTHS[work]} for dqn, found {arguments.width}")
    takes = {"cnn": lambda side: side >= 12, "vae": lambda side: side % 4 == 0, "draw": lambda side: side > 1, "dqn": lambda side: side >= 36}
    if work in SIDES and not takes[work](arguments.side):
        parser.error(f"--side: expected a number that the network of {work} can take, found {arguments.side}")
    return arguments
