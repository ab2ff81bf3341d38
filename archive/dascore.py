"""DASCore over an archive: `import archive.dascore` teaches `dascore.spool` to take a Spool of ours.

>>> import archive.dascore  # doctest: +SKIP
>>> spool = dascore.spool(lk.open("s3://bucket/fibre"))  # doctest: +SKIP

Only DASCore's public extension points are used: `dascore.spool` is a generic function, and a spool is what
subclasses `BaseSpool`. Selecting, chunking and sorting are ours, lazily; a Patch becomes DASCore's when it is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from archive.errors import MissingExtra
from archive.exchange.with_dascore import to_dascore
from archive.spools import Spool

try:
    import dascore
    from dascore.core.spool import BaseSpool
except ImportError as error:
    raise MissingExtra("archive.dascore needs DASCore: pip install 'lightkeep[dascore]'") from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pandas as pd

__all__ = ["DascoreSpool"]


class DascoreSpool(BaseSpool):  # type: ignore[misc]  # DASCore comes without types
    """A Spool of ours with the face of DASCore's.

    Parameters
    ----------
    spool
        What it is over.
    """

    def __init__(self, spool: Spool) -> None:
        self._ours = spool

    @property
    def lightkeep(self) -> Spool:
        """The Spool that it is over."""
        return self._ours

    def __len__(self) -> int:
        return len(self._ours)

    def __getitem__(self, item: Any) -> Any:
        found = self._ours[item]
        return DascoreSpool(found) if isinstance(found, Spool) else to_dascore(found)

    def __iter__(self) -> Iterator[Any]:
        return map(to_dascore, self._ours)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DascoreSpool) and self._ours == other._ours

    __hash__ = None  # type: ignore[assignment]

    def select(self, **kwargs: Any) -> Self:
        """Return the part of each Patch that a selection takes; as `archive.Spool.select`."""
        return type(self)(self._ours.select(**kwargs))

    def chunk(  # noqa: PLR0917 - DASCore's signature
        self,
        overlap: Any = None,
        keep_partial: bool = False,  # noqa: FBT001, FBT002 - DASCore's signature
        snap_coords: bool = True,  # noqa: ARG002, FBT001, FBT002 - stamps are never moved here
        fill_value: Any = None,
        tolerance: float = 1.5,
        conflict: Any = "raise",
        **kwargs: Any,
    ) -> Self:
        """Return the Patches merged where they touch, and split; as `archive.Spool.chunk`."""
        options = {"overlap": overlap, "keep_partial": keep_partial, "fill_value": fill_value}
        return type(self)(self._ours.chunk(**options, tolerance=tolerance, conflict=conflict, **kwargs))

    def sort(self, attribute: str) -> Self:
        """Return the Patches in order; as `archive.Spool.sort`."""
        return type(self)(self._ours.sort(attribute))

    def split(self, size: int | None = None, count: int | None = None) -> Iterator[Self]:
        """Yield parts; as `archive.Spool.split`."""
        return map(type(self), self._ours.split(size, count))

    def update(self) -> Self:
        """Return the same Spool over what is there now."""
        return type(self)(self._ours.update())

    def get_contents(self) -> pd.DataFrame:
        """Return a table with a line for each Patch."""
        return self._ours.get_contents()

    def map[T](
        self,
        func: Callable[..., T],
        *,
        client: Any = None,
        progress: bool = True,
        **kwargs: Any,
    ) -> list[T]:
        """Return what a function of DASCore's Patches makes of each; workers read for themselves."""
        kwargs.pop("size", None)  # how many DASCore hands out at a time
        return self._ours.map(_OnTheirs(func), client=client, progress=progress and None, **kwargs)

    def __rich__(self) -> str:
        return repr(self._ours)

    def __str__(self) -> str:
        return repr(self._ours)

    __repr__ = __str__


class _OnTheirs[T]:
    """A function of DASCore's Patches, as one of ours; it travels to workers."""

    def __init__(self, func: Callable[..., T]) -> None:
        self.func = func

    def __call__(self, patch: Any, **kwargs: Any) -> T:
        return self.func(to_dascore(patch), **kwargs)


dascore.spool.register(Spool, DascoreSpool)
