"""A Spool: a lazy collection of Patches, over an archive or a list."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, Self, overload

import numpy as np

from archive.chunk import Conflict, chunk
from archive.errors import InvalidInput
from archive.filters import time_window
from archive.framed import names_of, only_patches, span_of
from archive.operations.chain import MEMORY
from archive.patch import Patch, load_patches
from archive.raw import RawRoot
from archive.steps import Chunk, Pick, Select, Sort, Step
from archive.store import open_store
from archive.stored import patches_of
from archive.view import ALWAYS, View, open_view

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from archive.explain import Plan
    from archive.operations.operation import Operation

__all__ = ["Spool", "spool_of"]

_AHEAD_BYTES = 256 << 20  # a Patch larger than this is not read ahead


class Root(Protocol):
    """Where a Spool's Patches come from."""

    def patches(self, first: int, last: int, names: Sequence[str] | None) -> Sequence[Patch]:
        """Return the Patches that touch a window of time (ns), of some datasets or all."""
        ...


@dataclass(frozen=True, slots=True)
class ListRoot:
    """Patches that are there."""

    held: tuple[Patch, ...]

    def patches(self, first: int, last: int, names: Sequence[str] | None) -> Sequence[Patch]:  # noqa: ARG002 - the protocol's
        """Return all Patches: selecting among them costs nothing."""
        return self.held


@dataclass(frozen=True, slots=True)
class ArchiveRoot:
    """The runs of an archive's datasets."""

    view: View
    names: tuple[str, ...] | None

    def patches(self, first: int, last: int, names: Sequence[str] | None) -> Sequence[Patch]:
        """Return one Patch for each contiguous run that touches the window."""
        chosen = self.names if names is None else tuple(names)
        return patches_of(self.view, chosen, first, last)


