"""Prints what NumPy makes of the paper's whitening recipe, as the Swift source that the tests read. Needs NumPy:

    python3 Scripts/reference/whitening.py > Tests/DatasetsTests/Fixtures/WhiteningReference.swift
"""
import platform

import numpy

COUNT, FEATURES = 9, 6


def swift(name, numbers):
    print(f"    static let {name}: [Double] = [")
    numbers = [repr(float(number)) for number in numpy.asarray(numbers).flatten()]
    for start in range(0, len(numbers), 5):
        print("        " + ", ".join(numbers[start : start + 5]) + ",")
    print("    ]")


# Bytes that the Swift side makes in the same way. The last feature is constant: its variance is 0.
raw = numpy.array([[(37 * (i + 2) * (j + 3) * (i + j) + 11 * i) % 256 for j in range(FEATURES)] for i in range(COUNT)], dtype=numpy.float64)
raw[:, FEATURES - 1] = 200
x = (raw - 127.5) / 128
mean = x.mean(axis=0)
centred = x - mean
sigma = centred.T @ centred / COUNT
u, s, _ = numpy.linalg.svd(sigma)
z = u @ numpy.diag(1 / numpy.sqrt(s + 1e-5)) @ u.T

print(f"// Made by Scripts/reference/whitening.py with NumPy {numpy.__version__} on Python {platform.python_version()}, in float64.")
print("\n/// The whitening of 9 images of 6 bytes, and these images whitened.")
print("enum WhiteningReference {")
swift("mean", mean)
swift("matrix", z)
swift("whitened", centred @ z)
print("}")
