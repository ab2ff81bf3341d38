"""Memory: what is processed may be much larger than what a process may hold."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from repeated import repeated

import archive as lk
from archive.store import open_store
from ingest.initialise import initialise

CHILD = """
import json, resource, sys
import archive as lk
from archive import operations as do
chain = [do.detrend("time"), do.pass_filter(time=(..., 0.4)), do.decimate(time=1000, filter_type=None)]
kept = lk.open(sys.argv[1]).process(chain, out=sys.argv[2])
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({"peak": peak, "shapes": [patch.shape for patch in kept]}))
"""


@pytest.mark.prove
def test_a_low_pass_over_five_gigabytes_takes_less_than_one(tmp_path: Path) -> None:
    url = repeated(tmp_path, 5.0)
    initialise(open_store(tmp_path / "results"))
    spool = lk.open(url)
    assert len(spool) == 1
    assert spool[0].nbytes > 4.9e9
    command = [sys.executable, "-c", CHILD, url, str(tmp_path / "results")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["shapes"] == [[-(-spool[0].shape[0] // 1000), 1000]]
    assert told["peak"] < 1 << 30, told
    kept = lk.open(str(tmp_path / "results"))[0]
    seconds = np.arange(kept.shape[0])
    wanted = 500 * np.sin(2 * np.pi * 0.125 * seconds)
    middle = slice(60, -60)
    assert np.abs(kept.data[middle].mean(axis=1) - wanted[middle]).max() < 5
