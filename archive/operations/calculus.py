"""Derivatives, integrals, and what they make of velocities and phases."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from archive.coords import Coord, Coords, Explicit, TimeAxis, values_from_array
from archive.errors import InvalidInput
from archive.operations.operation import WHOLE, Operation, Part, Reach, operation
from archive.operations.sample_types import floating
from archive.operations.spectra import times_units
from archive.units import get_quantity, is_quantity, magnitude

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from archive.operations.outline import Axis, Outline

__all__ = [
    "Differentiate",
    "Integrate",
    "RadiansToStrain",
    "VelocityToStrainRate",
    "differentiate",
    "integrate",
    "radians_to_strain",
    "velocity_to_strain_rate",
    "velocity_to_strain_rate_edgeless",
]


@operation
class Differentiate(Operation):
    """First derivatives along some dims, one after the other."""

    name: ClassVar[str] = "differentiate"
    dim: tuple[str, ...] | None
    order: int
    step: int

    def out(self, given: Outline) -> Outline:
        """Return the outline in units per unit of the dims."""
        axes = given.axes(self.dim)
        if self.step > 1 and len(axes) > 1:
            raise InvalidInput("differentiate(step=...) goes along one dim at a time")
        for axis in axes:
            if self.order > 2:  # noqa: PLR2004 - other stencils need even samples
                _ = axis.exact_step
            if axis.size < (self.order + 1) * self.step:
                raise InvalidInput(f"differentiate({axis.name!r}) needs {(self.order + 1) * self.step} samples")
        changed = given.typed(floating(given.dtype)).with_attrs(data_type=None)
        if given.units is None:
            return changed
        return changed.with_units(times_units(given.units, [axis.units for axis in axes if axis.units], -1))

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return the stencil at an edge, which is the longest, and room for those beside it."""
        length = (self.order + 1 + self.order // 2) * self.step
        return {axis.name: Reach(before=length, after=length) for axis in given.axes(self.dim)}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the derivatives."""
        samples = samples.astype(floating(samples.dtype), copy=False)
        for axis in part.whole.axes(self.dim):
            here = part.outline.axis(axis.name)
            result = np.empty_like(samples)
            for first in range(self.step):
                some = (slice(None),) * axis.number + (slice(first, None, self.step),)
                result[some] = self._one(samples[some], axis, here, first)
            samples = result
        return samples

    def _one(self, samples: NDArray[Any], axis: Axis, here: Axis, first: int) -> NDArray[Any]:
        try:
            step: float | None = axis.step * self.step
        except InvalidInput:
            step = None
        if self.order > 2 and step is not None:  # noqa: PLR2004 - NumPy's gradient is of order 2
            return _derivative(samples, step, axis.number, self.order)
        spacing: Any = step if step is not None else here.values()[first :: self.step]
        return np.asarray(np.gradient(samples, spacing, axis=axis.number, edge_order=2))


def differentiate(dim: str | Sequence[str] | None, order: int = 2, step: int = 1) -> Differentiate:
    """Return first derivatives by central differences, of the same order at the edges.

    Parameters
    ----------
    dim
        One dim or several; `None` for all.
    order
        Order of the error, even.
    step
        Samples to each side: 2 takes every second one.

    Raises
    ------
    InvalidInput
        The order is not even, or there are too few samples.

    References
    ----------
    `numpy.gradient`; Fornberg, *Generation of finite difference formulas on arbitrarily spaced grids*, 1988.
    """
    if order < 2 or order % 2 or step < 1:  # noqa: PLR2004 - the smallest even order
        raise InvalidInput(f"differentiate(order={order}, step={step}): an even order from 2, a step from 1")
    return Differentiate(
        dim=dim if dim is None else (dim,) if isinstance(dim, str) else tuple(dim), order=order, step=step
    )


@lru_cache(maxsize=64)
def _stencil(first: int, count: int) -> NDArray[np.float64]:
    """Return the weights of the first derivative for samples `first` to `first + count - 1` around 0."""
    offsets = np.arange(first, first + count, dtype=np.float64)
    wanted = np.zeros(count)
    wanted[1] = 1
    return np.linalg.solve(np.vander(offsets, count, increasing=True).T, wanted)


def _derivative(samples: NDArray[Any], step: float, axis: int, order: int) -> NDArray[Any]:
    """Return the derivative with stencils of `order + 1` samples: central, one-sided at the edges."""
    turned = np.moveaxis(samples, axis, 0)
    size, half = len(turned), order // 2
    result = np.zeros_like(turned)
    for offset, weight in enumerate(_stencil(-half, order + 1)):
        result[half : size - half] += weight * turned[offset : size - 2 * half + offset]
    for place in range(half):
        forward = _stencil(0, order + 1)
        result[place] = np.tensordot(forward, turned[place : place + order + 1], axes=1)
        last = size - 1 - place
        result[last] = np.tensordot(-forward, turned[last - order : last + 1][::-1], axes=1)
    return np.moveaxis(result / step, 0, axis)


@operation
class Integrate(Operation):
    """Integrals along some dims by the trapezoidal rule."""

    name: ClassVar[str] = "integrate"
    dim: tuple[str, ...] | None
    definite: bool

    def out(self, given: Outline) -> Outline:
        """Return the outline in units times those of the dims."""
        axes = given.axes(self.dim)
        changed = given.typed(floating(given.dtype)).with_attrs(data_type=None)
        if given.units is not None:
            changed = changed.with_units(times_units(given.units, [axis.units for axis in axes if axis.units], 1))
        if not self.definite:
            return changed
        for axis in axes:
            kept = {name: coord for name, coord in changed.coords.items() if axis.name not in coord.dims}
            kept |= _middle(axis)
            changed = changed.with_coords(Coords(given.dims, kept))
        return changed

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return that every sample of the dims is needed."""
        return {axis.name: WHOLE for axis in given.axes(self.dim)}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the integrals."""
        from scipy.integrate import cumulative_trapezoid

        samples = samples.astype(floating(samples.dtype), copy=False)
        for axis in part.whole.axes(self.dim):
            places = axis.values()
            if self.definite:
                samples = np.expand_dims(np.trapezoid(samples, places, axis=axis.number), axis.number)
            else:
                samples = np.asarray(cumulative_trapezoid(samples, places, axis=axis.number, initial=0))
        return samples


def _middle(axis: Axis) -> dict[str, Coord]:
    """Return the coordinates of a dim that has become one sample: the mean, and what was between."""
    dim, coord, values = (axis.name,), axis.coord, axis.coord.to_numpy()
    if coord.is_time:
        stamps = values.astype("datetime64[ns]").astype(np.int64)
        middle = int(stamps[0]) + round(float((stamps - stamps[0]).mean()))  # a mean of whole stamps would be rounded
        ends = [middle, int(stamps.min()), int(stamps.max())]
        made = [replace(coord, values=TimeAxis.exact(np.array([one]))) for one in ends]
    else:
        three = (values.mean(), values.min(), values.max())
        made = [replace(coord, values=Explicit(np.array([one], dtype=values.dtype))) for one in three]
    names = (axis.name, f"pre_integrate_{axis.name}_min", f"pre_integrate_{axis.name}_max")
    return {name: replace(one, dims=dim) for name, one in zip(names, made, strict=True)}


def integrate(dim: str | Sequence[str] | None, definite: bool = False) -> Integrate:
    """Integrate by the trapezoidal rule.

    Parameters
    ----------
    dim
        One dim or several; `None` for all.
    definite
        One integral over all of each dim, else the integral up to each sample.
    """
    return Integrate(dim=dim if dim is None else (dim,) if isinstance(dim, str) else tuple(dim), definite=definite)


@operation
class VelocityToStrainRate(Operation):
    """Differences of velocity along the fibre."""

    name: ClassVar[str] = "velocity_to_strain_rate"
    step_multiple: int
    order: int

    def _derivative(self) -> Differentiate:
        return Differentiate(dim=("distance",), order=self.order, step=self.step_multiple // 2)

    def out(self, given: Outline) -> Outline:
        """Return the outline of strain rate."""
        _velocity(given, self.name)
        length = given.axis("distance").step * self.step_multiple
        return self._derivative().out(given).with_attrs(data_type="strain_rate", gauge_length=length)

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return the stencil."""
        return self._derivative().reach(given)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the strain rate."""
        return self._derivative().compute(samples, part)


def velocity_to_strain_rate(step_multiple: int = 2, order: int = 2) -> VelocityToStrainRate:
    """Return strain rate from velocity by central differences along `distance`.

    Parameters
    ----------
    step_multiple
        Gauge length in channels, even.
    order
        Order of the error, even.

    Raises
    ------
    InvalidInput
        `data_type` is not velocity, or the gauge length is odd.
    """
    if step_multiple < 1 or step_multiple % 2:
        raise InvalidInput(
            f"velocity_to_strain_rate(step_multiple={step_multiple}) must be even; "
            "use velocity_to_strain_rate_edgeless for odd ones"
        )
    differentiate("distance", order)
    return VelocityToStrainRate(step_multiple=step_multiple, order=order)


@operation
class VelocityToStrainRateEdgeless(Operation):
    """Differences of velocity along the fibre, between channels."""

    name: ClassVar[str] = "velocity_to_strain_rate_edgeless"
    step_multiple: int

    def out(self, given: Outline) -> Outline:
        """Return the outline of strain rate, with fewer channels."""
        _velocity(given, self.name)
        axis = given.axis("distance")
        if self.step_multiple >= axis.size:
            raise InvalidInput(f"{self.name}(step_multiple={self.step_multiple}): there are {axis.size} channels")
        values = axis.values()
        places = (values[self.step_multiple :] + values[: -self.step_multiple]) / 2
        changed = given.resampled("distance", replace(axis.coord, values=values_from_array(places)))
        length = axis.step * self.step_multiple
        changed = changed.typed(floating(given.dtype)).with_attrs(data_type="strain_rate", gauge_length=length)
        if given.units is None or not axis.units:
            return changed
        return changed.with_units(times_units(given.units, [axis.units], -1))

    def reach(self, given: Outline) -> Mapping[str, Reach]:  # noqa: ARG002 - always the gauge length
        """Return the channels of the gauge length."""
        return {"distance": Reach(after=self.step_multiple)}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the strain rate."""
        axis = part.whole.axis("distance")
        before: tuple[slice, ...] = (slice(None),) * axis.number
        length = axis.step * self.step_multiple
        wide = samples.astype(floating(samples.dtype), copy=False)
        high, low = wide[(*before, slice(self.step_multiple, None))], wide[(*before, slice(None, -self.step_multiple))]
        return np.asarray((high - low) / length)


def velocity_to_strain_rate_edgeless(step_multiple: int = 1) -> VelocityToStrainRateEdgeless:
    """Return strain rate from velocity as differences of channels, placed between them.

    Parameters
    ----------
    step_multiple
        Gauge length in channels.

    Raises
    ------
    InvalidInput
        `data_type` is not velocity, or there are too few channels.
    """
    if step_multiple < 1:
        raise InvalidInput(f"velocity_to_strain_rate_edgeless(step_multiple={step_multiple}) must be above 0")
    return VelocityToStrainRateEdgeless(step_multiple=step_multiple)


def _velocity(given: Outline, name: str) -> None:
    if given.attrs.get("data_type") != "velocity":
        found = given.attrs.get("data_type")
        raise InvalidInput(f"{name} needs data_type='velocity', not {found!r}; use update_attrs if it is velocity")


@operation
class RadiansToStrain(Operation):
    """Strain from the phase of light."""

    name: ClassVar[str] = "radians_to_strain"
    gauge_length: Any
    wave_length: float
    stress_constant: float
    refractive_index: float

    def _change(self, given: Outline) -> tuple[float, str]:
        """Return what to multiply with, and the units that come out."""
        if given.units is None or "rad" not in str(get_quantity(given.units).units):
            raise InvalidInput(f"radians_to_strain needs units with radians, not {given.units}; see set_units")
        factor = self.wave_length / (4 * np.pi * self.refractive_index * self.stress_constant)
        for units, made, gauge in (
            ("rad", "strain", True),
            ("rad/s", "strain/s", True),
            ("rad/m", "strain", False),
            ("rad/m/s", "strain/s", False),
        ):
            # pint counts radians as nothing, so that they are divided away before dimensions are compared
            if get_quantity(given.units).dimensionality == get_quantity(units).dimensionality:
                scale = magnitude(get_quantity(given.units), units)
                return factor * scale / (self._gauge(given) if gauge else 1), made
        raise InvalidInput(f"radians_to_strain knows rad, rad/s, rad/m and rad/m/s, not {given.units}")

    def _gauge(self, given: Outline) -> float:
        length = self.gauge_length if self.gauge_length is not None else given.attrs.get("gauge_length")
        length = magnitude(length, "m") if is_quantity(length) else length
        if length is None or not np.isfinite(length) or length <= 0:
            raise InvalidInput(
                f"radians_to_strain needs a gauge length above 0, not {length}; give gauge_length=10 * m"
            )
        return float(length)

    def out(self, given: Outline) -> Outline:
        """Return the outline of strain."""
        return given.typed(floating(given.dtype)).with_units(self._change(given)[1])

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the strain."""
        return np.asarray(samples.astype(floating(samples.dtype), copy=False) * self._change(part.whole)[0])


def radians_to_strain(
    gauge_length: Any = None,
    wave_length: float = 1550e-9,
    stress_constant: float = 0.79,
    refractive_index: float = 1.445,
) -> RadiansToStrain:
    """Return strain, or strain rate, from the phase of light.

    Parameters
    ----------
    gauge_length
        In metres, or a quantity; without it the attribute serves. Not needed for phase per length.
    wave_length
        Of the laser, in metres.
    stress_constant, refractive_index
        Of the fibre.

    Raises
    ------
    InvalidInput
        The units hold no radians, or there is no gauge length.

    References
    ----------
    Lindsey et al., *On the broadband instrument response of fiber-optic DAS arrays*, 2020, equation 3.
    """
    return RadiansToStrain(
        gauge_length=gauge_length,
        wave_length=wave_length,
        stress_constant=stress_constant,
        refractive_index=refractive_index,
    )
