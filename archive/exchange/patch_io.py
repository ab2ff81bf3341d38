"""Ways out of a Patch: `patch.io`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archive.exchange import with_dascore, with_obspy, with_pandas

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd
    import xarray as xr

    from archive.patch import Patch

__all__ = ["PatchIO"]


class PatchIO:
    """Ways out of a Patch."""

    def __init__(self, patch: Patch) -> None:
        self._patch = patch

    def to_xarray(self) -> xr.DataArray:
        """Return the Patch as an xarray DataArray, samples unread, times exact."""
        from archive.xarray import patch_to_xarray

        return patch_to_xarray(self._patch)

    def to_dascore(self) -> Any:
        """Return the Patch as a `dascore.Patch`; see `archive.exchange.with_dascore`."""
        return with_dascore.to_dascore(self._patch)

    def to_obspy(self) -> Any:
        """Return the Patch as an `obspy.Stream`, a Trace for each channel; see `archive.exchange.with_obspy`."""
        return with_obspy.to_obspy(self._patch)

    def to_dataframe(self) -> pd.DataFrame:
        """Return the Patch as a table, its first dim down and its second across."""
        return with_pandas.to_dataframe(self._patch)

    def write(self, path: str | Path, format: str) -> Path:  # noqa: A002 - the word that users know
        """Write the Patch as one file of another format, and return its path.

        Parameters
        ----------
        path
            A file that is not there yet.
        format
            `"prodml"`, `"segy"`, `"miniseed"`, `"wav"`, `"netcdf"` or `"hdf5"`.

        Raises
        ------
        InvalidInput
            The format cannot hold what the Patch has, or there is such a file already.
        """
        from archive.export import write

        return write(self._patch, path, format)
