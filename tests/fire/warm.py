"""What a process takes long to import or to make, once for all that are forked from it."""

# ruff: noqa: F401
import h5py
import numcodecs
import pandas as pd
import pcodec
import pyarrow.parquet as pq
import pytest
from fire import work

import ingest.checking.verify
from archive import units

METRE = units.m  # makes the registry of units
