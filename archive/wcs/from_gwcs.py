"""A gWCS to steps in plain numbers: every model that DKIST writes; of any other, the gWCS itself is used.

Units are resolved here: each model's parameters become plain factors, and what comes out is in the units
of the world axes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import astropy.units as u
import numpy as np
from astropy.modeling import CompoundModel
from astropy.modeling import models as m

from archive.wcs.axes import SkyFrame, WorldAxis
from archive.wcs.sky import Sky, VaryingSky
from archive.wcs.steps import Affine, Beside, Chain, Coupled, Line, Pick, Step
from archive.wcs.tables import Ravel, Table, Unravel
from archive.wcs.value import WorldCoordinates

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["UnknownTransform", "from_gwcs"]

type Units = list[Any]  # None: without a unit


class UnknownTransform(Exception):
    """The gWCS has a part that is not known here; it is to be evaluated by gWCS itself."""


def from_gwcs(gwcs: Any) -> WorldCoordinates:
    """Return what a gWCS says, as a value that needs no gWCS.

    Raises
    ------
    UnknownTransform
        It has a model or a frame that is not known here.
    """
    if gwcs.bounding_box is not None:
        raise UnknownTransform("a bounding box")
    transform = gwcs.forward_transform
    pixel = list(gwcs.input_frame.unit)
    step, units = _step(transform, pixel if transform.uses_quantity else [None] * len(pixel))
    axes, sky, epoch = _frames(gwcs)
    lines = [Line(_factor(have, u.Unit(axis.unit))) for have, axis in zip(units, axes, strict=True)]
    chained = step.steps if isinstance(step, Chain) else (step,)
    if any(line.slope != 1 for line in lines):
        chained = (*chained, Beside(tuple(lines)))
    return WorldCoordinates(
        pixel_names=tuple(gwcs.pixel_axis_names),
        axes=tuple(axes),
        sky=sky,
        epoch=epoch,
        forward=Chain(chained),
    )


def _factor(have: Any, want: Any) -> float:
    """Return what numbers are multiplied with; one, where they have no unit."""
    return 1.0 if have is None else float(have.to(want))


# -- models ---------------------------------------------------------------------------------------------------


def _step(model: Any, units: Units) -> tuple[Step, Units]:
    """Return a model as a step, and the units of what comes out."""
    if model.has_user_inverse:
        raise UnknownTransform("an inverse of its own")
    if isinstance(model, CompoundModel):
        return _compound(model, units)
    for kinds, make in _MODELS:
        if type(model).__name__ in kinds:
            step: tuple[Step, Units] = make(model, units)
            return step
    raise UnknownTransform(type(model).__name__)


def _compound(model: Any, units: Units) -> tuple[Step, Units]:
    if model.op == "|":
        return _chain(_flat(model), units)
    if model.op != "&":
        raise UnknownTransform(f"models joined by {model.op}")
    shared = getattr(model, "shared_inputs", 0)
    left, left_units = _step(model.left, units[: model.left.n_inputs])
    right, right_units = _step(model.right, units[-model.right.n_inputs :])
    if shared:
        return Coupled(left, right, shared), left_units + right_units
    parts = [*(left.steps if isinstance(left, Beside) else (left,))]
    parts += right.steps if isinstance(right, Beside) else (right,)
    return Beside(tuple(parts)), left_units + right_units


def _flat(model: Any) -> list[Any]:
    """Return the models of a pipe, in order."""
    if isinstance(model, CompoundModel) and model.op == "|" and not model.has_user_inverse:
        return _flat(model.left) + _flat(model.right)
    return [model]


def _chain(models: Sequence[Any], units: Units) -> tuple[Step, Units]:
    steps: list[Step] = []
    rest = list(models)
    while rest:
        model = rest.pop(0)
        if type(model) is m.Pix2Sky_TAN:
            if not rest or type(rest[0]) is not m.RotateNative2Celestial:
                raise UnknownTransform("a projection without a rotation")
            step, units = _sky(rest.pop(0), units)
        else:
            step, units = _step(model, units)
        steps.extend(step.steps if isinstance(step, Chain) else (step,))
    return Chain(tuple(steps)), units


def _sky(rotation: Any, units: Units) -> tuple[Step, Units]:
    longitude, latitude, pole = (_number(getattr(rotation, name), u.deg) for name in ("lon", "lat", "lon_pole"))
    factors = [_factor(unit, u.deg) for unit in units]
    step = Sky(longitude, latitude, pole)
    out: Units = [None, None] if units[0] is None else [u.deg, u.deg]
    if factors != [1.0, 1.0]:
        return Chain((Beside(tuple(Line(factor) for factor in factors)), step)), out
    return step, out


def _number(parameter: Any, unit: Any) -> float:
    """Return a parameter as a number in some units, or as it is where it has none."""
    value = parameter.value if parameter.unit is None or unit is None else parameter.quantity.to_value(unit)
    return float(np.asarray(value).item())


def _shift(model: Any, units: Units) -> tuple[Step, Units]:
    return Line(1.0, _number(model.offset, units[0])), units


def _multiply(model: Any, units: Units) -> tuple[Step, Units]:
    factor = model.factor
    unit = units[0] if factor.unit is None or units[0] is None else units[0] * factor.unit
    return Line(float(factor.value)), [unit]


def _line(model: Any, units: Units) -> tuple[Step, Units]:
    slope, intercept = model.slope, model.intercept
    unit = None if units[0] is None or slope.unit is None else units[0] * slope.unit
    return Line(float(slope.value), _number(intercept, unit)), [unit]


def _affine(model: Any, units: Units) -> tuple[Step, Units]:
    unit = model.matrix.unit
    factors = np.array([1.0 if unit is None else _factor(have, unit) for have in units])
    matrix = np.asarray(model.matrix.value, dtype=float) * factors
    translation = np.asarray(model.translation.value, dtype=float).ravel()
    return Affine(matrix, translation), units if unit is None else [unit, unit]


def _table(model: Any, units: Units) -> tuple[Step, Units]:
    fill = model.fill_value
    if model.method not in {"linear", "nearest"} or model.bounds_error or fill is None or not np.isnan(fill):
        raise UnknownTransform("a table that goes on beyond its points")
    points, values = model.points[0], model.lookup_table
    if isinstance(points, u.Quantity):
        points = points.to_value(points.unit if units[0] is None else units[0])
    unit = values.unit if isinstance(values, u.Quantity) else None
    values = values.value if unit is not None else values
    points, values = np.array(points, dtype=float), np.array(values, dtype=float)
    if values.ndim != 1 or (np.diff(points) <= 0).any():
        raise UnknownTransform("a table whose points do not rise")
    return Table(points, values, model.method == "nearest"), [unit]


def _mapping(model: Any, units: Units) -> tuple[Step, Units]:
    backward, count = None, None
    if type(model).__name__ == "AsymmetricMapping":
        backward = tuple(model.backward_mapping)
        count = model.backward_n_inputs or max(backward) + 1
    return Pick(tuple(model.mapping), model.n_inputs, backward, count), [units[number] for number in model.mapping]


def _identity(model: Any, units: Units) -> tuple[Step, Units]:
    return Pick(tuple(range(model.n_inputs)), model.n_inputs), units


def _ravel(model: Any, units: Units) -> tuple[Step, Units]:
    kind = Ravel if type(model).__name__ == "Ravel" else Unravel
    unit = None if units[0] is None else u.pix
    return kind(tuple(int(length) for length in model.array_shape), model.order), [unit] * model.n_outputs


def _varying(model: Any, units: Units) -> tuple[Step, Units]:
    if type(model.projection) is not m.Pix2Sky_TAN:
        raise UnknownTransform(type(model.projection).__name__)
    rank = len(model.table_shape)

    def table(values: Any, unit: Any, width: int) -> Any:
        plain = values.to_value(unit) if isinstance(values, u.Quantity) else values
        full = model.table_shape + (2,) * width
        return np.ascontiguousarray(np.broadcast_to(np.asarray(plain, dtype=float), full))

    cdelt = model.cdelt.value if model.cdelt.unit is None else model.cdelt.quantity.to_value(u.deg / u.pix)
    step = VaryingSky(
        crpix=table(model.crpix_table, u.pix, 1),
        pc=table(model.pc_table, u.pix, 2),
        crval=table(model.crval_table, u.deg, 1),
        cdelt=np.asarray(cdelt, dtype=float).ravel(),
        pole=_number(model.lon_pole, u.deg),
    )
    if step.n_inputs != rank + 2:
        raise UnknownTransform("a table of another shape")
    return step, [None, None] if units[0] is None else [u.deg, u.deg]


_MODELS: tuple[tuple[tuple[str, ...], Any], ...] = (
    (("Shift",), _shift),
    (("Multiply", "Scale"), _multiply),
    (("Linear1D",), _line),
    (("AffineTransformation2D",), _affine),
    (("Tabular1D",), _table),
    (("Mapping", "AsymmetricMapping"), _mapping),
    (("Identity",), _identity),
    (("Ravel", "Unravel"), _ravel),
    (("VaryingCelestialTransform", "VaryingCelestialTransform2D", "VaryingCelestialTransform3D"), _varying),
)


# -- frames ---------------------------------------------------------------------------------------------------

_KINDS = {
    "CelestialFrame": "celestial",
    "SpectralFrame": "spectral",
    "TemporalFrame": "temporal",
    "StokesFrame": "stokes",
}


def _frames(gwcs: Any) -> tuple[list[WorldAxis], SkyFrame | None, Any]:
    """Return the world axes in order, the celestial frame and the epoch of the temporal one."""
    output = gwcs.output_frame
    frames = getattr(output, "frames", [output])
    names = [type(frame).__name__ for frame in frames]
    if len(set(names)) < len(names) or not set(names) <= set(_KINDS):
        raise UnknownTransform(f"the frames {', '.join(names)}")
    axes: dict[int, WorldAxis] = {}
    sky, epoch = None, None
    for frame, name in zip(frames, names, strict=True):
        if name == "CelestialFrame":
            sky = _sky_frame(frame.reference_frame)
        if name == "TemporalFrame":
            epoch = _time(frame.reference_frame)
        for part, number in enumerate(frame.axes_order):
            axes[number] = WorldAxis(
                kind=_KINDS[name],
                part=part,
                physical_type=gwcs.world_axis_physical_types[number],
                unit=gwcs.world_axis_units[number],
                name=gwcs.world_axis_names[number],
            )
    return [axes[number] for number in range(len(axes))], sky, epoch


def _sky_frame(frame: Any) -> SkyFrame:
    kind = type(frame)
    if not kind.__module__.startswith(("sunpy.coordinates", "astropy.coordinates")):
        raise UnknownTransform(f"the frame {kind.__name__}")
    attributes = {name: _plain(getattr(frame, name)) for name in frame.frame_attributes}
    return SkyFrame(name=kind.__name__, attributes=attributes)


def _plain(value: Any) -> Any:
    from astropy.time import Time

    if value is None or isinstance(value, (str, float, int)):
        return value
    if isinstance(value, Time) and value.isscalar:
        return _time(value)
    if isinstance(value, u.Quantity) and value.isscalar and value.dtype.names is None:  # a place on Earth has names
        return {"quantity": [float(value.value), value.unit.to_string()]}
    if type(value).__name__ == "HeliographicStonyhurst" and value.has_data and value.isscalar:
        data = value.data
        if type(data).name not in {"cartesian", "spherical"} or data.differentials:
            raise UnknownTransform(f"an observer as {type(data).name}")
        place = [_plain(u.Quantity(getattr(data, name))) for name in data.components]
        return {"stonyhurst": [type(data).name, place, _plain(value.obstime), _plain(value.rsun)]}
    raise UnknownTransform(f"the attribute {type(value).__name__} of a frame")


def _time(time: Any) -> dict[str, Any]:
    if not time.isscalar:
        raise UnknownTransform("a frame with several times")
    return {"time": [float(time.jd1), float(time.jd2), time.scale, time.format]}
