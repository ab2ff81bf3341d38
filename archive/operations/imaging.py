"""Wave fields as velocity or slowness: dispersion images and tau-p."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from archive.coords import Coord, Coords, values_from_array
from archive.errors import InvalidInput
from archive.operations.operation import WHOLE, Operation, Part, Reach, operation
from archive.units import convert_factor, is_quantity, magnitude

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from archive.operations.outline import Outline

__all__ = ["DispersionPhaseShift", "TauP", "dispersion_phase_shift", "tau_p"]


class _Gather(Operation):
    """What is made of a gather of time and distance."""

    def gather(self, given: Outline) -> tuple[NDArray[np.float64], float]:
        """Return the distances in metres, and the step of time in seconds."""
        if set(given.dims) != {"time", "distance"}:
            raise InvalidInput(f"{self.name} needs the dims time and distance, not {given.dims}")
        distance = given.axis("distance")
        factor = 1.0 if distance.units is None else convert_factor(distance.units, "m")
        return distance.values() * factor, given.axis("time").step

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return that every sample is needed."""
        return dict.fromkeys(given.dims, WHOLE)

    def upright(self, samples: NDArray[Any], given: Outline) -> NDArray[Any]:
        """Return the samples with distance first."""
        return samples if given.dims[0] == "distance" else samples.T


def _coord(name: str, values: NDArray[np.float64], units: str) -> Coord:
    return Coord(dims=(name,), values=values_from_array(values), units=units)


@operation
class DispersionPhaseShift(_Gather):
    """Energy by phase velocity and frequency."""

    name: ClassVar[str] = "dispersion_phase_shift"
    phase_velocities: NDArray[Any]
    approx_resolution: float | None
    approx_freq: tuple[float, float] | None

    def _frequencies(self, given: Outline) -> tuple[NDArray[np.float64], int, int]:
        """Return the frequencies of the transform, and which of them are wanted."""
        _, step = self.gather(given)
        rate = 1 / step
        size = given.axis("time").size
        count = size if self.approx_resolution is None else int(rate / self.approx_resolution)
        low, high = self.approx_freq or (0.0, rate / 2)
        if self.approx_freq and not 0 < low < high < rate / 2:
            raise InvalidInput(f"approx_freq={self.approx_freq} must rise between 0 and {rate / 2:g}")
        frequencies = np.arange(count) * rate / max(count - 1, 1)
        first, last = (int(np.argmax(frequencies >= edge)) for edge in (low, high))
        if last <= first:
            raise InvalidInput(f"{self.name}: no frequency lies between {low:g} and {high:g} at this resolution")
        return frequencies, first, last

    def out(self, given: Outline) -> Outline:
        """Return the outline of an image of velocity and frequency."""
        frequencies, first, last = self._frequencies(given)
        coords = {name: coord for name, coord in given.coords.items() if not coord.dims}
        coords["velocity"] = _coord("velocity", np.asarray(self.phase_velocities, dtype=np.float64), "m/s")
        coords["frequency"] = _coord("frequency", frequencies[first:last], "Hz")
        changed = given.with_coords(Coords(("velocity", "frequency"), coords)).typed(np.float64)
        return changed.with_attrs(data_type="dispersion", data_category="dispersion", data_units=None)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the image."""
        places, _ = self.gather(part.whole)
        frequencies, first, last = self._frequencies(part.whole)
        wide = self.upright(samples, part.whole).astype(np.float64, copy=False)
        spectrum = np.fft.fft(wide, n=len(frequencies), axis=1)[:, first:last]
        size = np.abs(spectrum)
        phases = np.divide(spectrum, size, out=np.zeros_like(spectrum), where=size > 0)
        turns = 2j * np.pi * np.outer(places, frequencies[first:last])
        image = [np.abs((np.exp(turns / velocity) * phases).sum(axis=0)) for velocity in self.phase_velocities]
        return np.asarray(image) / len(places)


def dispersion_phase_shift(
    phase_velocities: Sequence[float],
    approx_resolution: float | None = None,
    approx_freq: tuple[float, float] | None = None,
) -> DispersionPhaseShift:
    """Return a dispersion image of a gather whose waves run to larger distances.

    Parameters
    ----------
    phase_velocities
        In m/s, rising, above 0.
    approx_resolution
        Step of frequency in Hz; that of the transform without it.
    approx_freq
        Lowest and highest frequency in Hz.

    Raises
    ------
    InvalidInput
        Velocities or frequencies make no sense.

    References
    ----------
    Park, Miller, Xia, *Imaging dispersion curves of surface waves on multi-channel record*, 1998.
    """
    velocities = np.asarray(phase_velocities, dtype=np.float64)
    _rising(velocities, "dispersion_phase_shift")
    if approx_resolution is not None and approx_resolution <= 0:
        raise InvalidInput(f"dispersion_phase_shift(approx_resolution={approx_resolution}) must be above 0")
    band = None if approx_freq is None else (float(approx_freq[0]), float(approx_freq[1]))
    return DispersionPhaseShift(phase_velocities=velocities, approx_resolution=approx_resolution, approx_freq=band)


@operation
class TauP(_Gather):
    """Sums along lines of slowness and intercept."""

    name: ClassVar[str] = "tau_p"
    velocities: NDArray[Any]

    def out(self, given: Outline) -> Outline:
        """Return the outline of slowness and time."""
        self.gather(given)
        slowness = 1 / self.velocities
        coords = {name: coord for name, coord in given.coords.items() if coord.dims in {(), ("time",)}}
        coords["slowness"] = _coord("slowness", np.concatenate([-slowness[::-1], slowness]), "s/m")
        changed = given.with_coords(Coords(("slowness", "time"), coords)).typed(np.float64)
        return changed.with_attrs(data_type="tau_p", data_category="taup")

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the sums, those of waves that run to smaller distances first."""
        places, step = self.gather(part.whole)
        wide = self.upright(samples, part.whole).astype(np.float64, copy=False)
        slowness = 1 / self.velocities
        up = [_sums(wide, (places - places[0]) * one / step) for one in slowness]
        down = [_sums(wide[::-1], (places[-1] - places[::-1]) * one / step) for one in slowness]
        return np.asarray([*down[::-1], *up])


def _sums(samples: NDArray[np.float64], delays: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return sums over channels, each read a delay (in samples) later; what lies beyond the end counts nothing."""
    size = samples.shape[1]
    total = np.zeros(size)
    for trace, delay in zip(samples, delays, strict=True):
        whole = int(delay)
        kept = size - 1 - whole
        if kept > 0:
            part = delay - whole
            total[:kept] += (1 - part) * trace[whole : whole + kept] + part * trace[whole + 1 : whole + 1 + kept]
    return total


def tau_p(velocities: Any) -> TauP:
    """Return the linear tau-p transform of a gather.

    Parameters
    ----------
    velocities
        In m/s or a quantity, rising, above 0. Slownesses of both signs come out, the negative ones first.

    Raises
    ------
    InvalidInput
        The velocities do not rise, or are not above 0.
    """
    if is_quantity(velocities):
        velocities = np.asarray(velocities.magnitude) * magnitude(1 * velocities.units, "m/s")
    plain = np.asarray(velocities, dtype=np.float64)
    _rising(plain, "tau_p")
    return TauP(velocities=plain)


def _rising(velocities: NDArray[np.float64], name: str) -> None:
    if velocities.ndim != 1 or not velocities.size or (velocities <= 0).any() or (np.diff(velocities) <= 0).any():
        raise InvalidInput(f"{name} needs velocities that rise and are above 0")
