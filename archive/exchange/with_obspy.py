"""Streams of ObsPy: a Trace for each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from archive.coords import Coord, Coords, TimeAxis, values_from_array
from archive.errors import InvalidInput
from archive.exchange import wanted
from archive.export.recording import recording_of
from archive.patch import Patch

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["from_obspy", "to_obspy"]

_CODES = ("network", "station", "location", "channel")
_OWN = "lightkeep"  # of a Trace's stats: what ObsPy has no place for
_PROCESSED = (*_CODES, "starttime", "endtime", "sampling_rate", "delta", "npts", "calib", "distance", _OWN)
_RATE_TOLERANCE = 1e-9


def to_obspy(patch: Patch) -> Any:
    """Return an `obspy.Stream` with a Trace for each channel: its place is in `stats.distance`.

    What ObsPy has no place for (units, the exact line of times, the type of coordinates) stands in `stats.lightkeep`.

    Raises
    ------
    InvalidInput
        The Patch is not of time and one more dim, or its times keep no one rate.
    MissingExtra
        ObsPy is not installed.
    """
    obspy = wanted("obspy", "obspy")
    recording = recording_of(patch, "an ObsPy Stream")
    recording.two_dims()
    rate, axis = float(recording.rate()), recording.axis
    ours, dim = recording.patch, recording.dim
    attrs = {name: value for name, value in ours.attrs.items() if name != "history"}
    codes = {name: str(attrs.pop(name)) for name in _CODES if name in attrs}
    own = {
        "time": [column.tolist() for column in axis.columns()],
        "dim": dim,
        "dims": list(patch.dims),
        "units": {name: ours.coords[name].units for name in ours.dims},
        "attrs": attrs,
    }
    places = ours.coords[dim].to_numpy()
    samples = np.ascontiguousarray(ours.data.T)
    return obspy.Stream(
        [
            obspy.Trace(
                trace,
                {
                    **codes,
                    "starttime": obspy.UTCDateTime(ns=axis.first),
                    "sampling_rate": rate,
                    dim: place.item(),
                    _OWN: own,
                },
            )
            for trace, place in zip(samples, places, strict=True)
        ]
    )


def from_obspy(stream: Any) -> Patch:
    """Return a Patch made of an `obspy.Stream` (or one Trace): its Traces must cover the same samples.

    Channels are placed by `stats.distance` (m) where each Trace has one, else numbered; where they have names,
    these are the coordinate `seed_id`.

    Raises
    ------
    InvalidInput
        There is no Trace, or they differ in start, rate or length; `stream.trim` or `stream.merge` mends that.
    """
    traces = [stream] if hasattr(stream, "stats") else list(stream)
    if not traces:
        raise InvalidInput("from_obspy: the Stream has no Trace")
    first = traces[0].stats
    for trace in traces:
        if np.ma.isMaskedArray(trace.data):
            raise InvalidInput(
                f"from_obspy: {trace.id} has gaps; split() the Stream, or fill them with merge(fill_value=...)"
            )
        stats = trace.stats
        if (stats.starttime.ns, stats.npts) != (first.starttime.ns, first.npts) or not _alike(stats, first):
            raise InvalidInput(
                f"from_obspy: {trace.id} differs from {traces[0].id} in start, rate or length; trim() first"
            )
    own = dict(first.get(_OWN, {}))
    dim, values = _places(traces, own)
    units = own.get("units", {})
    coords = {
        "time": Coord(dims=("time",), values=_axis(first, own), units="s"),
        dim: Coord(
            dims=(dim,), values=values_from_array(values), units=units.get(dim, "m" if dim == "distance" else None)
        ),
    }
    if not own and any(trace.id.strip(".") for trace in traces):
        names = np.array([trace.id for trace in traces])
        coords["seed_id"] = Coord(dims=(dim,), values=values_from_array(names))
    made = Patch(
        np.stack([trace.data for trace in traces], axis=1), Coords(("time", dim), coords), attrs=_attrs(traces, own)
    )
    return made.transpose(*own["dims"]) if own else made


def _alike(one: Any, other: Any) -> bool:
    return bool(abs(one.sampling_rate - other.sampling_rate) <= _RATE_TOLERANCE * other.sampling_rate)


def _axis(stats: Any, own: dict[str, Any]) -> TimeAxis:
    """Return the exact times that the Trace came with where they are still its times, else those of its rate."""
    if "time" in own:
        held = TimeAxis(*own["time"])
        # A Stream that was trimmed or cut has a later start on the same line.
        number = held.find(stats.starttime.ns)
        if number < held.size and held.at(number) == stats.starttime.ns and number + stats.npts <= held.size:
            step = held.step
            if (
                step is not None
                and abs(float(10**9 / step) - stats.sampling_rate) <= _RATE_TOLERANCE * stats.sampling_rate
            ):
                return held.cut(number, number + stats.npts)
    return TimeAxis.from_rate(stats.starttime.ns, stats.sampling_rate, stats.npts)


def _places(traces: Sequence[Any], own: dict[str, Any]) -> tuple[str, Any]:
    dim = own.get("dim", "distance")
    if all(dim in trace.stats for trace in traces):
        return dim, np.array([trace.stats[dim] for trace in traces])
    return "channel", np.arange(len(traces))


def _attrs(traces: Sequence[Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return what all Traces say alike."""
    codes = {name: traces[0].stats[name] for name in _CODES if len({trace.stats[name] for trace in traces}) == 1}
    said = {name: value for name, value in codes.items() if value}
    if own:
        return {**dict(own["attrs"]), **said}
    others = {
        name: value
        for name, value in traces[0].stats.items()
        if name not in _PROCESSED and isinstance(value, (str, int, float, bool))
    }
    return {
        **{name: value for name, value in others.items() if all(one.stats.get(name) == value for one in traces)},
        **said,
    }
