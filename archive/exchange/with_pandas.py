"""Tables of pandas: a line for each stamp, a column for each channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archive.coords import Coord, Coords, values_from_array
from archive.errors import InvalidInput
from archive.patch import Patch

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["from_dataframe", "to_dataframe"]

_TWO = 2


def to_dataframe(patch: Patch) -> pd.DataFrame:
    """Return a table: the first dim down, the second across, attributes and units in its `attrs`.

    Raises
    ------
    InvalidInput
        The Patch has more than two dims.
    """
    import pandas as pd

    if not 1 <= patch.ndim <= _TWO:
        raise InvalidInput(
            f"a table has two dims, not {', '.join(patch.dims) or 'none'}; select one of the others, and squeeze"
        )
    axes = [pd.Index(patch.get_array(name), name=name) for name in patch.dims]
    if patch.ndim == 1:
        table = pd.DataFrame({str(patch.attrs.get("data_type", "") or "data"): patch.data}, index=axes[0])
    else:
        table = pd.DataFrame(patch.data, index=axes[0], columns=axes[1])
    table.attrs = {**dict[Any, Any](patch.attrs), "units": {name: patch.coords[name].units for name in patch.dims}}
    return table


def from_dataframe(table: pd.DataFrame, dims: tuple[str, str] | None = None) -> Patch:
    """Return a Patch made of a table.

    Parameters
    ----------
    table
        Its index and columns are the coordinates; `attrs` as `to_dataframe` leaves them are taken over.
    dims
        Names of index and columns; as they are called without.

    Raises
    ------
    InvalidInput
        They have no names, or a Patch cannot hold them.
    """
    names: tuple[Any, ...] = tuple(dims or (table.index.name, table.columns.name))
    if None in names:
        raise InvalidInput(f"index and columns are called {names}; give their names, as in dims=('time', 'distance')")
    names = tuple(map(str, names))
    attrs: dict[str, Any] = {str(name): value for name, value in table.attrs.items()}
    units = attrs.pop("units", {})
    coords = {}
    for name, axis in zip(names, (table.index, table.columns), strict=True):
        values = values_from_array(axis.to_numpy())
        standard = "s" if values.dtype.kind == "M" else None
        coords[name] = Coord(dims=(name,), values=values, units=units.get(name, standard))
    return Patch(table.to_numpy(), Coords(names, coords), attrs=attrs)
