"""Numbers that describe a spectrum: centroid, peak, entropy and others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from archive.coords import Coords
from archive.errors import InvalidInput
from archive.operations.operation import WHOLE, Operation, Part, Reach, operation
from archive.units import get_quantity

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from archive.operations.outline import Axis, Outline

__all__ = [
    "SpectralDescriptor",
    "median_frequency",
    "spectral_centroid",
    "spectral_entropy",
    "spectral_flatness",
    "spectral_kurtosis",
    "spectral_peak_amplitude",
    "spectral_peak_frequency",
]

type _Format = Literal["auto", "fft", "amplitude", "power", "density"]
type _Negative = Literal["auto", "drop", "raise", "keep"]

_FORMATS = {"FFT": "fft", "AS": "amplitude", "PS": "power", "PSD": "density"}
_ATTRS = (
    "_dft_output",
    "_dft_padded",
    "_pre_dft_data_type",
    "_pre_stft_data_type",
    "_stft_detrended",
    "_stft_hop",
    "_stft_mfft",
    "_stft_mode",
    "_stft_time_dimension",
)


@operation
class SpectralDescriptor(Operation):
    """One number for each spectrum along a dim of frequencies."""

    name: ClassVar[str] = "spectral_descriptor"
    quantity: str
    dim: str | None
    fmin: float | None
    fmax: float | None
    spectral_format: str
    negative_frequencies: str

    def _axis(self, given: Outline) -> Axis:
        """Return the dim of frequencies."""
        found = [dim for dim in given.dims if dim.startswith("ft_")]
        if self.dim is None and len(found) != 1:
            raise InvalidInput(f"spectral_{self.quantity} needs a dim of frequencies; not {found}: use dft")
        name = found[0] if self.dim is None else self.dim if self.dim.startswith("ft_") else f"ft_{self.dim}"
        return given.axis(name)

    def _format(self, given: Outline) -> str:
        """Return what the samples are: coefficients, amplitudes or powers."""
        chosen = self.spectral_format
        if chosen == "auto":
            made = "fft" if given.dtype.kind == "c" else None
            chosen = _FORMATS.get(given.attrs.get("_dft_output", ""), made) or ""
        if chosen not in _FORMATS.values():
            raise InvalidInput(f"spectral_format={self.spectral_format!r}: one of {', '.join(_FORMATS.values())}")
        if (chosen == "fft") != (given.dtype.kind == "c"):
            raise InvalidInput(f"spectral_format={chosen!r} does not go with samples of {given.dtype}")
        if "dB" in str(given.units):
            raise InvalidInput("a spectrum in decibels cannot be described; leave out db=True")
        return chosen

    def out(self, given: Outline) -> Outline:
        """Return the outline without the frequencies."""
        axis, kind = self._axis(given), self._format(given)
        if self.negative_frequencies not in {"auto", "drop", "raise", "keep"}:
            raise InvalidInput(f"negative_frequencies={self.negative_frequencies!r}: one of auto, drop, raise, keep")
        frequencies = axis.values()
        if self.negative_frequencies == "raise" and (frequencies < 0).any():
            raise InvalidInput(f"{axis.name} has negative frequencies; choose negative_frequencies='drop' or 'keep'")
        if not self._within(np.abs(frequencies)).any():
            raise InvalidInput(f"no frequency lies between {self.fmin} and {self.fmax}")
        kept = {name: coord for name, coord in given.coords.items() if axis.name not in coord.dims}
        changed = given.with_coords(Coords(tuple(dim for dim in given.dims if dim != axis.name), kept))
        units = axis.units if self.quantity in {"centroid", "median", "peak_frequency"} else None
        if self.quantity == "peak_amplitude" and given.units is not None:
            root = kind in {"power", "density"}
            units = str((get_quantity(given.units) ** 0.5).units) if root else given.units
        changed = changed.with_attrs(**dict.fromkeys(_ATTRS), data_type=f"spectral_{self.quantity}")
        return changed.with_units(units).typed(np.float64)

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return that every frequency is needed."""
        return {self._axis(given).name: WHOLE}

    def _within(self, frequencies: NDArray[np.float64]) -> NDArray[np.bool_]:
        low = -np.inf if self.fmin is None else self.fmin
        high = np.inf if self.fmax is None else self.fmax
        return np.asarray((frequencies >= low) & (frequencies <= high))

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the numbers."""
        axis, kind = self._axis(part.whole), self._format(part.whole)
        power = np.moveaxis(np.abs(samples).astype(np.float64), axis.number, 0)
        if kind in {"fft", "amplitude"}:
            power = power**2
        elif (samples < 0).any():
            raise InvalidInput("powers must not be negative")
        frequencies = axis.values()
        if self.negative_frequencies == "auto" and (frequencies < 0).any():
            frequencies, power = _folded(frequencies, power)
        kept = self._within(frequencies)
        if self.negative_frequencies in {"auto", "drop"}:
            kept &= frequencies >= 0
        with np.errstate(divide="ignore", invalid="ignore"):
            return _DESCRIBED[self.quantity](frequencies[kept], power[kept])


def _folded(frequencies: NDArray[np.float64], power: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Return a symmetric spectrum with a lone negative Nyquist frequency as a positive one.

    Raises
    ------
    InvalidInput
        The spectrum is not symmetric.
    """
    middle = int(np.argmin(np.abs(frequencies)))
    count = min(middle, len(frequencies) - 1 - middle)
    below, above = power[middle - count : middle][::-1], power[middle + 1 : middle + 1 + count]
    if not np.allclose(below, above):
        raise InvalidInput("the spectrum is not symmetric; choose negative_frequencies='drop' or 'keep'")
    if middle == len(frequencies) - middle:  # even: the Nyquist frequency is only there as a negative one
        frequencies = np.concatenate([frequencies[1:], -frequencies[:1]])
        power = np.concatenate([power[1:], power[:1]])
    return frequencies, power


