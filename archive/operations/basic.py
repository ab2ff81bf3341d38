"""Sample by sample: parts of complex numbers, filling, choosing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from archive.errors import InvalidInput
from archive.operations.operation import Operation, Part, operation
from archive.operations.sample_types import floating, real_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from archive.lazy import Window
    from archive.operations.outline import Outline

__all__ = ["Fillna", "Full", "Where", "abs_", "angle", "conj", "fillna", "full", "imag", "real", "where"]


@operation
class Abs(Operation):
    """Sizes."""

    name: ClassVar[str] = "abs"

    def out(self, given: Outline) -> Outline:
        """Return the outline with real samples."""
        return given.typed(real_of(given.dtype))

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:  # noqa: ARG002 - sample by sample
        """Return the sizes."""
        return np.asarray(np.abs(samples))


def abs_() -> Abs:
    """Return the absolute values."""
    return Abs()


@operation
class Real(Operation):
    """Real parts."""

    name: ClassVar[str] = "real"

    def out(self, given: Outline) -> Outline:
        """Return the outline with real samples."""
        return given.typed(real_of(given.dtype))

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:  # noqa: ARG002 - sample by sample
        """Return the real parts."""
        return np.asarray(samples.real)


def real() -> Real:
    """Return the real parts."""
    return Real()


@operation
class Imag(Operation):
    """Imaginary parts."""

    name: ClassVar[str] = "imag"

    def out(self, given: Outline) -> Outline:
        """Return the outline with real samples."""
        return given.typed(real_of(given.dtype))

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:  # noqa: ARG002 - sample by sample
        """Return the imaginary parts."""
        return np.asarray(samples.imag)


def imag() -> Imag:
    """Return the imaginary parts."""
    return Imag()


@operation
class Conj(Operation):
    """Complex conjugates."""

    name: ClassVar[str] = "conj"

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:  # noqa: ARG002 - sample by sample
        """Return the conjugates."""
        return np.asarray(np.conj(samples))


def conj() -> Conj:
    """Return the complex conjugates."""
    return Conj()


@operation
class Angle(Operation):
    """Angles of complex numbers."""

    name: ClassVar[str] = "angle"

    def out(self, given: Outline) -> Outline:
        """Return the outline in radians."""
        return given.typed(floating(real_of(given.dtype))).with_attrs(data_units="radian", data_type=None)

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:  # noqa: ARG002 - sample by sample
        """Return the angles."""
        return np.asarray(np.angle(samples))


def angle() -> Angle:
    """Return the angles of complex samples in radians."""
    return Angle()


@operation
class Fillna(Operation):
    """A value instead of what is no number."""

    name: ClassVar[str] = "fillna"
    value: Any
    include_inf: bool

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:  # noqa: ARG002 - sample by sample
        """Return the samples, filled."""
        if samples.dtype.kind not in "fc":
            return samples
        missing = ~np.isfinite(samples) if self.include_inf else np.isnan(samples)
        filled = samples.copy()
        filled[missing] = self.value
        return filled


def fillna(value: Any, include_inf: bool = True) -> Fillna:
    """Replace NaN by a value.

    Parameters
    ----------
    value
        The value, in units of the samples.
    include_inf
        Infinite samples are replaced as well.
    """
    return Fillna(value=value, include_inf=include_inf)


@operation
class Full(Operation):
    """One value everywhere."""

    name: ClassVar[str] = "full"
    fill_value: Any

    def out(self, given: Outline) -> Outline:
        """Return the outline with the type of the value."""
        return given.typed(np.asarray(self.fill_value).dtype).with_attrs(data_type=None)

    def source(self, given: Outline, target: Window, *, found: bool = False) -> Window:  # noqa: ARG002 - reads nothing
        """Return that no sample is needed."""
        return tuple(slice(0, 0) for _ in given.dims)

    def block(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:  # noqa: ARG002 - they do not matter
        """Return the value as often as it is wanted."""
        return np.full([wanted.stop - wanted.start for wanted in part.target], self.fill_value)


def full(fill_value: Any) -> Full:
    """Replace every sample by one value.

    Parameters
    ----------
    fill_value
        The value; its type becomes that of the samples.
    """
    return Full(fill_value=fill_value)


@operation
class Where(Operation):
    """Samples where a condition holds, else others."""

    name: ClassVar[str] = "where"
    cond: Any
    other: Any

    def out(self, given: Outline) -> Outline:
        """Return the outline with a type that holds both."""
        if not _is_patch(self.cond) and np.asarray(self.cond).dtype != np.bool_:
            raise InvalidInput(f"where needs a condition of booleans, not of {np.asarray(self.cond).dtype}")
        if _is_patch(self.cond) and self.cond.dtype != np.bool_:
            raise InvalidInput(f"where needs a condition of booleans, not of {self.cond.dtype}")
        everything = [slice(0, 1) if length else slice(0, 0) for length in given.shape]
        other = _part(self.other, given, tuple(everything))
        return given.typed(np.result_type(given.dtype, other))

    def compute(self, samples: NDArray[Any], part: Part) -> NDArray[Any]:
        """Return the samples that are chosen."""
        cond, other = (_part(value, part.whole, part.source) for value in (self.cond, self.other))
        return np.where(cond, samples, other).astype(self.out(part.whole).dtype, copy=False)


def where(cond: Any, other: Any = np.nan) -> Where:
    """Keep samples where a condition holds, and take others elsewhere.

    Parameters
    ----------
    cond
        Booleans: an array that broadcasts to the samples' shape, or a Patch with the same coordinates.
    other
        A number, an array or a Patch.

    Raises
    ------
    InvalidInput
        The condition is not boolean, or shapes or coordinates do not fit.
    """
    return Where(cond=cond, other=other)


def _is_patch(value: Any) -> bool:
    return hasattr(value, "dims") and hasattr(value, "get_axis")


def _part(value: Any, given: Outline, window: Window) -> Any:
    """Return the part of an operand that belongs to a window of the whole; plain numbers as they are."""
    if _is_patch(value):
        if set(value.dims) != set(given.dims) or value.transpose(*given.dims).coords != given.coords:
            raise InvalidInput("where needs Patches with the same coordinates: select what they share first")
        return value.transpose(*given.dims).data[window]
    if isinstance(value, (bool, int, float, complex)):
        return value
    array = np.asarray(value)
    try:
        return np.broadcast_to(array, given.shape)[window]
    except ValueError as error:
        raise InvalidInput(f"an array of shape {array.shape} does not fit samples of shape {given.shape}") from error
