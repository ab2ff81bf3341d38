"""Spectra of windows that follow each other, and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from archive.coords import Coord, Coords, Explicit, TimeAxis, values_from_array
from archive.errors import InvalidInput
from archive.operations.operation import WHOLE, Operation, Part, Reach, one_dim, operation
from archive.operations.sliding import window_and_step
from archive.operations.spectra import spectral_units, times_units
from archive.units import get_quantity

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from archive.operations.outline import Outline

__all__ = ["Istft", "Spectrogram", "Stft", "istft", "spectrogram", "stft"]


@operation
class Spectrogram(Operation):
    """The power of windows that follow each other, as `scipy.signal.spectrogram` has it."""

    name: ClassVar[str] = "spectrogram"
    dim: str
    options: tuple[tuple[str, Any], ...]

    def _of(self, samples: NDArray[Any], given: Outline) -> Any:
        from scipy.signal import spectrogram as of_scipy

        axis = given.axis(self.dim)
        return of_scipy(samples, fs=axis.rate, axis=axis.number, **dict(self.options))

    def out(self, given: Outline) -> Outline:
        """Return the outline with frequencies in the dim's place and the windows' middles last."""
        axis = given.axis(self.dim)
        if given.dtype.kind == "c":
            raise InvalidInput("spectrogram needs real samples")
        if not axis.size:
            raise InvalidInput(f"spectrogram({self.dim!r}): there are no samples along it")
        one = np.zeros([axis.size if dim == self.dim else 1 for dim in given.dims], dtype=given.dtype)
        hertz, seconds, power = self._of(one, given)
        name, old = f"ft_{self.dim}", axis.coord
        frequencies = Coord(dims=(name,), values=values_from_array(hertz), units=spectral_units(axis.units))
        if isinstance(old.values, TimeAxis):
            first = int(old.min().astype("datetime64[ns]").astype(np.int64))
            middles: Any = TimeAxis.from_regular(first + np.rint(seconds * 1e9).astype(np.int64))
        else:
            middles = values_from_array(seconds + float(old.min()))
        changed = given.with_dim(self.dim, name, frequencies)
        held = {**changed.coords, self.dim: Coord(dims=(self.dim,), values=middles, units=old.units)}
        changed = changed.with_coords(Coords((*changed.dims, self.dim), held)).with_attrs(data_type="fourier_transform")
        if given.units is not None and axis.units:
            changed = changed.with_units(times_units(given.units, [axis.units], 1))
        return changed.typed(power.dtype)

    def reach(self, given: Outline) -> Mapping[str, Reach]:  # noqa: ARG002 - always the same dim
        """Return that every sample of the dim is needed."""
        return {self.dim: WHOLE}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the power."""
        return np.asarray(self._of(samples, part.whole)[2])


def spectrogram(dim: str = "time", **options: Any) -> Spectrogram:
    """Return the power over frequency and the middles of windows along a dim; `stft` keeps the phase too.

    Parameters
    ----------
    dim
        The dim.
    **options
        For `scipy.signal.spectrogram`: `nperseg`, `noverlap`, `window`, ...
    """
    return Spectrogram(dim=dim, options=tuple(sorted(options.items())))


