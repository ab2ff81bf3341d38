"""A low-pass over a run that is much longer than memory: how much is held, and for how long it runs.

    python -m bench.long [--gb 100] [--write]

The archive is a synthetic one: one granule of real samples that its index names again and again, later each time. So the
run is as long as one wants, and every byte of it is fetched, checked, decoded and filtered as in any other.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import archive as lk
from bench.recording import machine
from bench.table import markdown, save

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "processing"))
from repeated import low_pass, repeated  # the tests' own, so that both measure the same


def main() -> None:
    """Measure, print, and write where it is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gb", type=float, default=100.0, help="GB of int16 samples")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/long.md and long.json")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lightkeep-bench-") as name:
        folder = Path(name)
        url = repeated(folder, chosen.gb)
        patch = lk.open(url)[0]
        started = time.perf_counter()
        told = low_pass(url, folder / "results")
        spent = time.perf_counter() - started
    record = {
        "GB": round(patch.nbytes / 1e9, 1),
        "hours of data": round(patch.shape[0] / 3.6e6, 1),
        "memory at most, GB": round(told["peak"] / 1e9, 2),
        "minutes": round(spent / 60, 1),
        "CPU minutes": round(told["cpu"] / 60, 1),
        "MB/s": round(patch.nbytes / 1e6 / spent),
        "times real time": round(patch.shape[0] / 1000 / spent),
    }
    text = f"""# A run longer than memory

`python -m bench.long --gb {chosen.gb:g}`: detrend, low-pass at 0.4 Hz and one sample a second of int16 at 1 kHz and 1000 channels, from an archive in a
folder into another one, in one process on {machine("")}.

{markdown([record])}

Asked was less than 1 GB. The mean over channels differs from the wave that is in the samples by {told["off"]:.2g} counts at most, of 500.
"""
    print(text)
    if chosen.write:
        save("long", text, {"arguments": vars(chosen), "found": record})


if __name__ == "__main__":
    main()