class Spool:
    """A lazy collection of Patches. Nothing is read until a Patch's samples are asked for.

    Over an archive it holds one Patch for each contiguous run of each dataset, as one pinned snapshot
    has it; over raw files, one for each block of each file; over a list, the Patches of the list.
    Every method returns a new Spool.
    """

    def __init__(self, root: Root, steps: tuple[Step, ...] = ()) -> None:
        self._root = root
        self._steps = steps

    # -- choosing -------------------------------------------------------------------------------

    def select(self, *, relative: bool = False, samples: bool = False, **selectors: Any) -> Spool:
        """Return the part of each Patch that a selection takes; Patches without any are left out.

        Parameters
        ----------
        relative, samples
            As in `Patch.select`, for each Patch by itself.
        **selectors
            Coordinates as in `Patch.select`. Attributes by a text (`*` and `?` are wildcards), a
            number, a list of either, or a pair for a range. A Patch that lacks the name is left out.

        Raises
        ------
        InvalidInput
            No dataset knows a name, or a selector cannot be understood. (Raised when the Patches are
            first looked at; values of `time` are checked at once.)
        """
        if "time" in selectors and not samples and not relative:
            time_window(selectors["time"])
        return self._with(Select(selectors=dict(selectors), relative=relative, samples=samples))

    def chunk(
        self,
        *,
        overlap: Any = None,
        keep_partial: bool = False,
        fill_value: Any = None,
        tolerance: float = 1.5,
        conflict: Conflict = "raise",
        **length: Any,
    ) -> Spool:
        """Return the Patches merged where they touch, then split into chunks of one length.

        Parameters
        ----------
        overlap
            Seconds that a chunk shares with the next; negative leaves gaps.
        keep_partial
            Keep the remainder at the end of each run.
        fill_value
            Merge across gaps, and fill them with this.
        tolerance
            Steps up to which the next Patch joins the one before.
        conflict
            What happens where attributes of Patches to be joined differ: `"raise"`, `"drop"`, `"keep_first"`.
        **length
            One dim and the length of its chunks (`time=60`: seconds, or a quantity or timedelta64);
            `None` merges only.
        """
        if len(length) != 1:
            raise InvalidInput("chunk takes one dim, as in chunk(time=60)")
        (dim, size), options = next(iter(length.items())), {}
        options = {"overlap": overlap, "keep_partial": keep_partial, "fill_value": fill_value}
        options.update(tolerance=tolerance, conflict=conflict)
        chunk((), dim, size, **options)
        return self._with(Chunk(dim=dim, length=size, options=options))

    def sort(self, by: str = "time") -> Spool:
        """Return the Patches in order of a coordinate's start or an attribute."""
        return self._with(Sort(by))

    def split(self, size: int | None = None, count: int | None = None) -> Iterator[Spool]:
        """Yield Spools of `size` Patches each, or `count` Spools of about as many Patches."""
        if (size is None) == (count is None) or (size or count or 0) < 1:
            raise InvalidInput("split takes either size=... or count=..., at least 1")
        if size is not None:
            yield from (self[start : start + size] for start in range(0, len(self), size))
            return
        borders = np.linspace(0, len(self), (count or 1) + 1).round().astype(int)
        yield from (self[int(a) : int(b)] for a, b in itertools.pairwise(borders) if b > a)

    def concatenate(self, *, conflict: Conflict = "drop", **dims: Any) -> Spool:
        """Return the Patches put one after the other in time, whatever lies between them."""
        from archive.combine import concatenate

        if set(dims) - {"time"} or any(value is not None and value is not ... for value in dims.values()):
            raise InvalidInput("concatenate(time=None) puts Patches one after the other in time")
        return spool_of(concatenate(only_patches(self._patches, "are not concatenated"), conflict))

    def stack(self) -> Patch:
        """Return the sum of the samples of all Patches, which must have the same shape and channels."""
        from archive.combine import stack

        return stack(list(self))

    def _with(self, step: Step) -> Spool:
        return Spool(self._root, (*self._steps, step))

    # -- taking ---------------------------------------------------------------------------------

    @cached_property
    def _patches(self) -> Sequence[Patch]:
        first, last, names = ALWAYS[0], ALWAYS[1], None
        for step in self._steps:
            if not isinstance(step, Select):
                break
            # Only the window and the names are handed down; the step itself is applied all the same.
            if "time" in step.selectors and not step.samples and not step.relative:
                low, high = time_window(step.selectors["time"])
                first, last = max(first, low), min(last, high)
            wanted = step.selectors.get("dataset")
            if isinstance(wanted, str) and not set(wanted) & set("*?[") and names is None:
                names = [wanted]
        patches = self._root.patches(first, last, self._known(names))
        for step in self._steps:
            if isinstance(step, Select):
                self._check_names(step, patches)
            patches = step.apply(patches)
        return patches

    def _known(self, names: list[str] | None) -> list[str] | None:
        """Return the names that the root has; an unknown one selects nothing, like a pattern without match."""
        if names is None or not isinstance(self._root, ArchiveRoot):
            return names
        there = self._root.view.datasets() if self._root.names is None else self._root.names
        return [name for name in names if name in there]

    def _check_names(self, step: Select, patches: Sequence[Patch]) -> None:
        known = {name for patch in patches for name in names_of(patch)}
        if isinstance(self._root, ArchiveRoot):
            for dataset in self._root.view.datasets().values():
                known.update((*dataset.coords, *dataset.attrs, "time", "time_recorded", "dataset"))
        unknown = [name for name in step.selectors if name not in known]
        if unknown and (patches or isinstance(self._root, ArchiveRoot)):
            there = ", ".join(sorted(known)) or "none yet"
            raise InvalidInput(f"{', '.join(unknown)}: no such coordinate or attribute; known: {there}")

    def __len__(self) -> int:
        if (
            not self._steps
            and isinstance(self._root, ArchiveRoot)
            and "_patches" not in self.__dict__
            and not self.framed
        ):
            return sum(len(spans) for spans in self.coverage().values())
        return len(self._patches)

    @property
    def framed(self) -> bool:
        """Whether the archive has datasets of frames among those that are meant."""
        if not isinstance(self._root, ArchiveRoot):
            return False
        held = self._root.view.datasets()
        return any(held[name].holds_frames for name in self.datasets)

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice | Sequence[int] | np.ndarray[Any, Any]) -> Spool: ...
    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray[Any, Any]) -> Patch | Spool:
        if isinstance(index, (int, np.integer)):
            count = len(self._patches)
            if not -count <= index < count:
                raise IndexError(f"Patch {index} of a Spool of {count}")
            return self._at(int(index) % count)
        if isinstance(index, slice):
            return self._with(Pick(index))
        array = np.asarray(index)
        numbers = np.flatnonzero(array) if array.dtype == np.bool_ else array
        return self._with(Pick(tuple(int(number) for number in numbers)))

    def _at(self, number: int) -> Patch:
        """Return one Patch; its samples, once read, belong to the caller and not to the Spool."""
        patch = self._patches[number]
        return patch if patch.loaded else patch.new()

    def __iter__(self) -> Iterator[Patch]:
        count = len(self._patches)
        ahead: Future[None] | None = None
        following: Patch | None = None
        with ThreadPoolExecutor(1, thread_name_prefix="lightkeep-ahead") as pool:
            for number in range(count):
                patch = self._at(number) if following is None else following
                if ahead is not None:
                    ahead.result()
                ahead = following = None
                yield patch
                # Who has read this Patch will read the next: fetch it while they work.
                if patch.loaded and number + 1 < count:
                    following = self._at(number + 1)
                    if not following.loaded and following.nbytes <= _AHEAD_BYTES:
                        ahead = pool.submit(load_patches, [following])

    def map[T](
        self,
        func: Callable[..., T],
        *,
        client: Any = None,
        progress: bool | None = None,
        retries: int = 0,
        **kwargs: Any,
    ) -> list[T]:
        """Return what a function makes of each Patch, in order.

        Parameters
        ----------
        func
            Takes a Patch, and `kwargs`.
        client
            A `concurrent.futures` executor or a Dask client; each worker reads its Patches itself.
        progress
            Whether to show a bar; by default, where there is a terminal.
        retries
            How often a Patch is tried again after an error that may pass, each time a little later. Those that come
            from the call or from damaged data are raised at once.

        Raises
        ------
        Exception
            What the function raises, with a note that names the Patch; what has not begun by then is cancelled.
        """
        from archive.mapping import map_patches

        return map_patches(func, self._patches, client=client, progress=progress, retries=retries, kwargs=kwargs)

    def process(
        self,
        operations: Operation | Sequence[Operation],
        out: str | None = None,
        *,
        dataset: str | None = None,
        memory: int = MEMORY,
        codec: str = "pcodec",
        storage_options: Mapping[str, Any] | None = None,
        progress: bool | None = None,
    ) -> Spool:
        """Return what a chain of operations makes of each Patch, of any length, in bounded memory.

        Over an archive a Patch is a run without a gap: gaps are not bridged, and the borders of granules and files
        leave no trace. The result is that of the whole Patch, exactly or within the tolerance of recursive filters.

        Parameters
        ----------
        operations
            One, or several in order: `[do.detrend("time"), do.decimate(time=1000)]` with `archive.operations as do`.
        out
            URL of the archive that keeps the result, as a new dataset. A call that was interrupted goes on where it
            stopped, and one that has been done does nothing; where the data have grown since, only what follows from
            the new samples is computed. Without it, nothing is computed before it is asked for.
        dataset
            Name of the new dataset; one that follows from its source and the operations without.
        memory
            Bytes of samples that are held at a time, what is computed from them included.
        codec
            How the result is stored: `"pcodec"` or `"portable"`.
        storage_options
            For `out`, as `archive.open` takes them.
        progress
            Whether to show a bar; by default, where there is a terminal.

        Raises
        ------
        InvalidInput
            An operation does not fit the data, or needs a whole run at once: chunk first.
        NotFound
            There is no archive at `out`; `lightkeep init` makes one.
        MissingExtra
            Writing is not installed.
        """
        from archive.processing import Wish, derivations_of, parts_of, write

        derivations = derivations_of(self._patches, operations, memory)
        if out is None:
            return spool_of([part for one in derivations for part in parts_of(one)])
        wish = Wish(url=out, options=storage_options, dataset=dataset, codec=codec)
        names = write(derivations, wish, progress=progress)
        return Spool(ArchiveRoot(open_view(open_store(out, storage_options=storage_options)), names))

    # -- telling --------------------------------------------------------------------------------

    @property
    def root(self) -> Root:
        """Where the Patches come from."""
        return self._root

    @property
    def snapshot(self) -> int | None:
        """Number of the snapshot that this Spool is pinned to; `None` over a list."""
        if not isinstance(self._root, ArchiveRoot):
            return None
        self._root.view.settle()
        return self._root.view.snapshot.number

    @property
    def complete(self) -> bool:
        """Whether young commits were looked for: not where the store cannot list, as over https."""
        return not isinstance(self._root, ArchiveRoot) or self._root.view.complete

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of the datasets."""
        if isinstance(self._root, ArchiveRoot):
            return tuple(self._root.view.datasets()) if self._root.names is None else self._root.names
        return tuple(sorted({str(patch.attrs["dataset"]) for patch in self._patches if "dataset" in patch.attrs}))

    def coverage(self) -> dict[str, list[tuple[int, int]]]:
        """Return first and last stamp (ns) of each contiguous run, by dataset; of an archive, from CURRENT alone."""
        if isinstance(self._root, ArchiveRoot) and not self._steps:
            return {name: self._root.view.coverage(name) for name in self.datasets}
        found: dict[str, list[tuple[int, int]]] = {}
        for patch in self._patches:
            if not isinstance(patch, Patch):
                found.setdefault(str(patch.attrs.get("dataset", "")), []).append(span_of(patch))
                continue
            values = patch.coords["time"].values
            found.setdefault(str(patch.attrs.get("dataset", "")), []).append(
                (int(np.int64(values[0])), int(np.int64(values[-1])))
            )
        return found

    def get_contents(self) -> pd.DataFrame:
        """Return a table with a line for each Patch: its dims, limits, steps, shape and attributes."""
        from archive.contents import contents

        return contents(self._patches)

    def to_pandas(self) -> pd.DataFrame:
        """Return `get_contents()`, under the name that tables have elsewhere."""
        return self.get_contents()

    def gaps(self) -> pd.DataFrame:
        """Return a table of the gaps: dataset, first and last stamp missing, and how many samples."""
        from archive.contents import gaps

        return gaps(only_patches(self._patches, "have no gaps in time"))

    def overlaps(self, *, compare: bool = False) -> pd.DataFrame:
        """Return a table of the times that several granules hold, and which of them serves.

        Parameters
        ----------
        compare
            Read both and say whether their samples differ.
        """
        from archive.contents import overlaps

        if not isinstance(self._root, ArchiveRoot):
            raise InvalidInput("overlaps() looks at the granules of an archive; this Spool is over none")
        first, last = ALWAYS
        for step in self._steps:
            if isinstance(step, Select) and "time" in step.selectors and not step.samples and not step.relative:
                low, high = time_window(step.selectors["time"])
                first, last = max(first, low), min(last, high)
        return overlaps(self._root.view, self.datasets, first, last, compare=compare)

    def explain(self) -> Plan:
        """Return what reading every Patch would take: requests, bytes, estimated seconds and dollars."""
        from archive.explain import plan_of

        return plan_of(self._patches)

    def to_xarray(self) -> xr.DataArray | xr.DataTree:
        """Return one lazy DataArray with exact times, gaps staying gaps; a DataTree of several datasets."""
        from archive.xarray import spool_to_xarray

        return spool_to_xarray(only_patches(self._patches, "go to xarray one by one, with io.to_xarray"))

    def update(self) -> Spool:
        """Return the same Spool over the archive, or the raw files, as they are now."""
        if isinstance(self._root, RawRoot):
            return Spool(self._root.updated(), self._steps)
        if not isinstance(self._root, ArchiveRoot):
            return self
        return Spool(replace(self._root, view=open_view(self._root.view.store)), self._steps)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Spool):
            return NotImplemented
        return len(self) == len(other) and all(a.equals(b) for a, b in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        from archive.display import spool_text

        return spool_text(self)

    def _repr_html_(self) -> str:
        from archive.display import spool_html

        return spool_html(self)

    def __reduce__(self) -> tuple[type[Self], tuple[Root, tuple[Step, ...]]]:
        return type(self), (self._root, self._steps)


def spool_of(patches: Sequence[Patch]) -> Spool:
    """Return a Spool over Patches that are there."""
    return Spool(ListRoot(tuple(patches)))
