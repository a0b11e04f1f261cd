"""What NumPy takes to gather the patches of a 3 x 3 convolution, stride 1, padded to keep its size.

usage: patches.py IMAGES CHANNELS SIDE REPETITIONS
prints {"min": seconds, "median": seconds}: from (images, channels, side, side) float32 to (images side side, 9 channels).
"""
import json, sys, time
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

images, channels, side, repetitions = map(int, sys.argv[1:])
x = np.random.default_rng(7).random((images, channels, side, side), dtype=np.float32)
seconds = []
for _ in range(repetitions + 1):
    start = time.perf_counter()
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = sliding_window_view(padded, (3, 3), axis=(2, 3)).transpose(0, 2, 3, 1, 4, 5)
    np.ascontiguousarray(windows).reshape(images * side * side, 9 * channels)
    seconds.append(time.perf_counter() - start)
warm = sorted(seconds[1:])
print(json.dumps({"min": warm[0], "median": warm[len(warm) // 2]}))
