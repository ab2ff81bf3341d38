"""What reading would cost, before any sample moves."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from archive.lazy import Work, pretended
from archive.reading import plan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from archive.patch import Patch

__all__ = ["Plan", "plan_of"]

# Amazon S3, us-east-1, standard class: dollars for 1 000 GETs and for a GB to the internet; what a
# small request takes, and what one connected machine receives. Assumptions, shown with every plan.
_GET_DOLLARS = 0.0004 / 1000
_OUT_DOLLARS = 0.09 / 1e9
_REQUEST_SECONDS = 0.1
_BYTES_A_SECOND = 100e6
_IN_FLIGHT = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What reading every Patch of a Spool takes.

    Parameters
    ----------
    patches, granules, chunks
        How many are touched; a raw file counts as a granule, and has no chunks.
    requests, bytes
        Byte-range requests, and bytes that they fetch. Of raw files: one for each window, and the bytes of
        its samples, since what a vendor's layout makes of it shows only when it is read.
    needed
        Bytes of the compressed chunks that the selection touches.
    samples
        Bytes of the samples once they are decoded.
    seconds, dollars, dollars_out
        Estimates: at 0.1 s a request with 48 in flight and 100 MB/s; for the requests at $0.0004 a
        thousand; and for the bytes if they leave the cloud at $0.09 a GB.
    """

    patches: int
    granules: int
    chunks: int
    requests: int
    bytes: int
    needed: int
    samples: int
    seconds: float
    dollars: float
    dollars_out: float

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.patches} patches from {self.granules} granules: {self.requests} requests, "
            f"{self.bytes / 1e6:.2f} MB fetched for {self.samples / 1e6:.2f} MB of samples ({self.chunks} chunks); "
            f"about {self.seconds:.1f} s and ${self.dollars:.6f} within the cloud, "
            f"${self.dollars + self.dollars_out:.4f} out of it (0.1 s a request, 48 at a time, 100 MB/s, S3 prices)"
        )

    __repr__ = __str__


def plan_of(patches: Sequence[Patch]) -> Plan:
    """Return what reading some Patches takes."""
    ranges, samples, raw = [], 0, []
    for number in range(len(patches)):
        patch = patches[number]
        samples += patch.nbytes
        work = Work()
        if not patch.loaded:
            patch.lazy.fill(pretended(patch.shape, patch.dtype), work)
        ranges.extend(plan(work.fills))
        raw.extend(work.raw)
    unpacked = sum(fill.target.nbytes for fill in raw)
    total = sum(part.stop - part.start for part in ranges) + unpacked
    requests = len(ranges) + len(raw)
    return Plan(
        patches=len(patches),
        granules=len({part.array.key.partition(".zarr/")[0] for part in ranges})
        + len({id(fill.source) for fill in raw}),
        chunks=sum(len(part.chunks) for part in ranges),
        requests=requests,
        bytes=total,
        needed=sum(part.needed for part in ranges) + unpacked,
        samples=samples,
        seconds=_REQUEST_SECONDS * -(-requests // _IN_FLIGHT) + total / _BYTES_A_SECOND,
        dollars=requests * _GET_DOLLARS,
        dollars_out=total * _OUT_DOLLARS,
    )