@operation
class Stft(Operation):
    """Spectra of windows that follow each other."""

    name: ClassVar[str] = "stft"
    dim: str
    window: Any
    taper_window: Any
    overlap: Any
    samples: bool
    detrend: bool

    def _transform(self, given: Outline) -> Any:
        from scipy.signal import ShortTimeFFT
        from scipy.signal.windows import get_window

        axis = given.axis(self.dim)
        overlap = 0 if self.overlap is None else self.overlap
        size, hop = window_and_step(axis, self.window, None, overlap, samples=self.samples or self.overlap is None)
        if self.overlap is None:
            size, hop = window_and_step(axis, self.window, self.window, None, samples=self.samples)
        taper = self.taper_window
        taper = taper if isinstance(taper, np.ndarray) else get_window(taper, size, fftbins=False)
        mode: Any = "centered" if given.dtype.kind == "c" else "onesided"
        return ShortTimeFFT(win=taper, hop=hop, fs=axis.rate, fft_mode=mode, mfft=size)

    def out(self, given: Outline) -> Outline:
        """Return the outline with frequencies in the dim's place and the windows' times last."""
        axis, transform = given.axis(self.dim), self._transform(given)
        name, old = f"ft_{self.dim}", axis.coord
        frequencies = Coord(dims=(name,), values=Explicit(transform.f), units=spectral_units(axis.units))
        changed = given.with_dim(self.dim, name, frequencies)
        seconds = transform.t(axis.size)
        if isinstance(old.values, TimeAxis):
            first = int(old.to_numpy().min().astype("datetime64[ns]").astype(np.int64))
            stamps = TimeAxis.from_regular(first + np.rint(seconds * 1e9).astype(np.int64))
            windows = Coord(dims=(self.dim,), values=stamps, units=old.units)
        else:
            windows = Coord(dims=(self.dim,), values=Explicit(seconds + float(old.min())), units=old.units)
        held = {
            **changed.coords,
            self.dim: windows,
            "_stft_window": Coord(dims=(), values=Explicit(np.asarray(transform.win))),
            "_stft_old_coord": Coord(dims=(), values=old.values, units=old.units),
        }
        changed = changed.with_coords(Coords((*changed.dims, self.dim), held))
        changed = changed.with_attrs(
            data_type="fourier_transform",
            _stft_time_dimension=self.dim,
            _stft_hop=int(transform.hop),
            _stft_mfft=int(transform.mfft),
            _stft_detrended=self.detrend,
            _stft_mode=str(transform.fft_mode),
            _pre_stft_data_type=given.attrs.get("data_type"),
        )
        if given.units is not None and axis.units:
            changed = changed.with_units(times_units(given.units, [axis.units], 1))
        return changed.typed(np.complex128)

    def reach(self, given: Outline) -> Mapping[str, Reach]:  # noqa: ARG002 - always the same dim
        """Return that every sample of the dim is needed."""
        return {self.dim: WHOLE}

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the spectra."""
        transform, axis = self._transform(part.whole), part.whole.axis(self.dim)
        wide = samples.astype(np.result_type(samples.dtype, np.float64), copy=False)
        if self.detrend:
            return np.asarray(transform.stft_detrend(wide, detr="linear", axis=axis.number) * abs(axis.step))
        return np.asarray(transform.stft(wide, axis=axis.number) * abs(axis.step))


def stft(
    taper_window: Any = "hann",
    overlap: Any = "50 percent",
    samples: bool = False,
    detrend: bool = False,
    **dims: Any,
) -> Stft:
    """Transform windows that follow each other: frequencies take the dim's place, the windows' own come last.

    Parameters
    ----------
    taper_window
        Shape of the windows, as SciPy says it, or an array.
    overlap
        How much of a window the next one shares: a length, or a percentage of the window; `None` for
        nothing.
    samples
        Lengths are numbers of samples.
    detrend
        Take a line from each window first; there is then no way back.
    **dims
        One dim and the length of the window.

    References
    ----------
    `scipy.signal.ShortTimeFFT`.
    """
    dim, window = one_dim(dims, "stft")
    overlap = get_quantity(overlap) if isinstance(overlap, str) else overlap
    return Stft(dim=dim, window=window, taper_window=taper_window, overlap=overlap, samples=samples, detrend=detrend)


@operation
class Istft(Operation):
    """The way back from spectra of windows."""

    name: ClassVar[str] = "istft"

    def _dims(self, given: Outline) -> tuple[str, str]:
        dim = given.attrs.get("_stft_time_dimension")
        if dim is None or dim not in given.dims or "_stft_old_coord" not in given.coords:
            raise InvalidInput("istft needs what stft has made")
        if given.attrs.get("_stft_detrended"):
            raise InvalidInput("istft cannot go back from stft(detrend=True): the lines are lost")
        return str(dim), f"ft_{dim}"

    def out(self, given: Outline) -> Outline:
        """Return the outline as it was before."""
        dim, name = self._dims(given)
        old = given.coords["_stft_old_coord"]
        kept = {
            key: coord
            for key, coord in given.coords.items()
            if not {dim, name} & set(coord.dims) and not key.startswith("_stft")
        }
        dims = tuple(dim if one == name else one for one in given.dims if one != dim)
        changed = given.with_coords(Coords(dims, {**kept, dim: Coord(dims=(dim,), values=old.values, units=old.units)}))
        if given.units is not None and old.units:
            changed = changed.with_units(times_units(given.units, [old.units], -1))
        names = [key for key in given.attrs if key.startswith(("_stft", "_pre_stft"))]
        changed = changed.with_attrs(**dict.fromkeys(names), data_type=given.attrs.get("_pre_stft_data_type"))
        return changed.typed(np.complex128 if given.attrs["_stft_mode"] == "centered" else np.float64)

    def reach(self, given: Outline) -> Mapping[str, Reach]:
        """Return that every window is needed."""
        return dict.fromkeys(self._dims(given), WHOLE)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples."""
        from scipy.signal import ShortTimeFFT

        given = part.whole
        dim, name = self._dims(given)
        axis = self.out(given).axis(dim)
        transform = ShortTimeFFT(
            win=given.coords["_stft_window"].to_numpy(),
            hop=given.attrs["_stft_hop"],
            fs=axis.rate,
            fft_mode=given.attrs["_stft_mode"],
            mfft=given.attrs["_stft_mfft"],
        )
        frequencies, windows = given.axis(name).number, given.axis(dim).number
        back = transform.istft(samples / abs(axis.step), k1=axis.size, f_axis=frequencies, t_axis=windows)
        return np.asarray(back)


def istft() -> Istft:
    """Go back from what `stft` has made.

    Raises
    ------
    InvalidInput
        The Patch is none, or its windows were detrended.
    """
    return Istft()
