"""Recordings that nobody made: a wavefield on a fibre, and vendor files that hold it, for demos and tests."""

from archive.examples.wavefield import Acquisition, Earthquake, Train
from ingest.synthetic.acquisition import Recording, write_acquisition
from ingest.synthetic.vendor import write_prodml, write_tdms

__all__ = [
    "Acquisition",
    "Earthquake",
    "Recording",
    "Train",
    "write_acquisition",
    "write_prodml",
    "write_tdms",
]
