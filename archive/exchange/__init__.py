"""Patches as the values of other libraries, and back: DASCore, ObsPy, pandas; xarray has `archive.xarray`.

Times keep their nanoseconds and units their names on the way there and back. The libraries are imported when they are
asked for; without one, an error says the command that installs it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from archive.errors import MissingExtra

__all__ = ["wanted"]


def wanted(library: str, extra: str) -> Any:
    """Return a module that not everyone has.

    Raises
    ------
    MissingExtra
        It is not installed.
    """
    try:
        return import_module(library)
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"this needs {error.name}, which is not installed; pip install 'lightkeep[{extra}]'"
        ) from error
