"""Patches to files of other formats: `write`, behind `patch.io.write` and `lightkeep export`.

Samples and times are written as they are, or an error says why a format cannot hold them. Attributes and coordinates
beside the dims that a format has no place for stay behind; NetCDF keeps most.
"""

from __future__ import annotations

import uuid
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from archive.errors import InvalidInput, MissingExtra, StoreTrouble
from archive.export.recording import recording_of

if TYPE_CHECKING:
    from archive.patch import Patch

__all__ = ["FORMATS", "write"]

FORMATS = {  # what each is called, the module that writes it, and how its files end
    "prodml": ("PRODML 2.1", "archive.export.prodml", ".h5"),
    "segy": ("SEG-Y", "archive.export.segy", ".sgy"),
    "miniseed": ("miniSEED", "archive.export.miniseed", ".mseed"),
    "wav": ("WAV", "archive.export.wav", ".wav"),
    "netcdf": ("NetCDF", "archive.export.netcdf", ".nc"),
    "hdf5": ("plain HDF5", "archive.export.hdf5", ".h5"),
}


def write(patch: Patch, path: str | Path, format: str) -> Path:  # noqa: A002 - the word that users know
    """Write a Patch as one file of another format and return its path.

    Parameters
    ----------
    path
        A file that is not there yet; it appears whole or not at all.
    format
        One of `FORMATS`.

    Raises
    ------
    InvalidInput
        There is no such format, there is such a file already, or the format cannot hold what the Patch has.
    MissingExtra
        The library that writes the format is not installed.
    StoreTrouble
        The folder cannot be written to.
    """
    if format not in FORMATS:
        raise InvalidInput(f"{format!r}: no format to write; there are {', '.join(FORMATS)}")
    title, module, _ = FORMATS[format]
    target = Path(path)
    recording = recording_of(patch, title)
    if target.exists():
        raise InvalidInput(_there(target))
    part = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        import_module(module).write(recording, part)
        target.open("xb").close()  # so that it takes the place of nothing that another has put there
        part.replace(target)
    except FileExistsError as error:
        raise InvalidInput(_there(target)) from error
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{title} needs {error.name}, which is not installed; pip install 'lightkeep[all]'"
        ) from error
    except OSError as error:
        if isinstance(error, StoreTrouble):
            raise
        raise StoreTrouble(f"{target}: cannot be written ({error}); see to the folder and try again") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def _there(target: Path) -> str:
    return f"{target}: there is such a file already; give another name"
