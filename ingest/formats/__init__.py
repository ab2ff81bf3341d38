"""The table of raw formats, and what tells them apart.

A format is one module with three functions, `sniff`, `describe` and `read` (`archive.model.Reader`), and
one line in `FORMATS`. Modules are imported when they are first asked, and import their libraries later still.
Other packages add formats through the entry points `lightkeep.formats`, and one that only DASCore reads goes by the
name `dascore:NAME`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO, cast

from archive.errors import FormatError, MissingExtra, NotFound
from archive.model import Format
from ingest.formats import hdf5
from ingest.formats.edge import at_edge, name_of
from ingest.formats.foreign import GuardedReader, dascore_format, third_party

if TYPE_CHECKING:
    from archive.model import Reader

__all__ = ["FORMATS", "Format", "format_named", "identify", "known_formats", "open_format"]


FORMATS: tuple[Format, ...] = (
    Format(
        name="ap_sensing",
        title="AP Sensing",
        module="ingest.formats.ap_sensing",
        suffixes=(".hdf5", ".h5"),
        versions=("10",),
    ),
    Format(
        name="dasdae",
        title="DASDAE",
        module="ingest.formats.dasdae",
        suffixes=(".h5", ".hdf5"),
        versions=("1",),
    ),
    Format(
        name="dashdf5",
        title="DAS-HDF5",
        module="ingest.formats.dashdf5",
        suffixes=(".h5", ".hdf5"),
        versions=("1.0",),
    ),
    Format(
        name="febus",
        title="Febus A1",
        module="ingest.formats.febus",
        suffixes=(".h5", ".hdf5"),
        versions=("1", "2"),
    ),
    Format(
        name="febus_g1",
        title="Febus G1 text",
        module="ingest.formats.febus_g1",
        suffixes=(".bsl",),
        versions=("1",),
    ),
    Format(
        name="febus_g1_hdf5",
        title="Febus G1 HDF5",
        module="ingest.formats.febus_g1_hdf5",
        suffixes=(".h5", ".hdf5"),
        versions=("1",),
    ),
    Format(
        name="febus_t1",
        title="Febus T1",
        module="ingest.formats.febus_t1",
        suffixes=(".h5", ".hdf5"),
        versions=("1",),
    ),
    Format(
        name="gdr",
        title="GDR DAS",
        module="ingest.formats.gdr",
        suffixes=(".h5", ".hdf5"),
        versions=("1",),
    ),
    Format(
        name="h5simple",
        title="plain HDF5",
        module="ingest.formats.h5simple",
        suffixes=(".h5", ".hdf5"),
        versions=("1",),
    ),
    Format(
        name="miniseed",
        title="miniSEED",
        module="ingest.formats.miniseed",
        suffixes=(".mseed", ".ms", ".miniseed", ".seed"),
        versions=("2", "3"),
        by_channel=True,
    ),
    Format(
        name="netcdf",
        title="CF NetCDF",
        module="ingest.formats.netcdf",
        suffixes=(".nc",),
        versions=("4",),
    ),
    Format(
        name="neubrex_das",
        title="Neubrex DAS",
        module="ingest.formats.neubrex_das",
        suffixes=(".h5", ".hdf5"),
        versions=("1",),
    ),
    Format(
        name="neubrex_rfs",
        title="Neubrex RFS",
        module="ingest.formats.neubrex_rfs",
        suffixes=(".h5", ".hdf5"),
        versions=("1",),
    ),
    Format(
        name="optodas",
        title="OptoDAS",
        module="ingest.formats.optodas",
        suffixes=(".hdf5", ".h5"),
        versions=("8", "9", "10", "11"),
    ),
    Format(
        name="pickle",
        title="Pickle (recognised, never opened)",
        module="ingest.formats.pickled",
        suffixes=(".pkl", ".pickle"),
        versions=("0", "2", "3", "4", "5"),
    ),
    Format(
        name="prodml",
        title="PRODML DAS",
        module="ingest.formats.prodml",
        suffixes=(".h5", ".hdf5"),
        versions=("2.0", "2.1"),
    ),
    Format(
        name="segy",
        title="SEG-Y",
        module="ingest.formats.segy",
        suffixes=(".sgy", ".segy", ".seg"),
        versions=("0", "1.0", "2.0", "2.1"),
    ),
    Format(
        name="sentek",
        title="Sentek",
        module="ingest.formats.sentek",
        suffixes=(".das",),
        versions=("5",),
    ),
    Format(
        name="silixa_hdf5",
        title="Silixa HDF5",
        module="ingest.formats.silixa_hdf5",
        suffixes=(".hdf5", ".h5"),
        versions=("1",),
    ),
    Format(
        name="sintela_binary",
        title="Sintela binary",
        module="ingest.formats.sintela_binary",
        suffixes=(".raw",),
        versions=("3",),
    ),
    Format(
        name="sintela_protobuf",
        title="Sintela protobuf",
        module="ingest.formats.sintela_protobuf",
        suffixes=(".pb",),
        versions=("TS05",),
    ),
    Format(
        name="sr4731",
        title="OTDR SR-4731",
        module="ingest.formats.sr4731",
        suffixes=(".sor",),
        versions=("200",),
    ),
    Format(
        name="tdms",
        title="Silixa TDMS",
        module="ingest.formats.tdms",
        suffixes=(".tdms",),
        versions=("4713",),
    ),
    Format(
        name="terra15",
        title="Terra15 Treble",
        module="ingest.formats.terra15",
        suffixes=(".hdf5", ".h5"),
        versions=("4", "5", "6"),
    ),
    Format(
        name="wav",
        title="WAV",
        module="ingest.formats.wav",
        suffixes=(".wav",),
        versions=("1",),
        by_channel=True,
    ),
    Format(
        name="xml_binary",
        title="XML beside raw files",
        module="ingest.formats.xml_binary",
        suffixes=(".raw",),
        versions=("1",),
        beside=".raw",
    ),
)


def known_formats() -> tuple[Format, ...]:
    """Return the formats of the table, then those that other packages bring.

    Raises
    ------
    InvalidInput
        What a package brings is no format, or has the name of another.
    """
    return (*FORMATS, *third_party(frozenset(fmt.name for fmt in FORMATS)))


def format_named(name: str) -> Format:
    """Return the format with this name; `dascore:NAME` is what DASCore calls NAME.

    Raises
    ------
    NotFound
        No format is called so.
    """
    if name.startswith("dascore:"):
        return dascore_format(name)
    for candidate in known_formats():
        if candidate.name == name:
            return candidate
    known = ", ".join(candidate.name for candidate in known_formats())
    raise NotFound(f"{name}: no such raw format; there are {known}, and dascore:NAME where DASCore is installed")


def open_format(fmt: Format) -> Reader:
    """Return what reads a format.

    Raises
    ------
    MissingExtra
        A library that the format needs is not installed.
    """
    try:
        if fmt.name.startswith("dascore:"):
            through = import_module(fmt.module)
            return cast("Reader", through.DascoreReader(fmt.name.partition(":")[2]))
        reader = cast("Reader", import_module(fmt.module))
        return reader if fmt in FORMATS else GuardedReader(fmt.module, reader)
    except ModuleNotFoundError as error:
        command = f"pip install 'lightkeep[{fmt.extra}]'"
        raise MissingExtra(f"{fmt.title} needs {error.name}, which is not installed; {command}") from error


@at_edge
def identify(file: BinaryIO, name: str = "") -> Format:
    """Return the one format that claims a file by its content.

    Parameters
    ----------
    file
        Any seekable binary file, left open.
    name
        What to call the file in a message, its URL for example.

    Raises
    ------
    FormatError
        No format claims the file, two do, or it is of a version that is not read.
    """
    where = name or name_of(file)
    with hdf5.shared(file):
        versions = {fmt: open_format(fmt).sniff(file) for fmt in known_formats()}
    claims = [fmt for fmt, version in versions.items() if version is not None]
    if not claims:
        known = ", ".join(fmt.title for fmt in known_formats())
        raise FormatError(f"{where}: {_looks_like(file)}; the formats that are read are {known}")
    if len(claims) > 1:
        titles = " and ".join(fmt.title for fmt in claims)
        raise FormatError(f"{where}: {titles} claim this file; name the one that it is")
    (fmt,) = claims
    if versions[fmt] not in fmt.versions:
        known = ", ".join(fmt.versions)
        raise FormatError(f"{where}: {fmt.title} version {versions[fmt]} is not read, only {known}")
    return fmt


def _looks_like(file: BinaryIO) -> str:
    """Return what is wrong with a file that no format claims, in a few words."""
    file.seek(0)
    head = file.read(8)
    if not head:
        return "the file is empty; fetch it again"
    if hdf5.is_signed(file):
        return "an HDF5 file, but of no vendor that is known; set it aside"
    return f"no raw format begins with {head!r}; set the file aside"
