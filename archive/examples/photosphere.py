"""The light of a small piece of the photosphere: two lines of iron over granules and a pore with a magnetic field.

References
----------
Landi Degl'Innocenti and Landolfi 2004, Polarization in Spectral Lines, sections 9.6 (weak fields) and 3.3
(Landé factors).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["spectra"]

_CONTINUUM = 20000.0  # counts
_NOISE = 12.0  # counts
_WIDTH = 0.006  # nm, of a line: temperature, turbulence and instrument together
_LIGHT = 299792.458  # km/s
_SPLITTING = 4.67e-12  # of a line, nm per nm² and G, for a Landé factor of 1
_FIELD, _TILT, _AZIMUTH = 800.0, np.radians(35.0), np.radians(20.0)  # G in the pore's middle; to the line of sight
_PORE = 2.5  # arcsec, its radius
_GRANULE = 1.3  # arcsec
_SEED = 6302


@dataclass(frozen=True, slots=True)
class _Line:
    centre: float  # nm in air
    depth: float
    lande: float  # effective, for circular polarisation
    second: float  # for linear polarisation


_LINES = (_Line(630.1501, 0.62, 1.67, 2.52), _Line(630.2494, 0.55, 2.5, 6.25))


def spectra(
    wavelengths: NDArray[np.floating], west: NDArray[np.floating], north: NDArray[np.floating]
) -> NDArray[np.int16]:
    """Return Stokes I, Q, U and V in counts, shape (4, west, wavelengths, north); the same at each call.

    Parameters
    ----------
    wavelengths
        nm.
    west, north
        Places on the sky from the middle of the pore, arcsec.
    """
    random = np.random.default_rng(_SEED)
    granules = _granules(random, west, north)[:, None, :]
    inside = np.exp(-((np.hypot(west[:, None], north) / _PORE) ** 4))[:, None, :]
    light = _CONTINUUM * (1 + 0.1 * granules * (1 - inside)) * (1 - 0.55 * inside)
    shift = 1 - 1.2 * granules * (1 - inside) / _LIGHT  # bright granules rise: towards the blue
    along, across = _FIELD * inside * np.cos(_TILT), _FIELD * inside * np.sin(_TILT)
    out = np.zeros((4, *np.broadcast_shapes(light.shape, (1, len(wavelengths), 1))))
    out[0] = light
    for line in _LINES:
        z = (wavelengths[None, :, None] - line.centre * shift) / _WIDTH
        depth = light * line.depth * np.exp(-(z**2) / 2)
        splitting = _SPLITTING * line.centre**2  # nm per G
        linear = -0.25 * line.second * (splitting * across) ** 2 * depth * (1 - z**2) / _WIDTH**2
        out[0] -= depth
        out[1] += linear * np.cos(2 * _AZIMUTH)
        out[2] += linear * np.sin(2 * _AZIMUTH)
        out[3] -= line.lande * splitting * along * depth * z / _WIDTH
    out += random.normal(0, _NOISE, out.shape)
    return np.rint(out).astype(np.int16)


def _granules(
    random: np.random.Generator, west: NDArray[np.floating], north: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return how bright each place is, shape (west, north), mean 0 and deviation 1: waves of all directions."""
    angle, phase = random.uniform(0, 2 * np.pi, (2, 60))
    number = 2 * np.pi / (_GRANULE * random.uniform(0.8, 2.0, 60))
    place = np.cos(angle) * west[:, None, None] + np.sin(angle) * north[:, None]
    waves = np.cos(number * place + phase).sum(axis=-1)
    return np.asarray((waves - waves.mean()) / waves.std())
