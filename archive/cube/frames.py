"""The frames behind a Cube: their headers as columns, and their files."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from archive.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from numpy.typing import NDArray

__all__ = ["Frames", "column_of"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frames:
    """All frames of a dataset, whichever of them a Cube still has.

    Parameters
    ----------
    files
        Name of each frame's file.
    constant
        Header values that are the same in all frames, by keyword.
    varying
        Those that are not: one value for each frame, shape `(frames,)`; what a frame lacks is `None`.
    content
        Gives the bytes of a frame's file by its number; `None` where they cannot be had.
    times
        ns UTC of each, shape `(frames,)`, where they are known.
    """

    files: tuple[str, ...]
    constant: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    varying: Mapping[str, NDArray[Any]] = field(default_factory=lambda: MappingProxyType({}))
    content: Callable[[int], bytes] | None = None
    times: NDArray[np.int64] | None = None

    @classmethod
    def from_headers(
        cls,
        files: Sequence[str],
        headers: Sequence[Mapping[str, Any]],
        content: Callable[[int], bytes] | None = None,
    ) -> Frames:
        """Return the frames of some files with their headers, in one order.

        Raises
        ------
        InvalidInput
            There are more headers than files, or fewer.
        """
        if len(files) != len(headers):
            raise InvalidInput(f"{len(headers)} headers for {len(files)} files")
        constant: dict[str, Any] = {}
        varying: dict[str, NDArray[Any]] = {}
        for key in dict.fromkeys(key for header in headers for key in header):
            values = [header.get(key) for header in headers]
            if all(type(value) is type(values[0]) and value == values[0] for value in values):
                constant[key] = values[0]
            else:
                varying[key] = column_of(values)
        return cls(
            files=tuple(files),
            constant=MappingProxyType(constant),
            varying=MappingProxyType(varying),
            content=content,
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _frames, (self.files, dict(self.constant), dict(self.varying), self.content, self.times)

    @property
    def names(self) -> tuple[str, ...]:
        """All keywords, those that are constant first."""
        return (*self.constant, *self.varying)

    def column(self, key: str, numbers: NDArray[np.intp] | slice = slice(None)) -> NDArray[Any]:
        """Return the values of one keyword for some frames.

        Raises
        ------
        InvalidInput
            No header has such a keyword.
        """
        if key in self.varying:
            return self.varying[key][numbers]
        if key not in self.constant:
            raise InvalidInput(f"{key}: no such keyword in these headers")
        count = len(np.arange(len(self.files))[numbers])
        return column_of([self.constant[key]] * count)

    def to_table(self, numbers: NDArray[np.intp]) -> Any:
        """Return the headers of some frames as an astropy table, a row for each."""
        from astropy.table import Table

        return Table({key: self.column(key, numbers) for key in self.names})


def _frames(files: tuple[str, ...], constant: Any, varying: Any, content: Any, times: Any) -> Frames:
    return Frames(
        files=files,
        constant=MappingProxyType(constant),
        varying=MappingProxyType(varying),
        content=content,
        times=times,
    )


def column_of(values: Iterable[Any]) -> NDArray[Any]:
    """Return values as an array of one type where they have one, else as objects."""
    listed = list(values)
    kinds = {type(value) for value in listed}
    if kinds <= {int, float} and kinds:
        return np.array(listed, dtype=float if float in kinds else None)
    if len(kinds) == 1 and kinds <= {str, bool}:
        return np.array(listed)
    out = np.empty(len(listed), dtype=object)
    out[:] = listed
    return out
