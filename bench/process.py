"""Processing, measured side by side: the chain of the DASCore talk over minutes of data.

    python -m bench.process [--minutes 10] [--channels 1000] [--write]

Lightkeep reads from S3 (SeaweedFS on this machine). DASCore and xarray read local files: DASCore the PRODML files that the archive was made
of, xarray a NetCDF file of the same samples, with dask's `map_overlap` for the filter. Each runs in a process of its own, all cores, and ends with
the whole result in memory; its highest resident memory counts. Results are compared with each other.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import archive as lk
from bench.recording import machine, new_store
from bench.servers import BUCKET, seaweed
from bench.table import markdown, save
from ingest.run import ingest
from ingest.synthetic.vendor import Header, write_prodml

RATE = 1000
_LOW = 300.0  # Hz, as the talk has it
_START = np.datetime64("2024-05-01T00:00:00", "ns").astype(np.int64).item()

# Each prints what it took; `probe` is a few samples by which results are compared.
_AFTER = """
used = resource.getrusage(resource.RUSAGE_SELF)
peak = int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) * 1024  # its own: ru_maxrss begins with that of the process that started it
cpu = used.ru_utime + used.ru_stime
array = array if array.shape[0] > array.shape[1] else array.T
probe = [float(array[len(array) * k // 7, array.shape[1] * k // 7]) for k in range(1, 7)]
print(json.dumps({"seconds": seconds, "cpu": cpu, "peak": peak, "shape": list(array.shape), "probe": probe}))
"""
_BEFORE = "import json, resource, sys, time, warnings\nwarnings.simplefilter('ignore')\n"
CODE = {
    "lightkeep": """
import archive as lk
started = time.perf_counter()
patch = lk.open(sys.argv[1], storage_options={"endpoint_url": sys.argv[2]})[0]
made = patch.set_units("1/s", distance="m", time="s").detrend("time").taper(time=0.05).pass_filter(time=(..., 300))
array = made.data
seconds = time.perf_counter() - started
""",
    "DASCore, local files": """
import dascore as dc
started = time.perf_counter()
patch = dc.spool(sys.argv[1]).update(progress=None).chunk(time=None)[0]
made = patch.set_units("1/s", distance="m", time="s").detrend("time").taper(time=0.05).pass_filter(time=(..., 300))
array = made.data
seconds = time.perf_counter() - started
""",
    "xarray + dask, local file": """
import dask.array as da
import numpy as np
import xarray as xr
from scipy.signal import butter, sosfiltfilt
from scipy.signal.windows import hann
started = time.perf_counter()
data = xr.open_dataset(sys.argv[1], chunks={"time": 60_000}, engine="h5netcdf")["data"].data
size = data.shape[0]
numbers = da.arange(size, chunks=data.chunks[0], dtype="f8")[:, None]
middle = (size - 1) / 2
slope = ((numbers - middle) * data).sum(axis=0) / ((numbers - middle) ** 2).sum()
mean, slope = da.compute(data.mean(axis=0, dtype="f8"), slope)
edge = int(size * 0.05)
window = hann(2 * edge + 1)
taper = np.ones(size)
taper[:edge], taper[-edge:] = window[:edge], window[-edge:]
flat = (data - mean - slope * (numbers - middle)) * da.from_array(taper, chunks=data.chunks[0])[:, None]
sos = butter(4, 300, "low", fs=1000, output="sos")
made = da.map_overlap(lambda block: sosfiltfilt(sos, block, axis=0), flat, depth={0: 1000, 1: 0}, boundary="none", dtype="f8")
array = made.astype("f4").compute()
seconds = time.perf_counter() - started
""",
}


def files(folder: Path, minutes: int, channels: int) -> list[Path]:
    """Write PRODML files of a minute each, and a NetCDF file of all."""
    import h5netcdf

    (folder / "raw").mkdir(parents=True)
    paths = []
    with h5netcdf.File(folder / "all.nc", "w") as root:
        root.dimensions = {"time": minutes * 60 * RATE, "distance": channels}
        whole = root.create_variable("data", ("time", "distance"), "f4", chunks=(6000, channels))
        for minute in range(minutes):
            random = np.random.default_rng(minute)
            samples = random.standard_normal((60 * RATE, channels), dtype=np.float32)
            numbers = np.arange(minute * 60 * RATE, (minute + 1) * 60 * RATE, dtype=np.float32)[:, None]
            samples += np.sin(numbers * np.float32(0.3)) + numbers * np.float32(1e-5)
            samples = np.round(samples * 1000) / np.float32(1000)
            header = Header(start=_START + minute * 60 * 10**9, rate=float(RATE), spacing=1.0)
            paths.append(write_prodml(folder / "raw" / f"{minute:03}.h5", samples, header))
            whole[minute * 60 * RATE : (minute + 1) * 60 * RATE] = samples
    return paths


def measured(name: str, *arguments: str) -> dict[str, Any]:
    """Return what one contender took, in a process of its own."""
    command = [sys.executable, "-c", _BEFORE + CODE[name] + _AFTER, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{name}: {done.stderr[-2000:]}")
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=10)
    parser.add_argument("--channels", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/process.md")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        paths = files(folder, chosen.minutes, chosen.channels)
        (folder / "weed").mkdir()
        with seaweed(folder / "weed") as port:
            endpoint = f"http://127.0.0.1:{port}"
            started = time.perf_counter()
            ingest(new_store(endpoint, "process"), [str(path) for path in paths], jobs=os.cpu_count() or 1)
            print(f"ingested in {time.perf_counter() - started:.0f} s", file=sys.stderr)
            assert len(lk.open(f"s3://{BUCKET}/process", storage_options={"endpoint_url": endpoint})) == 1
            places = {
                "lightkeep": (f"s3://{BUCKET}/process", endpoint),
                "DASCore, local files": (str(folder / "raw"),),
                "xarray + dask, local file": (str(folder / "all.nc"),),
            }
            found: dict[str, list[dict[str, Any]]] = {name: [] for name in places}
            for _ in range(chosen.repeats):  # one after the other, so that what else goes on meets all alike
                for name, arguments in places.items():
                    found[name].append(measured(name, *arguments))
                    print(name, found[name][-1], file=sys.stderr)
    report(chosen, found)


def report(chosen: argparse.Namespace, found: dict[str, list[dict[str, Any]]]) -> None:
    """Print what was measured, and write it if that was asked for."""
    middle = {name: sorted(runs, key=lambda run: run["seconds"])[len(runs) // 2] for name, runs in found.items()}
    ours, dascore = middle["lightkeep"], middle["DASCore, local files"]
    scale = max(map(abs, dascore["probe"]))
    apart = max(abs(a - b) for a, b in zip(ours["probe"], dascore["probe"], strict=True)) / scale
    records = [
        {
            "": name,
            "seconds": round(run["seconds"], 1),
            "CPU seconds": round(run["cpu"], 1),
            "memory at most, GB": round(run["peak"] / 1e9, 2),
            "times as long": round(run["seconds"] / ours["seconds"], 2),
            "times the memory": round(run["peak"] / ours["peak"], 2),
        }
        for name, run in middle.items()
    ]
    size = chosen.minutes * 60 * RATE * chosen.channels * 4 / 1e9
    others = [run for name, run in middle.items() if name != "lightkeep"]
    fast, small = min(run["seconds"] for run in others), min(run["peak"] for run in others)
    text = f"""# Processing

`python -m bench.process`: the chain of the DASCore talk (`set_units`, `detrend`, `taper`, `pass_filter` below {_LOW:.0f} Hz) over {chosen.minutes} minutes x
{chosen.channels} channels of float32 at {RATE} Hz ({size:.1f} GB), from where the data lie to the whole result in memory. Lightkeep reads from S3 (SeaweedFS on
the same machine), the others local files. Each in a process of its own, the median of {chosen.repeats}.

{markdown(records)}

Asked were 1.5 times the speed of the faster of the others, and half the memory: it is {fast / ours["seconds"]:.2f} times the speed,
with {ours["peak"] / small:.2f} of the memory.

Results of Lightkeep and DASCore differ by {apart:.0e} of the largest of the samples compared. {machine("; client and server share them")}.
"""
    print(text)
    if chosen.write:
        save("process", text, {"arguments": vars(chosen), "found": found})


if __name__ == "__main__":
    main()
