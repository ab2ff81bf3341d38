"""Spectrograms and spectra as pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from archive.errors import InvalidInput
from archive.reading import load_many
from archive.viz.drawing import (
    WHOLE,
    colours_for,
    coord_label,
    evenly,
    label_axis,
    limits_of,
    new_axes,
    positions_of,
    shown_units,
    value_label,
)
from archive.viz.waterfall import draw
from archive.viz.waterfall import waterfall as draw_waterfall

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from archive.coords import Coord
    from archive.patch import Patch

__all__ = ["specplot", "spectrogram"]

_SEGMENTS = 400  # columns of a spectrogram of what is too long to be read whole
_CHANNELS = 50
_FT = "ft_"
_LEAST_SEGMENTS = 8  # that a short Patch has along its dim
_GAP = 1.5  # steps
_SEGMENT = 256  # samples, as `scipy.signal.spectrogram` has it


def spectrogram(
    patch: Patch,
    ax: Axes | None,
    *,
    dim: str,
    aggr_domain: Literal["time", "frequency"],
    cmap: str | None,
    scale: float | Sequence[float] | None,
    scale_type: Literal["relative", "absolute"],
    log: bool,
    options: dict[str, Any],
) -> Axes:
    """Draw the power over frequency and one dim; `PatchViz.spectrogram` says the rest."""
    if aggr_domain not in {"time", "frequency"}:
        raise InvalidInput(f"aggr_domain={aggr_domain!r}: 'time' or 'frequency'")
    if dim not in patch.dims or patch.ndim > 2:  # noqa: PLR2004 - the one to be averaged, and this one
        raise InvalidInput(f"a spectrogram is of one or two dims with {dim} among them, not of {patch.dims}")
    coord = patch.coords[dim]
    if coord.size < 2:  # noqa: PLR2004 - nothing oscillates
        raise InvalidInput(f"a spectrogram along {dim} needs more samples than {coord.size}")
    step = coord.step
    if step is None:
        raise InvalidInput(f"{dim} has no one step: chunk at its gaps, or interpolate")
    rate = abs(1 / (step / np.timedelta64(1, "s") if coord.is_time else float(step)))
    patch = patch.transpose(dim, ...)
    options = {"nperseg": min(_SEGMENT, max(coord.size // _LEAST_SEGMENTS, 16), coord.size), **options}
    found = _sampled if not patch.loaded and patch.size > WHOLE else _runs
    hertz, middles, power = found(patch, rate, aggr_domain, options)
    with np.errstate(divide="ignore"):
        shown = np.log10(power) if log else power
    what = _power_label(patch, coord)
    ax = draw(
        shown,
        [middles, hertz],
        new_axes(ax),
        cmap=cmap,
        limits=limits_of(shown, scale, scale_type),
        interpolation="antialiased",
        label=f"log₁₀ {what}" if log else what,
    )
    label_axis(ax, "x", coord, coord_label(dim, coord))
    ax.set_ylabel(_frequency_label(dim, coord))
    return ax


def _runs(patch: Patch, rate: float, domain: str, options: dict[str, Any]) -> Any:
    """Return frequencies, middles of segments, and power, none of it across a gap."""
    data = (patch if patch.loaded else patch.new()).data.reshape(patch.shape[0], -1)
    coord = patch.coords[patch.dims[0]]
    where, unit = positions_of(coord), 86_400.0 if coord.is_time else 1.0
    gaps = np.flatnonzero(np.abs(np.diff(where)) * unit * rate > _GAP) + 1
    found = []
    for run in np.split(np.arange(len(where)), gaps):
        if len(run) >= options["nperseg"]:
            hertz, numbers, power = _power(data[run[0] : run[-1] + 1], rate, domain, options)
            found.append((where[run[0]] + np.sign(where[-1] - where[0]) * numbers / rate / unit, power))
    if not found:
        raise InvalidInput(f"no stretch without a gap holds {options['nperseg']} samples; give another nperseg")
    return hertz, np.concatenate([one for one, _ in found]), np.concatenate([one for _, one in found])


def _power_label(patch: Patch, coord: Coord) -> str:
    what = str(patch.attrs.get("data_type", "") or "samples").replace("_", " ")
    units = patch.attrs.get("data_units")
    if units is None:
        return f"power of {what}"
    return f"power of {what} (({shown_units(str(units))})²{'/Hz' if coord.is_time else f' {coord.units or 1}'})"


def _power(data: NDArray[Any], rate: float, domain: str, options: dict[str, Any]) -> Any:
    """Return frequencies, middles of segments (in samples), and the mean power, shape (segments, frequencies)."""
    from scipy.signal import spectrogram as of_scipy

    if domain == "time":
        data = data.mean(axis=1, keepdims=True, dtype=np.float64)
    total: Any = 0.0
    for channel in data.T:  # one at a time: all together take the size of the data over again
        hertz, seconds, power = of_scipy(np.asarray(channel, dtype=np.float64), fs=rate, **options)
        total = total + power.T
    return hertz, seconds * rate, total / data.shape[1]


def _sampled(patch: Patch, rate: float, domain: str, options: dict[str, Any]) -> Any:
    """Return the same of some segments and channels, spread over a Patch that is too long to be read whole."""
    length, size = int(options["nperseg"]), patch.shape[0]
    if patch.ndim > 1 and domain == "frequency":
        width = patch.shape[1]
        patch = patch.take(patch.dims[1], slice(0, width, -(-width // _CHANNELS)))
    starts = np.linspace(0, size - length, _SEGMENTS).astype(int)
    parts = load_many([patch.take(patch.dims[0], slice(int(at), int(at) + length)).lazy for at in starts])
    options = {**options, "noverlap": 0}
    found = [_power(part.reshape(length, -1), rate, domain, options) for part in parts]
    middles = positions_of(patch.coords[patch.dims[0]][starts + length // 2])
    return found[0][0], middles, np.concatenate([power for _, _, power in found])


def specplot(
    patch: Patch,
    ax: Axes | None,
    *,
    cmap: str | None,
    scale: float | Sequence[float] | None,
    scale_type: Literal["relative", "absolute"],
    interpolation: str | None,
    log: bool,
    cbar: bool,
) -> Axes:
    """Draw a Patch that has been through a Fourier transform; `PatchViz.specplot` says the rest."""
    dims = [name for name in patch.dims if name.startswith(_FT)]
    if not dims:
        raise InvalidInput(f"specplot shows spectra, as patch.dft('time') makes them; the dims are {patch.dims}")
    patch = patch.abs() if patch.dtype.kind == "c" else patch
    if log:
        ax = _logarithmic(patch, dims[0], new_axes(ax), cmap, limits_of(patch.data, scale, scale_type), cbar=cbar)
    else:
        ax = draw_waterfall(
            patch, ax, cmap=cmap, scale=scale, scale_type=scale_type, interpolation=interpolation, log=False, cbar=cbar
        )
    down = "time" if "time" in patch.dims else patch.dims[0]
    for dim in patch.dims:
        if dim.startswith(_FT):
            text = _frequency_label(dim.removeprefix(_FT), patch.coords[dim], patch.coords[dim].units)
            (ax.set_xlabel if (dim == down and not log) or (log and dim != dims[0]) else ax.set_ylabel)(text)
    return ax


def _logarithmic(
    patch: Patch, dim: str, ax: Axes, cmap: str | None, limits: tuple[float, float], *, cbar: bool
) -> Axes:
    """Draw with frequencies upwards on a logarithmic axis, on both sides of 0 for wavenumbers."""
    other = next(name for name in patch.dims if name != dim)
    data, hertz = patch.transpose(other, dim).data, positions_of(patch.coords[dim])
    order = np.argsort(hertz)
    data, hertz = data[:, order], hertz[order]
    symmetric = dim != "ft_time" and hertz.min() < 0
    kept = np.ones(len(hertz), dtype=bool) if symmetric else hertz > 0
    data, hertz = data[:, kept], hertz[kept]
    if not len(hertz):
        raise InvalidInput(f"{dim} has no positive frequencies for a logarithmic axis")
    data, edges = evenly(data, positions_of(patch.coords[other]), 0)
    across = np.linspace(*edges, data.shape[0] + 1)
    middles = (hertz[1:] + hertz[:-1]) / 2
    half = (hertz[1] - hertz[0]) / 2 if len(hertz) > 1 else hertz[0] / 2
    up = np.concatenate([[hertz[0] - half], middles, [hertz[-1] + half]])
    image = ax.pcolormesh(across, up, data.T, cmap=colours_for(cmap, data), vmin=limits[0], vmax=limits[1])
    if symmetric:
        ax.set_yscale("symlog", linthresh=float(np.abs(hertz[hertz != 0]).min()))
    else:
        ax.set_yscale("log")
    if cbar:
        ax.figure.colorbar(image, ax=ax, pad=0.02).set_label(value_label(patch))
    label_axis(ax, "x", patch.coords[other], coord_label(other, patch.coords[other]))
    return ax


def _frequency_label(dim: str, coord: Coord, units: str | None = None) -> str:
    """Return what the frequencies along a dim are called."""
    shown = units or (f"1/({coord.units})" if coord.units else None)
    name = "frequency" if dim == "time" else "wavenumber" if dim == "distance" else f"frequency along {dim}"
    if shown is None:
        return name
    text = "Hz" if dim == "time" else shown_units(shown)
    return f"{name} ({text})"
