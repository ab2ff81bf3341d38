"""Example Patches and Spools by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import Coord, Linear, TimeAxis
from archive.errors import InvalidInput
from archive.examples.wavefield import Acquisition, Earthquake, Train
from archive.patch import Patch
from archive.spools import spool_of
from archive.times import time_to_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from archive.spools import Spool

__all__ = ["PATCHES", "SPOOLS", "get_example_patch", "get_example_spool"]

_RANDOM_SHAPE = (300, 2000)  # channels and samples, as DASCore's example of this name
_RANDOM_SEED = 13


def get_example_patch(name: str = "random_das") -> Patch:
    """Return an example by name; each call gives the same samples.

    Parameters
    ----------
    name
        `"random_das"`: noise, sample by sample that of DASCore's example. `"example_event_1"`: a small event near
        the fibre, 5 kHz, on a drifting instrument. `"moving_vehicle"`: a train along the fibre. `"earthquake"`: P and
        S with moveout. `"chirp"`: a sweep from 1 to 100 Hz.

    Raises
    ------
    InvalidInput
        There is no such example.
    """
    return _made(PATCHES, name, "Patch")


def get_example_spool(name: str = "random_das") -> Spool:
    """Return a Spool of example Patches by name; each call gives the same samples.

    Parameters
    ----------
    name
        `"random_das"`: three Patches that touch. `"diverse_das"`: several networks, stations, tags, rates and times.
        `"gaps_and_overlaps"`: the pieces of one recording, of which some are missing and some there twice.

    Raises
    ------
    InvalidInput
        There is no such example.
    """
    return spool_of(_made(SPOOLS, name, "Spool"))


def _made[T](known: Mapping[str, Callable[[], T]], name: str, what: str) -> T:
    if name not in known:
        raise InvalidInput(f"{name!r}: no example {what}; there are {', '.join(known)}")
    return known[name]()


def _patch(data: NDArray[Any], start: str, rate: float, spacing: float, **attrs: Any) -> Patch:
    """Return a Patch of shape (time, distance)."""
    coords = {
        "time": Coord(dims=("time",), values=TimeAxis.from_rate(time_to_ns(start), rate, data.shape[0]), units="s"),
        "distance": Coord(dims=("distance",), values=Linear(start=0.0, step=spacing, size=data.shape[1]), units="m"),
    }
    return Patch(data, coords, ("time", "distance"), {"data_category": "DAS", **attrs})


def _random(start: str = "2017-09-18", **attrs: Any) -> Patch:
    data = np.random.RandomState(_RANDOM_SEED).random(_RANDOM_SHAPE)
    coords = {
        "distance": Coord(dims=("distance",), values=Linear(start=0, step=1, size=_RANDOM_SHAPE[0]), units="m"),
        "time": Coord(dims=("time",), values=TimeAxis.from_rate(time_to_ns(start), 250, _RANDOM_SHAPE[1]), units="s"),
    }
    return Patch(data, coords, ("distance", "time"), {"tag": "random", "category": "DAS", **attrs})


def _event() -> Patch:
    """Return P and S of a source 35 m beside the fibre, with the drift that `detrend` takes away."""
    rate, count, channels = 5000.0, 3000, 180
    seconds = np.arange(count)[:, None] / rate
    where = np.arange(channels) * 1.0
    away = np.hypot(where - 70.0, 35.0)  # m from the source
    random = np.random.default_rng(1)
    data = 0.02 * random.standard_normal((count, channels))
    data += 0.3 * seconds - 0.05 * np.cos(where / 40.0)
    for velocity, hertz, strength in ((3000.0, 180.0, 0.35), (1700.0, 110.0, 1.0)):
        since = seconds - 0.15 - away / velocity
        ring = np.exp(-since.clip(0) / 0.02) * np.sin(2 * np.pi * hertz * since)
        data += np.where(since > 0, ring * strength * 35.0 / away, 0)
    made = _patch(data.astype(np.float32), "2023-06-27T14:02:11.5", rate, 1.0, tag="event_1", data_type="strain_rate")
    return made.transpose("distance", "time")


def _vehicle() -> Patch:
    field = Acquisition(channels=400, spacing=2.0, rate=100.0, trains=(Train(start=5.0, speed=28.0),))
    return _counts(field, 4000, "2024-05-14T09:00:00", tag="moving_vehicle")


def _earthquake() -> Patch:
    quake = Earthquake(start=4.0, delay=3.0, p_velocity=5200.0, s_velocity=3000.0)
    field = Acquisition(channels=300, spacing=10.0, rate=100.0, earthquakes=(quake,))
    return _counts(field, 2500, "2024-05-14T09:30:00", tag="earthquake")


def _counts(field: Acquisition, size: int, start: str, **attrs: Any) -> Patch:
    data = field.samples(0, size)
    return _patch(data, start, field.rate, field.spacing, data_type="strain_rate", gauge_length=10.0, **attrs)


def _chirp() -> Patch:
    """Return a sweep whose frequency rises evenly, 2 s later at the far end."""
    seconds = np.arange(10_000)[:, None] / 500.0 - np.arange(50) * 0.04
    phase = 2 * np.pi * (1.0 + (100.0 - 1.0) * seconds / 40.0) * seconds
    data = np.where(seconds >= 0, np.sin(phase), 0.0).astype(np.float32)
    return _patch(data, "2020-01-01", 500.0, 5.0, tag="chirp", data_type="velocity", data_units="m/s")


def _three() -> list[Patch]:
    return [_random(f"2020-01-03T00:00:{second:02}") for second in (0, 8, 16)]


def _diverse() -> list[Patch]:
    beside = [
        {"network": "das2"},
        {"network": "das2", "station": "wayout"},
        {"network": "das2", "station": "wayin", "tag": "experiment1"},
        {"tag": "experiment1", "station": "wayout"},
    ]
    patches = [*_three(), *(_random("2020-01-03T00:00:24", **attrs) for attrs in beside)]
    patches += [_random("2017-06-01T02:00:00"), _random("1989-05-04", tag="old")]
    patches += [_random("2020-01-03T00:01:00").select(distance=(0, 99)), get_example_patch("chirp")]
    return patches


def _broken() -> list[Patch]:
    """Return pieces of 5 s of one recording: the third is missing, the fifth begins a second early."""
    whole = _vehicle()
    borders = [(0, 5), (5, 10), (15, 20), (19, 25), (25, 26), (30, 40)]
    return [whole.select(time=(a * 100, b * 100), samples=True) for a, b in borders]


PATCHES: Mapping[str, Callable[[], Patch]] = {
    "random_das": _random,
    "example_event_1": _event,
    "moving_vehicle": _vehicle,
    "earthquake": _earthquake,
    "chirp": _chirp,
}
SPOOLS: Mapping[str, Callable[[], Sequence[Patch]]] = {
    "random_das": _three,
    "diverse_das": _diverse,
    "gaps_and_overlaps": _broken,
}
