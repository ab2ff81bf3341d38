"""One fibre, two instruments: a folder of vendor files with a gap, and a file that comes late."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archive.examples.wavefield import Acquisition, Earthquake, Train
from archive.times import ns_to_text, time_to_ns
from ingest.synthetic.vendor import Header, write_prodml, write_tdms

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

__all__ = ["Recording", "write_acquisition"]

_START = "2024-05-14T09:00:00"
_SHARE_OF_FIRST = 0.8  # of the bytes
_LEAST_FILES = 6  # that a gap and a late file leave a recording
_MEGABYTE = 10**6


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """The files of one fibre.

    Parameters
    ----------
    paths
        What has been recorded and brought, in order of instrument and time.
    late
        Files that were set aside, in a folder of their own, to be brought later.
    gap
        Start and end of the time that no file of the first instrument holds, ns since 1970.
    train, earthquake
        When the train enters the fibre and when P arrives there, ns since 1970.
    """

    paths: tuple[Path, ...]
    late: tuple[Path, ...]
    gap: tuple[int, int]
    train: int
    earthquake: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Instrument:
    """One interrogator and how it writes its files."""

    header: Header
    field: Acquisition
    suffix: str
    write: Callable[[Path, NDArray[Any], Header], Path]

    def file(self, folder: Path, number: int, seconds: float) -> Path:
        """Write one file and return its path."""
        count = round(seconds * self.header.rate)
        start = self.header.start + round(number * count * 10**9 / self.header.rate)
        stamp = ns_to_text(start - start % 10**6).replace("-", "").replace(":", "").replace("T", "_")
        path = folder / f"{self.header.instrument}_UTC_{stamp}{self.suffix}"
        samples = self.field.samples(number * count, (number + 1) * count)
        return self.write(path, samples, replace(self.header, start=start))


def write_acquisition(
    folder: str | Path,
    *,
    megabytes: float = 300,
    seconds: float = 10,
    channels: int = 1152,
    start: str = _START,
    seed: int = 1,
) -> Recording:
    """Write the files of one fibre, recorded by two instruments, and return where they are.

    Parameters
    ----------
    folder
        Where the files go: `prodml/`, `tdms/` and `late/` in it.
    megabytes
        About how much to write; the recording becomes longer, and for little data the files shorter.
    seconds
        Length of a file.
    channels
        Of the first instrument, 1 m apart; the second has half as many, 2 m apart.
    start
        Time of the first sample, UTC.
    seed
        Of the noise.
    """
    rate = 1000.0
    of_first = megabytes * _MEGABYTE * _SHARE_OF_FIRST / (channels * rate * 2)  # s
    seconds = min(seconds, max(round(of_first / _LEAST_FILES, 1), 0.1))
    number = max(round(of_first / seconds), _LEAST_FILES)
    events = _events(number * seconds)
    first, second = _instruments(time_to_ns(start), rate, channels, seed, events)
    root = Path(folder)
    folders = {name: root / name for name in ("prodml", "tdms", "late")}
    for path in folders.values():
        path.mkdir(parents=True, exist_ok=True)

    missing = number // 2
    late = number - 2
    paths = [first.file(folders["prodml"], n, seconds) for n in range(number) if n not in {missing, late}]
    paths += [second.file(folders["tdms"], n, seconds) for n in range(number)]
    begin = first.header.start
    return Recording(
        paths=tuple(paths),
        late=(first.file(folders["late"], late, seconds),),
        gap=(begin + round(missing * seconds * 10**9), begin + round((missing + 1) * seconds * 10**9)),
        train=begin + round(events[0].start * 10**9),
        earthquake=begin + round(events[1].start * 10**9),
    )


def _events(length: float) -> tuple[Train, Earthquake]:
    """Return what happens in a recording of some seconds: a train early on, an earthquake after the gap."""
    return Train(start=0.05 * length), Earthquake(start=0.62 * length, delay=min(4.0, 0.04 * length))


def _instruments(
    start: int, rate: float, channels: int, seed: int, events: tuple[Train, Earthquake]
) -> tuple[_Instrument, _Instrument]:
    train, earthquake = events
    field = Acquisition(channels=channels, rate=rate, seed=seed, trains=(train,), earthquakes=(earthquake,))
    second = replace(field, channels=max(channels // 2, 1), spacing=2.0, rate=rate / 2, seed=seed + 100)
    header = Header(start=start, rate=rate, instrument="north", acquisition="fibre-north")
    other = replace(header, rate=second.rate, spacing=2.0, instrument="south", acquisition="fibre-south")
    return (
        _Instrument(header=header, field=field, suffix=".h5", write=write_prodml),
        _Instrument(header=other, field=second, suffix=".tdms", write=write_tdms),
    )
