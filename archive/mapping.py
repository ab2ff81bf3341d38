"""A function over many Patches, on whatever executor the user brings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archive.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from archive.patch import Patch

__all__ = ["map_patches"]


def map_patches[T](
    func: Callable[..., T], patches: Sequence[Patch], *, client: Any, progress: bool, kwargs: Mapping[str, Any]
) -> list[T]:
    """Return what a function makes of each Patch, in order; an error names the Patch."""
    if client is not None and not hasattr(client, "submit"):
        raise InvalidInput(f"client={client!r} has no submit(); give a concurrent.futures executor or a Dask client")
    if client is None:
        results: Iterable[T] = (func(patches[number].new(), **kwargs) for number in range(len(patches)))
    else:
        futures = [client.submit(func, patches[number], **kwargs) for number in range(len(patches))]
        results = (future.result() for future in futures)
    if progress:
        from rich.progress import track

        results = track(results, total=len(patches), description="map")
    done: list[T] = []
    try:
        for result in results:
            done.append(result)  # noqa: PERF402 - so that len(done) is the number of the one that failed
    except Exception as error:
        error.add_note(f"while mapping over Patch {len(done)} of {len(patches)}")
        raise
    return done
