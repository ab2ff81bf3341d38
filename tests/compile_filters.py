"""Have Numba compile the filters for both types in each order in memory, and keep them on disk."""

import numpy as np
from scipy.signal import butter, sosfilt_zi

from archive.operations.compiled import forward_backward

sections = butter(1, 0.2, output="sos")
steady = sosfilt_zi(sections)
for dtype in ("f4", "f8"):
    for samples in (
        np.zeros((2, 100), dtype),
        np.zeros((2, 100), dtype, order="F"),
        np.zeros((2, 200), dtype)[:, ::2],
    ):
        forward_backward(sections, steady, samples, 9, samples)
