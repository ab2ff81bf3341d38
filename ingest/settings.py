"""What a user decides about an ingest."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingest.metadata import Metadata

__all__ = ["LAYOUTS", "Settings"]

LAYOUTS = ("balanced", "frames", "pixels")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a user decides about an ingest.

    Parameters
    ----------
    dataset
        Name for all of it; `None` names each acquisition by its fingerprint.
    codec
        `"pcodec"` or `"portable"`, for datasets that are new.
    format
        Name of the raw format, where it is not to be found out.
    options
        For the places of raw files, as fsspec takes them.
    anew
        Read files again that the archive has, and replace what it made of them.
    metadata
        What stands above what files say of themselves.
    layout
        What the chunks of frames are cut for, in datasets that are new: `"balanced"`, `"frames"` or `"pixels"`.
    """

    dataset: str | None = None
    codec: str = "pcodec"
    format: str | None = None
    options: Mapping[str, Any] | None = field(default=None, repr=False)
    anew: bool = False
    metadata: Metadata | None = None
    layout: str = "balanced"
