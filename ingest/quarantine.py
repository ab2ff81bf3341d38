"""The quarantine: reports of refused sources, and which of them are still open.

A report is written once and never changed or removed. Whether it is open is not written anywhere: the ledger
tells, since a source that came in after all is listed there, however that came about.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
from dataclasses import dataclass, fields
from itertools import groupby
from typing import TYPE_CHECKING, Any

from archive.errors import DamagedData, InvalidInput, NotFound
from archive.index import layout
from archive.store import Get, List

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from archive.store import Entry, Store
    from ingest.index.ledger import Ledger
    from ingest.settings import Settings
    from ingest.task import Refusal

__all__ = ["Report", "chosen", "newest_reports", "open_reports", "set_aside"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Why a source was refused.

    Parameters
    ----------
    url, size, stamp
        The source as it was then.
    reason, error
        What was said, and the kind of error.
    refused
        Seconds since 1970, by the clock of who refused it.
    earlier
        Content (SHA-256) that had come in under this URL before; `None` for nothing.
    dataset, format, codec, metadata
        Settings of the ingest.
    """

    url: str
    size: int
    stamp: str
    reason: str
    error: str
    refused: float
    earlier: str | None = None
    dataset: str | None = None
    format: str | None = None
    codec: str = "pcodec"
    metadata: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """What names the source in this very state: 16 hexadecimal digits."""
        return hashlib.sha256(f"{self.url}\n{self.size}\n{self.stamp}".encode()).hexdigest()[:16]

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON."""
        return {"id": self.id} | {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_json(cls, key: str, body: bytes) -> Report:
        """Return the report that an object holds.

        Raises
        ------
        DamagedData
            It is no report.
        """
        try:
            held = json.loads(body)
            return cls(**{field.name: held[field.name] for field in fields(cls) if field.name in held})
        except (ValueError, TypeError) as error:
            raise DamagedData(f"{key}: is no report of a refused source ({error}); remove it") from error


def set_aside(store: Store, refusals: Iterable[Refusal], settings: Settings) -> None:
    """Write a report for each refused source, unless its newest one says the same of it in the same state."""
    now = time.time()
    reports = [
        Report(
            url=refusal.found.url,
            size=refusal.found.size,
            stamp=refusal.found.stamp,
            reason=refusal.reason,
            error=refusal.kind,
            refused=now,
            earlier=refusal.earlier,
            dataset=settings.dataset,
            format=settings.format,
            codec=settings.codec,
            metadata=settings.metadata.to_json() if settings.metadata is not None else None,
        )
        for refusal in refusals
    ]
    if not reports:
        return
    found: list[list[Entry]] = store.wave([List(f"{layout.QUARANTINE}{report.id}/") for report in reports])
    held = {report.id: report for report in _read(store, [entries[-1].key for entries in found if entries])}
    for report in reports:
        before = held.get(report.id)
        if before is None or (before.reason, before.error) != (report.reason, report.error):
            key = f"{layout.QUARANTINE}{report.id}/{time.time_ns():019d}-{secrets.token_hex(4)}.json"
            store.create(key, json.dumps(report.to_json(), ensure_ascii=False, indent=1).encode())


def newest_reports(store: Store) -> list[Report]:
    """Return the newest report of each state of each source that was ever refused, the oldest first."""
    keys = [entry.key for entry in store.entries(layout.QUARANTINE)]
    newest = [list(group)[-1] for _, group in groupby(keys, key=lambda key: key.rpartition("/")[0])]
    return sorted(_read(store, newest), key=lambda report: (report.refused, report.url))


def _read(store: Store, keys: Sequence[str]) -> list[Report]:
    replies = store.wave([Get(key) for key in keys])
    return [Report.from_json(key, bytes(reply.data)) for key, reply in zip(keys, replies, strict=True)]


def open_reports(reports: Sequence[Report], ledger: Ledger) -> list[Report]:
    """Return the newest report of each source that has not come in since."""
    newest = {report.url: report for report in reports}
    return [report for report in newest.values() if _is_open(report, ledger)]


def _is_open(report: Report, ledger: Ledger) -> bool:
    """Return whether a refused source has not come in since, neither in this state nor in a later one."""
    if ledger.seen(report.url, report.size, report.stamp) is not None:
        return False
    now = ledger.earlier(report.url)
    return now is None or now.sha256 == report.earlier


def chosen(reports: Sequence[Report], names: Iterable[str]) -> list[Report]:
    """Return the reports that are named, by the start of their id or by the end of their URL.

    Raises
    ------
    NotFound
        A name fits none.
    InvalidInput
        The start of an id fits several.
    """
    found: dict[str, Report] = {}
    for name in names:
        by_id = [report for report in reports if report.id.startswith(name)]
        fit = by_id or [report for report in reports if f"/{report.url}".endswith(f"/{name.removeprefix('/')}")]
        if not fit:
            raise NotFound(f"{name}: nothing in quarantine has this id or name; see lightkeep quarantine ls")
        if len(by_id) > 1:
            raise InvalidInput(f"{name}: {len(by_id)} reports start so; write more of the id")
        found.update({report.id: report for report in fit})
    return list(found.values())
