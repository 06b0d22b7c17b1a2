"""The entrant's side of the race: warm up, say that all is ready, then make as many steps as the race asks for."""
import json
import math
import resource
import sys
import time


def serve(name, arguments, threads, step):
    """`step` makes one step and returns its loss, for which it has waited until the step is done."""

    def checked_step():
        loss = step()
        if not math.isfinite(loss):
            sys.exit(f"{name}: expected a finite loss, found {loss}")

    def say(**values):
        print(json.dumps(values), flush=True)

    for _ in range(2):
        checked_step()
    say(ready=name, work=arguments.work, norm=arguments.norm, batch=arguments.batch, threads=threads)
    for line in sys.stdin:
        times = []
        for _ in range(int(line.removeprefix("run "))):
            start = time.perf_counter()
            checked_step()
            times.append((time.perf_counter() - start) * 1000)
        say(ms=times)
    say(peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
