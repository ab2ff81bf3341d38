"""Every operation under its name: what Patches have as methods.

A new operation is a frozen value and the function that makes it, in one of the modules of this package,
and one line here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

from archive.operations import (
    aggregation,
    aligning,
    basic,
    calculus,
    coordinates,
    correlation,
    descriptors,
    detection,
    detrending,
    filtering,
    imaging,
    moving,
    muting,
    resampling,
    scaling,
    shaping,
    spectra,
    spectral_filters,
    unit_changes,
    windowed_spectra,
)
from archive.operations.coordinates import Rearranged
from archive.operations.method import Method
from archive.operations.sliding import Windows
from archive.operations.sliding import rolling as windows

if TYPE_CHECKING:
    from archive.operations.operation import Operation
    from archive.patch import Patch

__all__ = ["Operations", "names"]


class Operations(Rearranged):
    """The operations as methods; see `archive.operations` for them as values."""

    __slots__ = ()

    # -- units
    set_units = Method(unit_changes.set_units)
    convert_units = Method(unit_changes.convert_units)
    simplify_units = Method(unit_changes.simplify_units)
    # -- levels and trends
    demean = Method(scaling.demean)
    demedian = Method(scaling.demedian)
    normalize = Method(scaling.normalize)
    standardize = Method(scaling.standardize)
    detrend = Method(detrending.detrend)
    taper = Method(detrending.taper)
    taper_range = Method(detrending.taper_range)
    line_mute = Method(muting.line_mute)
    slope_mute = Method(muting.slope_mute)
    # -- filters
    pass_filter = Method(filtering.pass_filter)
    notch_filter = Method(filtering.notch_filter)
    median_filter = Method(moving.median_filter)
    gaussian_filter = Method(moving.gaussian_filter)
    savgol_filter = Method(moving.savgol_filter)
    sobel_filter = Method(moving.sobel_filter)
    wiener_filter = Method(moving.wiener_filter)
    hampel_filter = Method(moving.hampel_filter)
    slope_filter = Method(spectral_filters.slope_filter)
    whiten = Method(spectral_filters.whiten)
    # -- spectra
    dft = Method(spectra.dft)
    idft = Method(spectra.idft)
    stft = Method(windowed_spectra.stft)
    istft = Method(windowed_spectra.istft)
    spectrogram = Method(windowed_spectra.spectrogram)
    hilbert = Method(spectra.hilbert)
    envelope = Method(spectra.envelope)
    spectral_centroid = Method(descriptors.spectral_centroid)
    spectral_entropy = Method(descriptors.spectral_entropy)
    spectral_flatness = Method(descriptors.spectral_flatness)
    spectral_kurtosis = Method(descriptors.spectral_kurtosis)
    spectral_peak_amplitude = Method(descriptors.spectral_peak_amplitude)
    spectral_peak_frequency = Method(descriptors.spectral_peak_frequency)
    median_frequency = Method(descriptors.median_frequency)
    # -- derivatives and integrals
    differentiate = Method(calculus.differentiate)
    integrate = Method(calculus.integrate)
    velocity_to_strain_rate = Method(calculus.velocity_to_strain_rate)
    velocity_to_strain_rate_edgeless = Method(calculus.velocity_to_strain_rate_edgeless)
    radians_to_strain = Method(calculus.radians_to_strain)
    # -- detection
    stalta = Method(detection.stalta)
    kurtosis = Method(detection.kurtosis)
    fbe = Method(detection.fbe)
    correlate = Method(correlation.correlate)
    correlate_shift = Method(correlation.correlate_shift)
    phase_weighted_stack = Method(aligning.phase_weighted_stack)
    align_to_coord = Method(aligning.align_to_coord)
    # -- images of wave fields
    dispersion_phase_shift = Method(imaging.dispersion_phase_shift)
    tau_p = Method(imaging.tau_p)
    # -- sample by sample
    abs = Method(basic.abs_)
    real = Method(basic.real)
    imag = Method(basic.imag)
    conj = Method(basic.conj)
    angle = Method(basic.angle)
    fillna = Method(basic.fillna)
    where = Method(basic.where)
    full = Method(basic.full)
    # -- ends and order
    pad = Method(shaping.pad)
    roll = Method(shaping.roll)
    flip = Method(shaping.flip)
    dropna = Method(shaping.dropna)
    squeeze = Method(coordinates.squeeze)
    append_dims = Method(coordinates.append_dims)
    # -- another step
    decimate = Method(resampling.decimate)
    resample = Method(resampling.resample)
    interpolate = Method(resampling.interpolate)
    # -- many to one
    aggregate = Method(aggregation.aggregate)
    mean = Method(aggregation.mean)
    median = Method(aggregation.median)
    min = Method(aggregation.min_)
    max = Method(aggregation.max_)
    std = Method(aggregation.std)
    sum = Method(aggregation.sum_)
    any = Method(aggregation.any_)
    all = Method(aggregation.all_)
    first = Method(aggregation.first)
    last = Method(aggregation.last)

    def rolling(
        self,
        step: Any = None,
        center: bool = False,
        engine: Literal["numpy", "pandas"] | None = None,  # noqa: ARG002 - as DASCore's; one engine serves all
        samples: bool = False,
        overlap: Any = None,
        **dims: Any,
    ) -> Windows[Patch]:
        """Return moving windows: `patch.rolling(time=1).mean()`.

        Parameters
        ----------
        step
            From one window to the next; sample by sample without it.
        center
            A window belongs to the sample in its middle, else to its last one.
        engine
            Without effect.
        samples
            Lengths are numbers of samples.
        overlap
            How much of a window the next one shares, instead of the step; a percentage is one of the window.
        **dims
            One dim and the length of the window.
        """
        patch = cast("Patch", self)
        return windows(lambda made: made(patch), step, center, samples, overlap, **dims)


def rolling(
    step: Any = None,
    center: bool = False,
    engine: Literal["numpy", "pandas"] | None = None,  # noqa: ARG001 - as DASCore's; one engine serves all
    samples: bool = False,
    overlap: Any = None,
    **dims: Any,
) -> Windows[Operation]:
    """Return moving windows whose methods are operations: `rolling(time=1).mean()`; see `Patch.rolling`."""
    return windows(lambda made: made, step, center, samples, overlap, **dims)


def names() -> tuple[str, ...]:
    """Return the names of all operations."""
    return tuple(name for name, held in vars(Operations).items() if isinstance(held, Method) or name == "rolling")
