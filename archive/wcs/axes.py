"""What world coordinates stand for: the frames behind their axes, as plain values, and the objects of astropy."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from archive.errors import DamagedData

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SkyFrame", "WorldAxis", "object_class", "value_of"]

KINDS = ("celestial", "spectral", "temporal", "stokes")

_FRAME_MODULES = ("sunpy.coordinates.frames", "astropy.coordinates")


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldAxis:
    """One number of a world coordinate.

    Parameters
    ----------
    kind
        `celestial`, `spectral`, `temporal` or `stokes`.
    part
        Which number of its coordinate: 0 or 1 for longitude or latitude, else 0.
    physical_type
        As in APE 14: `custom:pos.helioprojective.lon`, `em.wl`, `time`, `phys.polarization.stokes`.
    unit
        Of the number, as astropy writes it.
    name
        As the file calls it; may be wrong, so nothing hangs on it.
    """

    kind: str
    part: int
    physical_type: str | None
    unit: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyFrame:
    """A frame of astropy or sunpy by its name and its plain attributes.

    Parameters
    ----------
    name
        The class: `Helioprojective`, `ICRS`.
    attributes
        Text, numbers, or tagged values: `{"time": [jd1, jd2, scale, format]}`, `{"quantity": [number, unit]}`,
        `{"stonyhurst": [form, [quantity, quantity, quantity], time, quantity]}` for where an observer was, the
        form `cartesian` or `spherical`.
    """

    name: str
    attributes: Mapping[str, Any]

    def build(self) -> Any:
        """Return the frame.

        Raises
        ------
        DamagedData
            There is no such frame.
        """
        for module in _FRAME_MODULES:
            kind = getattr(import_module(module), self.name, None)
            if kind is not None:
                return kind(**{key: value_of(value) for key, value in self.attributes.items()})
        raise DamagedData(f"{self.name}: no such frame of the sky in astropy or sunpy; run lightkeep verify")

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)


def value_of(stored: Any) -> Any:
    """Return the object of astropy that a tagged value stands for; other values as they are."""
    if not isinstance(stored, dict):
        return stored
    ((tag, value),) = stored.items()
    if tag == "time":
        from astropy.time import Time

        jd1, jd2, scale, form = value
        time = Time(jd1, jd2, format="jd", scale=scale)
        time.format = form
        return time
    import astropy.units as u

    if tag == "quantity":
        number, unit = value
        return number * u.Unit(unit)
    if tag == "stonyhurst":
        from astropy.coordinates import CartesianRepresentation, SphericalRepresentation
        from sunpy.coordinates import HeliographicStonyhurst

        form, place, time, rsun = value
        kind = {"cartesian": CartesianRepresentation, "spherical": SphericalRepresentation}[form]
        data = kind(*(value_of(part) for part in place))
        return HeliographicStonyhurst(data, obstime=value_of(time), rsun=value_of(rsun))
    raise DamagedData(f"{tag}: no such value of a frame; run lightkeep verify")


def object_class(kind: str, units: tuple[str, ...], sky: SkyFrame | None, epoch: Any) -> tuple[Any, ...]:
    """Return what APE 14 wants to know to make a coordinate: class, arguments, keywords, and a converter.

    Parameters
    ----------
    kind
        Of the axes.
    units
        Of the axes' numbers.
    sky
        The celestial frame.
    epoch
        The time that a temporal axis counts from, a tagged value.
    """
    import astropy.units as u

    if kind == "celestial" and sky is not None:
        from astropy.coordinates import SkyCoord

        return SkyCoord, (), {"frame": sky.build(), "unit": tuple(u.Unit(unit) for unit in units)}
    if kind == "spectral":
        from astropy.coordinates import SpectralCoord

        return SpectralCoord, (), {"unit": u.Unit(units[0])}
    if kind == "stokes":
        from astropy.coordinates import StokesCoord

        return StokesCoord, (), {}
    from astropy.time import Time, TimeDelta

    start, unit = value_of(epoch), u.Unit(units[0])

    def convert(offset: Any) -> Any:
        if isinstance(offset, Time):
            return offset
        return start + TimeDelta(u.Quantity(offset, unit))

    return Time, (), {}, convert


def component(axis: WorldAxis, epoch: Any) -> tuple[str, int, Any]:
    """Return how APE 14 takes the number of an axis from its coordinate."""
    if axis.kind == "stokes":
        return "stokes", 0, "value"
    if axis.kind == "spectral":
        return "spectral", 0, lambda coord: coord.to_value(axis.unit)
    if axis.kind == "temporal":
        return "temporal", 0, lambda time: (time - value_of(epoch)).to_value(axis.unit)
    if axis.part == 0:
        return "celestial", 0, lambda sky: sky.spherical.lon.wrap_at("180d").to_value(axis.unit)
    return "celestial", 1, lambda sky: sky.spherical.lat.to_value(axis.unit)