def _column(frequencies: NDArray[np.float64], power: NDArray[Any]) -> NDArray[np.float64]:
    return frequencies.reshape([-1] + [1] * (power.ndim - 1))


def _centroid(frequencies: NDArray[np.float64], power: NDArray[Any]) -> NDArray[Any]:
    return np.asarray((_column(frequencies, power) * power).sum(axis=0) / power.sum(axis=0))


def _median(frequencies: NDArray[np.float64], power: NDArray[Any]) -> NDArray[Any]:
    total = np.cumsum(power, axis=0)
    return np.where(total[-1] > 0, frequencies[np.argmax(total >= total[-1] / 2, axis=0)], np.nan)


def _peak_frequency(frequencies: NDArray[np.float64], power: NDArray[Any]) -> NDArray[Any]:
    return np.where(power.sum(axis=0) > 0, frequencies[np.argmax(power, axis=0)], np.nan)


def _peak_amplitude(frequencies: NDArray[np.float64], power: NDArray[Any]) -> NDArray[Any]:  # noqa: ARG001 - one face for all
    return np.asarray(np.sqrt(power.max(axis=0)))


def _entropy(frequencies: NDArray[np.float64], power: NDArray[Any]) -> NDArray[Any]:
    entropy = _entropy_in_bits(frequencies, power)
    return entropy / np.log2(len(frequencies)) if len(frequencies) > 1 else np.zeros_like(entropy)


def _entropy_in_bits(frequencies: NDArray[np.float64], power: NDArray[Any]) -> NDArray[Any]:  # noqa: ARG001 - one face for all
    share = np.nan_to_num(power / power.sum(axis=0))
    return np.asarray(-(share * np.log2(np.where(share > 0, share, 1))).sum(axis=0))


def _kurtosis(frequencies: NDArray[np.float64], power: NDArray[Any]) -> NDArray[Any]:
    share = power / power.sum(axis=0)
    apart = _column(frequencies, power) - (_column(frequencies, power) * share).sum(axis=0)
    second = (apart**2 * share).sum(axis=0)
    return np.where(second > 0, (apart**4 * share).sum(axis=0) / second**2, np.nan)


def _flatness(frequencies: NDArray[np.float64], power: NDArray[Any]) -> NDArray[Any]:  # noqa: ARG001 - one face for all
    share = np.nan_to_num(power / power.max(axis=0))
    mean = share.mean(axis=0)
    return np.where(mean > 0, np.clip(np.exp(np.log(share).mean(axis=0)) / mean, 0, 1), np.nan)


_DESCRIBED: dict[str, Callable[[NDArray[np.float64], NDArray[Any]], NDArray[Any]]] = {
    "centroid": _centroid,
    "median": _median,
    "peak_frequency": _peak_frequency,
    "peak_amplitude": _peak_amplitude,
    "entropy": _entropy,
    "entropy_in_bits": _entropy_in_bits,
    "kurtosis": _kurtosis,
    "flatness": _flatness,
}


def spectral_centroid(
    dim: str | None = None,
    fmin: float | None = None,
    fmax: float | None = None,
    spectral_format: _Format = "auto",
    negative_frequencies: _Negative = "auto",
) -> SpectralDescriptor:
    """Return the mean frequency of each spectrum, weighted by power.

    Parameters
    ----------
    dim
        The dim of frequencies, with or without its `ft_`; the only one without a name.
    fmin, fmax
        Frequencies that count, both ends included.
    spectral_format
        What the samples are; "auto" goes by how they were made.
    negative_frequencies
        "auto" leaves those of a symmetric spectrum out, "drop" those of any; "raise" refuses, "keep" counts them.
    """
    return _descriptor("centroid", dim, fmin, fmax, spectral_format, negative_frequencies)


