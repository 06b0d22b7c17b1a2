"""Prints the logarithms of discretized logistic probabilities, as the Swift source that the tests read. Needs mpmath:

    python3 Scripts/reference/logistic.py > Tests/ExperimentsTests/Generative/LogisticReference.swift
"""
import platform

import mpmath

mpmath.mp.dps = 400

VALUES = [0, 1, 100, 127, 128, 129, 254, 255]
# In float32 without rounding, as are the differences from the intervals' ends.
MEANS = [0.0, 0.125, -0.5, 0.3125]
LOG_SCALES = [-120.0, -89.0, -40.0, -7.5, 0.0, 3.0, 88.0, 104.0]


def log_sigmoid(x):
    return -mpmath.log1p(mpmath.exp(-x)) if x > 0 else x - mpmath.log1p(mpmath.exp(x))


def log_probability(k, mean, log_scale):
    scale = mpmath.exp(log_scale)
    start = (mpmath.mpf(k) / 256 - mpmath.mpf(1) / 2 - mean) / scale
    end = start + 1 / (256 * scale)
    if k == 0:
        return log_sigmoid(end)
    if k == 255:
        return log_sigmoid(-start)
    return log_sigmoid(end) + log_sigmoid(-start) + mpmath.log(-mpmath.expm1(-1 / (256 * scale)))


print(f"// Made by Scripts/reference/logistic.py with mpmath {mpmath.__version__} on Python {platform.python_version()}, to 400 digits.")
print("\n/// log P(k) for every value, mean and log scale, the last index fastest; beyond float64 it is infinite.")
print("enum LogisticReference {")
for name, numbers in (("values", VALUES), ("means", MEANS), ("logScales", LOG_SCALES)):
    print(f"    static let {name}: [Double] = [{', '.join(repr(float(number)) for number in numbers)}]")
print("    static let logProbabilities: [Double] = [")
for k in VALUES:
    for mean in MEANS:
        numbers = [float(log_probability(k, mpmath.mpf(mean), mpmath.mpf(scale))) for scale in LOG_SCALES]
        for start in (0, 4):
            print("        " + ", ".join(repr(number).replace("-0.0", "0.0") if number == 0 else repr(number) for number in numbers[start : start + 4]) + ",")
print("    ]")
print("}")
