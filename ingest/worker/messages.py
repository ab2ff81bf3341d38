"""What messages tell of: objects that were put into a landing bucket, and URLs that somebody sent."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_plus

from archive.errors import InvalidInput
from ingest.sources import Found, check_tellable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Arrival", "arrivals"]

_CREATED = re.compile(r"(s3:)?ObjectCreated(:|$)")  # records leave the "s3:" out that configurations have
_TEST = "s3:TestEvent"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A file that a message tells of.

    Parameters
    ----------
    url
        Where it lies.
    size, stamp
        What the event says of it: bytes, and etag as `Found` has it; `None` where it does not say.
    happened
        When it came, s since 1970; `None` where the message does not say.
    named
        Somebody asked for this very file, so that one which is no raw data is refused rather than left alone.
    """

    url: str
    size: int | None = None
    stamp: str | None = None
    happened: float | None = None
    named: bool = False

    @property
    def found(self) -> Found | None:
        """The file in the state that the event tells of, if it tells of one."""
        if self.size is None or self.stamp is None:
            return None
        return Found(url=self.url, size=self.size, stamp=self.stamp, named=self.named)


def arrivals(body: str, places: Sequence[str]) -> list[Arrival]:
    """Return the files that a message tells of; none for a test event, and for one that tells of no new file.

    Parameters
    ----------
    body
        Of the message: an S3 event, one inside the envelope of SNS, or `{"url": …}`.
    places
        Starts of the URLs that may be named.

    Raises
    ------
    InvalidInput
        It is none of these, or names a file in another place. Nothing of a URL that may hold secrets is told.

    References
    ----------
    Amazon S3 user guide, event message structure: keys are URL-encoded as in forms (a space is a plus sign),
    `eTag` has no quotes.
    Amazon SNS developer guide, HTTP/HTTPS and SQS JSON formats: `Type`, `Message`; raw delivery has the message alone.
    """
    told = _parsed(body)
    if isinstance(told.get("Message"), str) and "Type" in told:
        told = _parsed(told["Message"])
    if told.get("Event") == _TEST:
        return []
    if isinstance(told.get("Records"), list):
        found = [_of_record(record) for record in told["Records"]]
    elif isinstance(told.get("url"), str):
        found = [Arrival(url=told["url"], named=True)]
    else:
        raise InvalidInput("a message that is no S3 event and has no url; its sender has to mend it")
    kept = [arrival for arrival in found if arrival is not None]
    for arrival in kept:
        check_tellable(arrival.url)
        if "::" in arrival.url:  # fsspec reads that as one place inside another
            raise InvalidInput(f"{arrival.url}: a URL with '::' in it is not opened; give the file another name")
        if not any(arrival.url.startswith(place) for place in places):
            raise InvalidInput(f"{arrival.url}: is in no place that LIGHTKEEP_SOURCES names ({', '.join(places)})")
    return kept


def _parsed(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise InvalidInput("a message that is no JSON object; its sender has to mend it")
    return told


def _of_record(record: Any) -> Arrival | None:
    """Return what a record of an S3 event tells of; `None` unless it is a file that has come."""
    try:
        if not _CREATED.match(record["eventName"]):
            return None
        bucket, held = str(record["s3"]["bucket"]["name"]), record["s3"]["object"]
        key = unquote_plus(str(held["key"]), errors="strict")
        if key.endswith("/"):  # what consoles put for an empty folder
            return None
        return Arrival(
            url=f"s3://{bucket}/{key}",
            size=_size(held),
            stamp=f'"{held["eTag"]}"' if isinstance(held.get("eTag"), str) else None,
            happened=_time(record.get("eventTime")),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InvalidInput(f"an S3 event with a record that cannot be understood ({type(error).__name__})") from error


def _size(held: Mapping[str, Any]) -> int | None:
    size = held.get("size")
    return size if isinstance(size, int) and size >= 0 else None


def _time(text: Any) -> float | None:
    """Return s since 1970."""
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
