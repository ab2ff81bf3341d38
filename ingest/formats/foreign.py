"""Formats that others bring: packages with the entry point `lightkeep.formats`, and DASCore by name."""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Any, BinaryIO

from archive.errors import InvalidInput
from archive.model import Format
from ingest.formats.edge import at_edge

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archive.model import Description, Reader

__all__ = ["GROUP", "GuardedReader", "dascore_format", "third_party"]

GROUP = "lightkeep.formats"


@cache
def third_party(taken: frozenset[str]) -> tuple[Format, ...]:
    """Return the formats that installed packages bring, sorted by name; found out once in a process.

    Parameters
    ----------
    taken
        Names that are no longer free.

    Raises
    ------
    InvalidInput
        A package cannot be imported, what it brings is no `Format`, or two have one name.
    """
    found: dict[str, Format] = {}
    for entry in entry_points(group=GROUP):
        where = f"the entry point {entry.value} of {GROUP}"
        try:
            fmt = entry.load()
        except (ImportError, AttributeError) as error:
            raise InvalidInput(f"{where} cannot be loaded ({error}); mend or uninstall its package") from error
        if not isinstance(fmt, Format):
            raise InvalidInput(
                f"{where} is {type(fmt).__name__}, not archive.model.Format; mend or uninstall its package"
            )
        if fmt.name in taken or fmt.name in found or ":" in fmt.name:
            raise InvalidInput(f"{where}: the name {fmt.name!r} is taken, or has a colon; its package must use another")
        found[fmt.name] = fmt
    return tuple(found[name] for name in sorted(found))


class GuardedReader:
    """A reader of another package, whose own errors come out as `FormatError`.

    Parameters
    ----------
    name
        Of its module.
    reader
        The reader.
    """

    def __init__(self, name: str, reader: Reader) -> None:
        @at_edge
        def sniff(file: BinaryIO) -> str | None:
            return reader.sniff(file)

        @at_edge
        def describe(file: BinaryIO) -> Description:
            return reader.describe(file)

        @at_edge
        def read(file: BinaryIO, block: int, window: tuple[slice, ...]) -> NDArray[Any]:
            return reader.read(file, block, window)

        self.name, self.sniff, self.describe, self.read = name, sniff, describe, read


def dascore_format(name: str) -> Format:
    """Return the format that DASCore calls NAME, where `name` is `dascore:NAME`.

    Whether DASCore is installed and knows it shows when it is opened.
    """
    theirs = name.partition(":")[2]
    return Format(
        name=name,
        title=f"{theirs} (through DASCore)",
        module="ingest.formats.through_dascore",
        suffixes=(),
        versions=(),
        extra="dascore",
    )
