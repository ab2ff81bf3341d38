"""A function over many Patches, on whatever executor the user brings."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from archive.errors import DamagedData, InvalidInput, MissingExtra, NotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from archive.patch import Patch

__all__ = ["describe", "map_patches"]

_AHEAD = 256  # Patches that are handed out before the first of them is done
_FIRST_WAIT = 0.2  # s, before something is tried again; twice as long each time
_LASTING = (InvalidInput, NotFound, DamagedData, MissingExtra)  # trying again changes nothing


def map_patches[T](
    func: Callable[..., T],
    patches: Sequence[Patch],
    *,
    client: Any,
    progress: bool | None,
    retries: int,
    kwargs: Mapping[str, Any],
) -> list[T]:
    """Return what a function makes of each Patch, in order; `Spool.map` says the rest."""
    if client is not None and not hasattr(client, "submit"):
        raise InvalidInput(f"client={client!r} has no submit(); give a concurrent.futures executor or a Dask client")
    if retries < 0:
        raise InvalidInput(f"retries={retries}: 0 or more")
    calls = (_Call(func, kwargs, retries), patches)
    results: Iterator[T] = _here(*calls) if client is None else _there(client, *calls)
    if sys.stderr.isatty() if progress is None else progress:
        from rich.progress import track

        results = iter(track(results, total=len(patches), description="map"))
    done: list[T] = []
    try:
        for result in results:
            done.append(result)  # noqa: PERF402 - so that len(done) is the number of the one that failed
    except Exception as error:
        number = len(done)
        error.add_note(f"while mapping over Patch {number} of {len(patches)}: {describe(patches[number])}")
        raise
    return done


def describe(patch: Patch) -> str:
    """Return how a Patch is called in a message: its dataset, its limits and its shape."""
    parts = [str(patch.attrs[name]) for name in ("dataset", "station", "tag") if patch.attrs.get(name)]
    if "time" in patch.coords:
        coord = patch.coords["time"]
        parts.append(f"{coord.min()} to {coord.max()}")
    return ", ".join([*parts, " x ".join(f"{size} {dim}" for dim, size in zip(patch.dims, patch.shape, strict=True))])


class _Call[T]:
    """The function with its arguments, tried again where that may help: what is sent to a worker."""

    def __init__(self, func: Callable[..., T], kwargs: Mapping[str, Any], retries: int) -> None:
        self.func, self.kwargs, self.retries = func, dict(kwargs), retries

    def __call__(self, patch: Patch) -> T:
        for attempt in range(self.retries):
            try:
                return self.func(patch.new(), **self.kwargs)
            except _LASTING:
                raise
            except Exception:  # noqa: BLE001 - the user's function may raise anything; the last try raises it
                time.sleep(_FIRST_WAIT * 2**attempt)
        return self.func(patch.new(), **self.kwargs)  # a Patch that was read here is not kept by the Spool


def _here[T](call: _Call[T], patches: Sequence[Patch]) -> Iterator[T]:
    for number in range(len(patches)):
        yield call(patches[number])


def _there[T](client: Any, call: _Call[T], patches: Sequence[Patch]) -> Iterator[T]:
    """Yield results in order, a bounded number of Patches being handed out ahead."""
    # Dask takes calls that look alike for one and the same, unless told otherwise.
    options = {"pure": False} if hasattr(client, "scatter") else {}
    waiting: deque[Any] = deque()
    try:
        for number in range(len(patches)):
            waiting.append(client.submit(call, patches[number], **options))
            if len(waiting) >= _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()
