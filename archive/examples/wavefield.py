"""A wavefield along a fibre, the same for every window that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Acquisition", "Earthquake", "Train"]

# Two noise tiles of these lengths, laid end to end, repeat together after 12 million samples only.
_TILE_SAMPLES = (4096, 3125)
_BLOCK = 1 << 18  # samples worked on at once: what a core's cache holds
_OVERSAMPLING = 8  # of the earthquake's wavelets, so that the nearest value is near enough
_AXLES = (0.0, 2.5, 17.0, 19.5, 26.0, 28.5, 43.0, 45.5, 52.0, 54.5, 69.0, 71.5)  # m behind the first
_RUMBLE_REACH = 60.0  # m, where the noise of a train has fallen to 1/e
_RUMBLE_LENGTHS = 4  # of them, beyond which nothing is left
_BOW_TABLE_STEP = 0.05  # m


@dataclass(frozen=True, slots=True, kw_only=True)
class Train:
    """A train along the fibre: it bows the ground under each axle, and rumbles.

    Parameters
    ----------
    start
        When its first axle is at distance 0 (or at the far end, if it is slower than nothing), s.
    speed
        m/s along the fibre.
    strength
        Of the bow under one axle, in counts.
    """

    start: float
    speed: float = 30.0
    strength: float = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Earthquake:
    """A local earthquake: P, then S, both with a coda, moving along the fibre.

    Parameters
    ----------
    start
        When P reaches distance 0, s.
    delay
        From P to S there, s; eight kilometres of distance for each second.
    p_velocity, s_velocity
        Apparent velocities along the fibre, m/s.
    strength
        Peak of S, in counts.
    """

    start: float
    delay: float = 4.0
    p_velocity: float = 6000.0
    s_velocity: float = 3400.0
    strength: float = 2500.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """What one instrument would measure: a pure function of sample number and channel.

    Parameters
    ----------
    channels
        Number of channels.
    spacing
        Of the channels, m.
    rate
        Samples a second.
    seed
        Of the noise; the same acquisition gives the same samples anywhere.
    noise
        Standard deviation of the background on a quiet channel, in counts.
    trains, earthquakes
        What happens, in seconds from sample 0.
    """

    channels: int = 1152
    spacing: float = 1.0
    rate: float = 1000.0
    seed: int = 1
    noise: float = 110.0
    trains: tuple[Train, ...] = ()
    earthquakes: tuple[Earthquake, ...] = ()

    def samples(self, start: int, stop: int) -> NDArray[np.int16]:
        """Return the samples `start` to `stop`, shape (stop - start, channels), in counts."""
        out = np.empty((stop - start, self.channels), np.int16)
        rows = max(_BLOCK // self.channels, 1)
        buffer = np.empty((rows, self.channels), np.float32)
        for first in range(start, stop, rows):
            last = min(first + rows, stop)
            field = buffer[: last - first]
            self._add_background(first, field)
            for train in self.trains:
                self._add_train(train, first, field)
            for earthquake in self.earthquakes:
                self._add_earthquake(earthquake, first, field)
            np.rint(field, out=field)
            np.clip(field, -32768, 32767, out=field)
            out[first - start : last - start] = field
        return out

    def _add_background(self, first: int, field: NDArray[np.float32]) -> None:
        """Set the field to the noise: two periodic tiles, which repeat together only after hours."""
        short, long = (self._tile(number) for number in range(2))
        np.add(short(first, len(field)), long(first, len(field)), out=field)

    def _tile(self, number: int) -> _Tile:
        return _noise_tile(_TILE_SAMPLES[number], self.channels, self.rate, self.noise, self.seed + number)

    def _add_train(self, train: Train, first: int, field: NDArray[np.float32]) -> None:
        rows = slice(first, first + len(field))
        length = self.channels * self.spacing
        seconds = np.arange(rows.start, rows.stop, dtype=np.float64) / self.rate - train.start
        head = seconds * train.speed + (length if train.speed < 0 else 0.0)
        reach = _RUMBLE_LENGTHS * _RUMBLE_REACH + _AXLES[-1]
        near = slice(
            max(int((head.min() - reach) / self.spacing), 0),
            min(int((head.max() + reach) / self.spacing) + 1, self.channels),
        )
        if near.start >= near.stop:
            return
        where = np.arange(near.start, near.stop, dtype=np.float32) * np.float32(self.spacing)
        # Metres behind the first axle; the tables are gathered from, as sines and exponentials are dear.
        behind = (head[:, None] - where) * np.sign(train.speed)
        bow, rumble = _train_tables(reach)
        index = np.clip((behind + reach) / _BOW_TABLE_STEP, 0, len(bow) - 1).astype(np.int32)
        part = field[:, near]
        part *= 1 + rumble[index]
        part += bow[index] * np.float32(train.strength)

    def _add_earthquake(self, earthquake: Earthquake, first: int, field: NDArray[np.float32]) -> None:
        where = np.arange(self.channels) * self.spacing
        phases = (
            (earthquake.start, earthquake.p_velocity, 0.3, 11),
            (earthquake.start + earthquake.delay, earthquake.s_velocity, 1.0, 12),
        )
        for start, velocity, share, seed in phases:
            arrival = (start + where / velocity) * self.rate  # in samples
            trace = _wavelet(self.rate, seed)
            last = first + len(field)
            if last <= arrival.min() or first >= arrival.max() + len(trace) / _OVERSAMPLING:
                continue
            since = np.arange(first, last)[:, None] - arrival
            index = np.clip(since * _OVERSAMPLING, 0, len(trace) - 1).astype(np.int32)
            site = _site_response(self.channels, self.seed) * np.float32(earthquake.strength * share)
            field += trace[index] * site


class _Tile:
    """Noise without seams: the samples are those of an endless repetition of the tile."""

    def __init__(self, samples: NDArray[np.float32]) -> None:
        self._period = len(samples)
        self._samples = samples

    def __call__(self, first: int, count: int) -> NDArray[np.float32]:
        begin = first % self._period
        if begin + count <= self._period:
            return self._samples[begin : begin + count]
        return self._samples.take(range(begin, begin + count), axis=0, mode="wrap")


@lru_cache(maxsize=8)
def _noise_tile(samples: int, channels: int, rate: float, sigma: float, seed: int) -> _Tile:
    """Return noise that is red in time, smooth over a gauge length, and louder in places."""
    random = np.random.default_rng(seed)
    white = random.standard_normal((samples, channels), dtype=np.float32)
    spectrum = np.fft.rfft(white, axis=0)
    hertz = np.fft.rfftfreq(samples, 1 / rate)[:, None]
    # The instrument's floor, which is white, under the ground's noise, which falls with frequency.
    shape = 1 + 6 / (1 + (hertz / 8) ** 2) ** 0.5
    shape[hertz < 0.5] = 0  # noqa: PLR2004 - Hz; drift is left to the instrument
    noise = np.fft.irfft(spectrum * shape.astype(np.float32), n=samples, axis=0).astype(np.float32)
    noise = (noise + np.roll(noise, 1, axis=1) + np.roll(noise, 2, axis=1)) / np.float32(3**0.5)
    loud = _site_response(channels, seed=0) ** 2
    noise *= loud * np.float32(sigma / 2**0.5 / noise.std())
    return _Tile(noise)


@lru_cache(maxsize=8)
def _site_response(channels: int, seed: int) -> NDArray[np.float32]:
    """Return how loud each channel is, around 1: coupling changes along a fibre."""
    random = np.random.default_rng((seed, channels))
    smooth = np.convolve(random.standard_normal(channels + 62), np.hanning(63), "valid")
    response: NDArray[np.float32] = np.exp(0.25 * smooth / smooth.std()).astype(np.float32)
    return response


@lru_cache(maxsize=8)
def _train_tables(reach: float) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return bow and loudness by the distance behind the first axle, from `-reach` to `reach`."""
    behind = np.arange(-reach, reach, _BOW_TABLE_STEP)
    axles = (behind[:, None] - np.array(_AXLES)) / 4
    # A load on a beam on an elastic bed: down under it, a little up on both sides of it.
    bow = -((1 - axles**2) * np.exp(-(axles**2) / 2)).sum(axis=1)
    outside = np.maximum(np.maximum(-behind, behind - _AXLES[-1]), 0)
    rumble = 8 * np.maximum(np.exp(-outside / _RUMBLE_REACH) - np.exp(-_RUMBLE_LENGTHS), 0)
    rumble[[0, -1]] = bow[[0, -1]] = 0  # nothing beyond, so that no window shows where its block ends
    return bow.astype(np.float32), rumble.astype(np.float32)


@lru_cache(maxsize=8)
def _wavelet(rate: float, seed: int) -> NDArray[np.float32]:
    """Return an onset and its coda, 20 s long, oversampled; it begins and ends at 0."""
    count = int(20 * rate * _OVERSAMPLING)
    seconds = np.arange(count) / (rate * _OVERSAMPLING)
    random = np.random.default_rng(seed)
    hertz = np.fft.rfftfreq(count, 1 / (rate * _OVERSAMPLING))
    spectrum = np.exp(1j * random.uniform(0, 2 * np.pi, len(hertz))) * np.exp(-(((hertz - 9) / 5) ** 2))
    trace = np.fft.irfft(spectrum, n=count)
    onset, ending = np.minimum(seconds / 0.08, 1), np.minimum((seconds[-1] - seconds) / 0.1, 1)
    trace *= onset * np.exp(-seconds / 2.5) * ending
    wavelet: NDArray[np.float32] = (trace / np.abs(trace).max()).astype(np.float32)
    return wavelet