def median_frequency(
    dim: str | None = None,
    fmin: float | None = None,
    fmax: float | None = None,
    spectral_format: _Format = "auto",
    negative_frequencies: _Negative = "auto",
) -> SpectralDescriptor:
    """Return the frequency below which half of each spectrum's power lies.

    Parameters
    ----------
    dim
        The dim of frequencies, with or without its `ft_`; the only one without a name.
    fmin, fmax
        Frequencies that count, both ends included.
    spectral_format
        What the samples are; "auto" goes by how they were made.
    negative_frequencies
        "auto" leaves those of a symmetric spectrum out, "drop" those of any; "raise" refuses, "keep" counts them.
    """
    return _descriptor("median", dim, fmin, fmax, spectral_format, negative_frequencies)


def spectral_peak_frequency(
    dim: str | None = None,
    fmin: float | None = None,
    fmax: float | None = None,
    spectral_format: _Format = "auto",
    negative_frequencies: _Negative = "auto",
) -> SpectralDescriptor:
    """Return the frequency of the largest power of each spectrum.

    Parameters
    ----------
    dim
        The dim of frequencies, with or without its `ft_`; the only one without a name.
    fmin, fmax
        Frequencies that count, both ends included.
    spectral_format
        What the samples are; "auto" goes by how they were made.
    negative_frequencies
        "auto" leaves those of a symmetric spectrum out, "drop" those of any; "raise" refuses, "keep" counts them.
    """
    return _descriptor("peak_frequency", dim, fmin, fmax, spectral_format, negative_frequencies)


def spectral_peak_amplitude(
    dim: str | None = None,
    fmin: float | None = None,
    fmax: float | None = None,
    spectral_format: _Format = "auto",
    negative_frequencies: _Negative = "auto",
) -> SpectralDescriptor:
    """Return the largest amplitude of each spectrum.

    Parameters
    ----------
    dim
        The dim of frequencies, with or without its `ft_`; the only one without a name.
    fmin, fmax
        Frequencies that count, both ends included.
    spectral_format
        What the samples are; "auto" goes by how they were made.
    negative_frequencies
        "auto" leaves those of a symmetric spectrum out, "drop" those of any; "raise" refuses, "keep" counts them.
    """
    return _descriptor("peak_amplitude", dim, fmin, fmax, spectral_format, negative_frequencies)


def spectral_kurtosis(
    dim: str | None = None,
    fmin: float | None = None,
    fmax: float | None = None,
    spectral_format: _Format = "auto",
    negative_frequencies: _Negative = "auto",
) -> SpectralDescriptor:
    """Return the kurtosis of each spectrum as a distribution over frequency.

    Parameters
    ----------
    dim
        The dim of frequencies, with or without its `ft_`; the only one without a name.
    fmin, fmax
        Frequencies that count, both ends included.
    spectral_format
        What the samples are; "auto" goes by how they were made.
    negative_frequencies
        "auto" leaves those of a symmetric spectrum out, "drop" those of any; "raise" refuses, "keep" counts them.
    """
    return _descriptor("kurtosis", dim, fmin, fmax, spectral_format, negative_frequencies)


def spectral_flatness(
    dim: str | None = None,
    fmin: float | None = None,
    fmax: float | None = None,
    spectral_format: _Format = "auto",
    negative_frequencies: _Negative = "auto",
) -> SpectralDescriptor:
    """Return the geometric over the arithmetic mean of the powers of each spectrum.

    Parameters
    ----------
    dim
        The dim of frequencies, with or without its `ft_`; the only one without a name.
    fmin, fmax
        Frequencies that count, both ends included.
    spectral_format
        What the samples are; "auto" goes by how they were made.
    negative_frequencies
        "auto" leaves those of a symmetric spectrum out, "drop" those of any; "raise" refuses, "keep" counts them.
    """
    return _descriptor("flatness", dim, fmin, fmax, spectral_format, negative_frequencies)


def spectral_entropy(  # noqa: PLR0917 - as DASCore's
    dim: str | None = None,
    fmin: float | None = None,
    fmax: float | None = None,
    normalize: bool = True,
    spectral_format: _Format = "auto",
    negative_frequencies: _Negative = "auto",
) -> SpectralDescriptor:
    """Return the entropy of each spectrum as a distribution over frequency.

    Parameters
    ----------
    dim
        The dim of frequencies, with or without its `ft_`; the only one without a name.
    fmin, fmax
        Frequencies that count, both ends included.
    normalize
        From 0 to 1, else in bits.
    spectral_format
        What the samples are; "auto" goes by how they were made.
    negative_frequencies
        "auto" leaves those of a symmetric spectrum out, "drop" those of any; "raise" refuses, "keep" counts them.
    """
    quantity = "entropy" if normalize else "entropy_in_bits"
    return _descriptor(quantity, dim, fmin, fmax, spectral_format, negative_frequencies)


def _descriptor(  # noqa: PLR0917 - what its callers have
    quantity: str, dim: str | None, fmin: float | None, fmax: float | None, spectral_format: str, negative: str
) -> SpectralDescriptor:
    return SpectralDescriptor(
        quantity=quantity,
        dim=dim,
        fmin=fmin,
        fmax=fmax,
        spectral_format=spectral_format,
        negative_frequencies=negative,
    )
