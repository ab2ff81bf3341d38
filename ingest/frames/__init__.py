"""What a set of FITS frames is: which cube they make, where each lies in it, and which are missing."""

from ingest.frames.description import FrameSet, FrameTile
from ingest.frames.from_asdf import describe_asdf
from ingest.frames.from_headers import describe_headers

__all__ = ["FrameSet", "FrameTile", "describe_asdf", "describe_headers"]
