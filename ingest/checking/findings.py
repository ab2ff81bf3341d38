"""What a check of an archive found, in values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["Finding", "Progress", "Report"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing about one object.

    Parameters
    ----------
    key
        The object; the URL of a raw file where it is one.
    what
        What is wrong with it, or what is to be known of it.
    kind
        What the object is: `archive`, `dataset`, `CURRENT`, `snapshot`, `leaf`, `ledger`, `commit`, `granule`,
        or `source`.
    granule
        Key of the granule that the object belongs to.
    damage
        Whether something is lost or altered; else it is only worth knowing.
    """

    key: str
    what: str
    kind: str
    granule: str | None = None
    damage: bool = True

    def __str__(self) -> str:
        return f"{self.key}: {self.what}"


@dataclass(frozen=True, slots=True)
class Progress:
    """Told how a check goes on: how many granules there are, and that some have been looked at."""

    total: Callable[[int], None] = lambda _: None
    done: Callable[[int], None] = lambda _: None


@dataclass(slots=True, kw_only=True)
class Report:
    """What a check of an archive found.

    Parameters
    ----------
    mode
        `quick`: objects are there with the recorded size and etag; `full`: every checksum.
    snapshot
        The state of the index that was checked, `None` where none could be read.
    granules, objects, bytes
        Granules that were looked at, objects that were compared, and bytes that were hashed.
    compared, unreachable
        Granules that were compared with their sources, and those whose sources are not where they were.
    findings
        What is wrong, or worth knowing.
    seconds
        Time it took.
    """

    mode: str
    snapshot: int | None = None
    granules: int = 0
    objects: int = 0
    bytes: int = 0
    compared: int = 0
    unreachable: int = 0
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def damaged(self) -> bool:
        """Whether anything is lost or altered."""
        return any(finding.damage for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {**asdict(self), "damaged": self.damaged}
