"""FITS frames exactly: tiles as the integers that the file holds, and the proof that they give it back."""

from ingest.fits.reading import read_frame, read_keywords

__all__ = ["read_frame", "read_keywords"]
