"""Spectra and back: discrete, short-time, and analytic signals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from archive.coords import Coord, Linear
from archive.errors import InvalidInput
from archive.operations.operation import WHOLE, Operation, Part, Reach, operation
from archive.operations.sample_types import complex_of, floating, real_of
from archive.units import get_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from archive.operations.outline import Axis, Outline

__all__ = ["Dft", "Envelope", "Hilbert", "Idft", "dft", "envelope", "hilbert", "idft", "times_units"]

_OUTPUTS = {
    "FFT": "fourier_transform",
    "AS": "amplitude_spectrum",
    "PS": "power_spectrum",
    "PSD": "power_spectral_density",
}


@operation
class Dft(Operation):
    """The discrete Fourier transform along some dims."""

    name: ClassVar[str] = "dft"
    dim: tuple[str, ...] | None
    real: str | bool | None
    pad: bool
    output: str
    db: bool

    def _axes(self, given: Outline) -> tuple[list[Axis], str | None]:
        """Return the dims to transform, the one that gives half a spectrum last, and that one's name."""
        names = list(given.dims if self.dim is None else self.dim)
        real = names[-1] if self.real is True else self.real or None
        names = [name for name in names if name in given.dims or f"ft_{name}" not in given.dims]
        real = real if real in names else None
        if isinstance(real, str):
            names.append(names.pop(names.index(real)))
            if given.dtype.kind == "c":
                raise InvalidInput(f"dft(real={real!r}) needs real samples, not {given.dtype}")
        return [given.axis(name) for name in names], real if isinstance(real, str) else None

    def _size(self, axis: Axis) -> int:
        from scipy.fft import next_fast_len

        return int(next_fast_len(axis.size)) if self.pad else axis.size

    def out(self, given: Outline) -> Outline:
        """Return the outline with frequencies; the old coordinates stay beside them for the way back."""
        axes, real = self._axes(given)
        if not axes:
            return given
        units, changed = given.units, given
        extent: list[str] = []
        for axis in axes:
            size, step = self._size(axis), abs(axis.step)
            inverse = spectral_units(axis.units)
            length, offset = (size // 2 + 1, 0) if axis.name == real else (size, -(size // 2))
            line = Linear(start=0.0, step=1 / (size * step), size=length, offset=offset)
            name = f"ft_{axis.name}"
            changed = changed.with_dim(axis.name, name, Coord(dims=(name,), values=line, units=inverse))
            kept = Coord(dims=(), values=axis.coord.values, units=axis.coord.units)
            changed = changed.with_coords(changed.coords.update({axis.name: kept}))
            extent.append(axis.units or "")
        changed = changed.with_units(self._units(units, [one for one in extent if one]))
        changed = changed.with_attrs(
            data_type=_OUTPUTS[self.output],
            _dft_padded=self.pad,
            _dft_output=self.output,
            _pre_dft_data_type=given.attrs.get("data_type"),
        )
        dtype = complex_of(given.dtype)
        return changed.typed(dtype if self.output == "FFT" else real_of(dtype))

    def _units(self, units: str | None, extent: list[str]) -> str | None:
        if self.db:
            return "dB"
        if units is None:
            return None
        if self.output == "FFT":
            return times_units(units, extent, 1)
        power = str((get_quantity(units) ** (1 if self.output == "AS" else 2)).units)
        return times_units(power, extent, 1) if self.output == "PSD" else power

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return that every sample of the dims is needed."""
        return {axis.name: WHOLE for axis in self._axes(given)[0]}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the spectrum."""
        axes, real = self._axes(part.whole)
        if not axes:
            return samples
        numbers, sizes = [axis.number for axis in axes], [self._size(axis) for axis in axes]
        transform: Any = np.fft.fftn if real is None else np.fft.rfftn
        spectrum = transform(samples, s=sizes, axes=numbers)
        spectrum = np.fft.fftshift(spectrum, axes=numbers if real is None else numbers[:-1])
        step = float(np.prod([abs(axis.step) for axis in axes]))
        spectrum = np.asarray(spectrum * step, dtype=complex_of(part.whole.dtype))
        if self.output == "FFT":
            return spectrum
        length = float(np.prod([size * abs(axis.step) for axis, size in zip(axes, sizes, strict=True)]))
        size = np.abs(spectrum)
        level = size / length if self.output == "AS" else size**2 / (length**2 if self.output == "PS" else length)
        if self.db:
            return (20 if self.output == "AS" else 10) * np.log10(level + np.finfo(level.dtype).eps)
        return np.asarray(level)


def dft(
    dim: str | Sequence[str] | None,
    *,
    real: str | bool | None = None,
    pad: bool = True,
    output: Literal["FFT", "PSD", "PS", "AS"] = "FFT",
    db: bool = False,
) -> Dft:
    """Transform one or more dims to frequencies, in order, each dim `x` becoming `ft_x`.

    Parameters
    ----------
    dim
        One dim or several; `None` for all. What is transformed already stays.
    real
        The dim that gives only the frequencies from 0 on; `True` for the last one.
    pad
        Zeros up to a length that is fast to transform.
    output
        "FFT": complex, times the steps; "AS": amplitudes in the samples' units; "PS": powers whose sum is
        the mean square; "PSD": powers per frequency.
    db
        Decibels, not for "FFT".

    Raises
    ------
    InvalidInput
        A dim is unevenly sampled, or output and db do not fit.

    References
    ----------
    `numpy.fft`.
    """
    chosen = str(output).upper()
    if chosen not in _OUTPUTS:
        raise InvalidInput(f"dft(output={output!r}): one of {', '.join(_OUTPUTS)}")
    if db and chosen == "FFT":
        raise InvalidInput("dft(db=True) needs output='AS', 'PS' or 'PSD'")
    dims = dim if dim is None else (dim,) if isinstance(dim, str) else tuple(dim)
    return Dft(dim=dims, real=real, pad=pad, output=chosen, db=db)


@operation
class Idft(Operation):
    """The way back from a discrete Fourier transform."""

    name: ClassVar[str] = "idft"
    dim: tuple[str, ...] | None

    def _dims(self, given: Outline) -> tuple[list[str], bool]:
        """Return the dims to transform back without their `ft_`, half a spectrum last, and whether there is one."""
        wanted = [dim for dim in given.dims if dim.startswith("ft_")] if self.dim is None else list(self.dim)
        names = [name.removeprefix("ft_") for name in wanted]
        for name in names:
            given.axis(f"ft_{name}")
            if name not in given.coords:
                raise InvalidInput(f"idft: {name} is not kept beside ft_{name}; only what dft has made can go back")
        half = [name for name in names if given.coords[f"ft_{name}"].min() == 0]
        if len(half) > 1:
            raise InvalidInput(f"idft: only one dim can have half a spectrum, not {' and '.join(half)}")
        return [name for name in names if name not in half] + half, bool(half)

    def _size(self, given: Outline, name: str, *, half: bool) -> int:
        from scipy.fft import next_fast_len

        kept, length = given.coords[name].size, given.coords[f"ft_{name}"].size
        size = int(next_fast_len(kept)) if given.attrs.get("_dft_padded", False) else kept
        if length != (size // 2 + 1 if half else size):
            raise InvalidInput(f"idft: ft_{name} has {length} frequencies, not those that dft made of {kept} samples")
        return size

    def out(self, given: Outline) -> Outline:
        """Return the outline with the coordinates that were there before."""
        if given.attrs.get("_dft_output", "FFT") != "FFT":
            raise InvalidInput(f"idft needs dft(output='FFT'), not {given.attrs['_dft_output']!r}: phases are lost")
        names, half = self._dims(given)
        units = [unit for name in names if (unit := given.coords[f"ft_{name}"].units)]
        changed = given
        for place, name in enumerate(names):
            self._size(given, name, half=half and place == len(names) - 1)
            coord = given.coords[name]
            changed = changed.with_dim(f"ft_{name}", name, Coord(dims=(name,), values=coord.values, units=coord.units))
        if given.units is not None:
            changed = changed.with_units(times_units(given.units, units, 1))
        changed = changed.with_attrs(
            _dft_padded=None, _dft_output=None, _pre_dft_data_type=None, data_type=given.attrs.get("_pre_dft_data_type")
        )
        dtype = complex_of(given.dtype)
        return changed.typed(real_of(dtype) if half else dtype)

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return that every frequency is needed."""
        return {f"ft_{name}": WHOLE for name in self._dims(given)[0]}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples."""
        given = part.whole
        names, half = self._dims(given)
        if not names:
            return samples
        numbers = [given.axis(f"ft_{name}").number for name in names]
        sizes = [self._size(given, name, half=half and n == len(names) - 1) for n, name in enumerate(names)]
        shifted = np.fft.ifftshift(samples, axes=numbers[:-1] if half else numbers)
        transform: Any = np.fft.irfftn if half else np.fft.ifftn
        back = transform(shifted, s=sizes, axes=numbers)
        steps = [given.axis(f"ft_{name}").step * size for name, size in zip(names, sizes, strict=True)]
        kept: list[slice] = [slice(None)] * back.ndim
        for number, name in zip(numbers, names, strict=True):
            kept[number] = slice(0, given.coords[name].size)
        return np.asarray(back[tuple(kept)] * float(np.prod(steps)))


def idft(dim: str | Sequence[str] | None = None) -> Idft:
    """Go back from what `dft` has made.

    Parameters
    ----------
    dim
        The dims, with or without their `ft_`; `None` for all that were transformed.

    Raises
    ------
    InvalidInput
        Frequencies are missing, or the spectrum has no phases.
    """
    return Idft(dim=dim if dim is None else (dim,) if isinstance(dim, str) else tuple(dim))


@operation
class Hilbert(Operation):
    """The analytic signal."""

    name: ClassVar[str] = "hilbert"
    dim: str

    def out(self, given: Outline) -> Outline:
        """Return the outline with complex samples."""
        if given.dtype.kind == "c":
            raise InvalidInput("hilbert needs real samples")
        return given.typed(complex_of(given.dtype)).with_attrs(data_type=None) if given.axis(self.dim).step else given

    def reach(self, given: Outline) -> Mapping[str, Reach]:  # noqa: ARG002 - always the same dim
        """Return that every sample of the dim is needed."""
        return {self.dim: WHOLE}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the analytic signal."""
        from scipy.signal import hilbert as analytic

        return np.asarray(
            analytic(samples.astype(floating(samples.dtype), copy=False), axis=part.whole.axis(self.dim).number)
        )


def hilbert(dim: str) -> Hilbert:
    """Return the analytic signal along a dim: the samples, and their Hilbert transform as imaginary part.

    Parameters
    ----------
    dim
        The dim.

    References
    ----------
    `scipy.signal.hilbert`.
    """
    return Hilbert(dim=dim)


@operation
class Envelope(Operation):
    """The size of the analytic signal."""

    name: ClassVar[str] = "envelope"
    dim: str

    def out(self, given: Outline) -> Outline:
        """Return the outline with real samples."""
        made = Hilbert(dim=self.dim).out(given)
        return made.typed(real_of(made.dtype)).with_attrs(data_type="envelope")

    def reach(self, given: Outline) -> Mapping[str, Reach]:  # noqa: ARG002 - always the same dim
        """Return that every sample of the dim is needed."""
        return {self.dim: WHOLE}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the envelope."""
        return np.abs(Hilbert(dim=self.dim).compute(samples, part))


def envelope(dim: str) -> Envelope:
    """Return the size of the analytic signal along a dim.

    Parameters
    ----------
    dim
        The dim.
    """
    return Envelope(dim=dim)


def spectral_units(units: str | None) -> str | None:
    """Return the units of frequencies along a dim."""
    if units is None:
        return None
    inverse = (1 / get_quantity(units)).units
    return "Hz" if inverse == get_quantity("1/s").units else str(inverse)


def times_units(units: str, others: list[str], power: int) -> str:
    """Return units multiplied with others, or divided by them (power -1)."""
    product = get_quantity(units)
    for other in others:
        product = product * get_quantity(other) ** power
    return str(product.units) if product.magnitude == 1 else f"{product.magnitude} {product.units}"
