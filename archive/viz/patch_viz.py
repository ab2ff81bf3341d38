"""The pictures of a Patch: `patch.viz`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from archive.viz import fiber, spectra
from archive.viz import waterfall as waterfalls
from archive.viz import wiggle as wiggles
from archive.viz.drawing import pyplot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from archive.patch import Patch

__all__ = ["PatchViz"]

type _Scale = float | Sequence[float] | None
type _ScaleType = Literal["relative", "absolute"]


class PatchViz:
    """Pictures of one Patch.

    Each returns its axes. A `scale` is `None` for limits that leave out outliers (quartiles ± 1.5 times their
    distance). A number is, with `scale_type="relative"`, the mean ± that share of half the dynamic range, and with
    `"absolute"` ± that value. A pair is shares of the dynamic range, or the limits themselves.

    Raises
    ------
    InvalidInput
        The Patch has other dims, no samples, or the scale makes no sense.
    MissingExtra
        Matplotlib is not installed.
    """

    def __init__(self, patch: Patch) -> None:
        self._patch = patch

    def waterfall(
        self,
        ax: Axes | None = None,
        *,
        cmap: str | None = None,
        scale: _Scale = None,
        scale_type: _ScaleType = "relative",
        interpolation: str | None = "antialiased",
        log: bool = False,
        cbar: bool = True,
        show: bool = False,
    ) -> Axes:
        """Draw the samples as colours over time and distance; gaps are grey.

        Parameters
        ----------
        ax
            Where to draw; a new figure without.
        cmap
            Name of a Matplotlib colour map; by default one with a middle where samples have both signs.
        scale, scale_type
            See `PatchViz`.
        interpolation
            As Matplotlib's `imshow` takes it.
        log
            Show the common logarithm of the absolute values.
        cbar
            Draw a colour bar beside it.
        show
            Open a window.
        """
        made = waterfalls.waterfall(
            self._patch,
            ax,
            cmap=cmap,
            scale=scale,
            scale_type=scale_type,
            interpolation=interpolation,
            log=log,
            cbar=cbar,
        )
        return _shown(made, show=show)

    def wiggle(
        self,
        dim: str = "time",
        scale: float = 1,
        alpha: float | None = None,
        color: str = "black",
        *,
        shade: bool = False,
        ax: Axes | None = None,
        show: bool = False,
    ) -> Axes:
        """Draw each channel as a line, at most 150 of them, or one trace with its values.

        Parameters
        ----------
        dim
            What lines run along.
        scale
            Of the lines: at 1 they are as high as they are apart, on the average.
        alpha, color
            Of the lines.
        shade
            Fill what lies above each line's middle.
        ax, show
            As for `waterfall`.
        """
        made = wiggles.wiggle(self._patch, dim, scale=scale, alpha=alpha, color=color, shade=shade, ax=ax)
        return _shown(made, show=show)

    def spectrogram(
        self,
        ax: Axes | None = None,
        *,
        dim: str = "time",
        aggr_domain: Literal["time", "frequency"] = "frequency",
        cmap: str | None = None,
        scale: _Scale = None,
        scale_type: _ScaleType = "relative",
        log: bool = False,
        show: bool = False,
        **options: Any,
    ) -> Axes:
        """Draw the power over frequency and time, averaged over channels.

        Parameters
        ----------
        dim
            The dim of the spectrogram.
        aggr_domain
            Whether channels are averaged as samples (`"time"`) or as power (`"frequency"`).
        cmap, scale, scale_type, log, ax, show
            As for `waterfall`.
        **options
            For `scipy.signal.spectrogram`: `nperseg`, `noverlap`, `window`, ...
        """
        made = spectra.spectrogram(
            self._patch,
            ax,
            dim=dim,
            aggr_domain=aggr_domain,
            cmap=cmap,
            scale=scale,
            scale_type=scale_type,
            log=log,
            options=options,
        )
        return _shown(made, show=show)

    def specplot(
        self,
        ax: Axes | None = None,
        *,
        cmap: str | None = None,
        scale: _Scale = (0, 1),
        scale_type: _ScaleType = "relative",
        interpolation: str | None = "bilinear",
        log: bool = False,
        cbar: bool = True,
        show: bool = False,
    ) -> Axes:
        """Draw what a Fourier transform has made, its magnitude where it is complex.

        Parameters
        ----------
        log
            Show frequencies on a logarithmic axis: the positive ones of time, those of both signs otherwise.
        ax, cmap, scale, scale_type, interpolation, cbar, show
            As for `waterfall`.
        """
        made = spectra.specplot(
            self._patch,
            ax,
            cmap=cmap,
            scale=scale,
            scale_type=scale_type,
            interpolation=interpolation,
            log=log,
            cbar=cbar,
        )
        return _shown(made, show=show)

    def map_fiber(
        self,
        x: NDArray[Any] | str = "distance",
        y: NDArray[Any] | str = "distance",
        color: NDArray[Any] | str = "distance",
        *,
        ax: Axes | None = None,
        cmap: str | None = "cividis_r",
        scale: _Scale = None,
        scale_type: _ScaleType = "relative",
        show: bool = False,
    ) -> Axes:
        """Draw where the channels lie, coloured by a coordinate; no sample is read.

        Parameters
        ----------
        x, y, color
            Names of coordinates, or values for each channel.
        cmap
            Name of a Matplotlib colour map; `None` leaves the colour bar out.
        ax, scale, scale_type, show
            As for `waterfall`; all values by default.
        """
        made = fiber.map_fiber(self._patch, x, y, color, ax=ax, cmap=cmap, scale=scale, scale_type=scale_type)
        return _shown(made, show=show)


def _shown(ax: Axes, *, show: bool) -> Axes:
    if show:
        pyplot().show()
    return ax
