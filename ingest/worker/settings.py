"""What whoever runs a worker decides, taken from the environment."""

from __future__ import annotations

import json
import os
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from archive.codec import CODECS
from archive.errors import InvalidInput
from archive.index.layout import check_dataset_name

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["PREFIX", "WorkerSettings", "settings_table", "unknown_settings"]

PREFIX = "LIGHTKEEP_"
_FOREIGN = frozenset({"LIGHTKEEP_SHARED", "LIGHTKEEP_REQUIRE_SHARED"})  # of the tests
_HOLD_SECONDS = 12 * 3600  # the longest that SQS keeps a message from others
_LEVELS = ("debug", "info", "warning", "error")


def _setting(what: str, default: Any = MISSING, *, least: float | None = None, secret: bool = False) -> Any:
    """Return a field with the words that its documentation is made of."""
    return field(default=default, repr=not secret, metadata={"what": what, "least": least, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """What whoever runs a worker decides; `settings_table` says what each field is."""

    url: str = _setting("The archive: `s3://bucket/prefix`.")
    queue: str = _setting(
        "URL of the SQS queue. Its redrive policy names the dead-letter queue and the number of tries."
    )
    sources: tuple[str, ...] = _setting(
        "Starts of the URLs that messages may name, with commas between. Others are refused, so that who may only send "
        "messages cannot have other files read.",
        ("s3://",),
    )
    dataset: str | None = _setting("One name for everything; without it, each acquisition has a name of its own.", None)
    format: str | None = _setting("Name of the raw format, where it is not to be found out.", None)
    codec: str = _setting("For new datasets: `pcodec`, or `portable` for any Zarr reader.", "pcodec")
    metadata: str | None = _setting("File of FDSN DAS metadata (JSON) that stands above what files say.", None)
    store_options: Mapping[str, Any] | None = _setting(
        "JSON object of options for the archive's store, as of `--option`. Without it, credentials come from the "
        "environment or the role.",
        None,
        secret=True,
    )
    source_options: Mapping[str, Any] | None = _setting(
        "JSON object of options for the places of raw files, as of `--source-option`.", None, secret=True
    )
    jobs: int = _setting("Files taken in at once. Each holds its bytes and its samples in memory.", 4, least=1)
    batch_seconds: float = _setting("Longest time that a finished file waits for its commit.", 2.0, least=0)
    batch_files: int = _setting("Files after which a commit is made without waiting.", 1000, least=1)
    visibility_seconds: int = _setting(
        "How long a message stays hidden from other workers; prolonged each third of it while its file is worked on. A "
        "worker that died is replaced after this time.",
        60,
        least=3,
    )
    retry_seconds: int = _setting(
        "Before a message that failed is tried again; doubled with each try, 15 minutes at most.", 10, least=0
    )
    patience_seconds: float = _setting(
        "How long trouble with a bucket is waited out before the message is given back, or the worker ends.",
        600.0,
        least=0,
    )
    grace_seconds: float = _setting(
        "From SIGTERM to the end; a little less than the platform's own limit (ECS: `stopTimeout`, 30 s).",
        25.0,
        least=1,
    )
    idle_seconds: float = _setting(
        "Time without a message after which the worker ends by itself; 0 is never.", 0.0, least=0
    )
    health_host: str = _setting("Address that `/live`, `/ready` and `/metrics` listen on.", "127.0.0.1")
    health_port: int = _setting("Their port; 0 takes a free one and logs it.", 8080, least=0)
    emf_seconds: float = _setting(
        "Between metrics in CloudWatch's embedded metric format on standard output; 0 is never.", 60.0, least=0
    )
    emf_namespace: str = _setting("CloudWatch namespace of these metrics.", "Lightkeep")
    log_level: str = _setting(
        "Least serious log lines that are written: `debug`, `info`, `warning` or `error`.", "info"
    )

    def __post_init__(self) -> None:
        for each in fields(self):
            least = each.metadata["least"]
            if least is not None and getattr(self, each.name) < least:
                raise InvalidInput(f"{_name(each)}: {getattr(self, each.name)} is less than {least:g}")
        if self.visibility_seconds > _HOLD_SECONDS:
            raise InvalidInput(
                f"{_name_of('visibility_seconds')}: a queue hides messages for {_HOLD_SECONDS} s at most"
            )
        if self.codec not in CODECS:
            raise InvalidInput(f"{_name_of('codec')}: {self.codec} is none of {', '.join(CODECS)}")
        if self.log_level not in _LEVELS:
            raise InvalidInput(f"{_name_of('log_level')}: {self.log_level} is none of {', '.join(_LEVELS)}")
        if self.dataset is not None:
            check_dataset_name(self.dataset)
        if not self.sources:
            raise InvalidInput(f"{_name_of('sources')}: names no start of a URL, so nothing could come in")

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] | None = None) -> WorkerSettings:
        """Return the settings that the environment holds; an empty variable counts as none.

        Raises
        ------
        InvalidInput
            One that is needed is missing, or one cannot be understood. What a secret one holds is never said.
        """
        environ = os.environ if environ is None else environ
        given = {each.name: _value(each, text) for each in fields(cls) if (text := environ.get(_name(each), ""))}
        missing = [_name(each) for each in fields(cls) if each.default is MISSING and each.name not in given]
        if missing:
            raise InvalidInput(f"the worker needs {' and '.join(missing)} in its environment; see docs/worker.md")
        return cls(**given)


def unknown_settings(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the names of variables that look like settings and are none: most likely misspelt."""
    known = {_name(each) for each in fields(WorkerSettings)} | _FOREIGN
    return sorted(
        name for name in (os.environ if environ is None else environ) if name.startswith(PREFIX) and name not in known
    )


def settings_table() -> str:
    """Return every setting as a Markdown table."""
    lines = ["| variable | default | what it is |", "|---|---|---|"]
    for each in fields(WorkerSettings):
        secret = " Never printed." if each.metadata["secret"] else ""
        lines.append(f"| `{_name(each)}` | {_default(each)} | {each.metadata['what']}{secret} |")
    return "\n".join(lines) + "\n"


def _default(each: Field[Any]) -> str:
    if each.default is MISSING:
        return "needed"
    if each.default is None:
        return "none"
    value = each.default
    return f"`{','.join(value) if isinstance(value, tuple) else f'{value:g}' if isinstance(value, float) else value}`"


def _name_of(name: str) -> str:
    return PREFIX + name.upper()


def _name(each: Field[Any]) -> str:
    return _name_of(each.name)


def _value(each: Field[Any], text: str) -> Any:
    """Return what a variable says, as its field's type has it (annotations are texts here)."""
    kind = str(each.type)
    try:
        if kind.startswith("Mapping"):
            return _object(text)
        if kind.startswith("tuple"):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        return {"int": int, "float": float}.get(kind, str)(text)
    except ValueError:
        shown = "its value" if each.metadata["secret"] else repr(text)
        wanted = {"int": "a whole number", "float": "a number"}.get(kind, "a JSON object")
        raise InvalidInput(f"{_name(each)}: {shown} is not {wanted}") from None


def _object(text: str) -> dict[str, Any]:
    held = json.loads(text)
    if not isinstance(held, dict):
        raise ValueError  # noqa: TRY004 - as for text that is no JSON
    return held
