"""What an obstore failure means: wrong call, missing, refused, damaged, or worth another try.

obstore puts the whole answer of the server and a dump of its own state into its messages. Only the
server's code and sentence go on from here, and never a query string, a user name or a password.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from obstore import exceptions

from archive.errors import AccessDenied, Conflict, DamagedData, NotFound, ReadOnlyStore, StoreTrouble
from archive.store.backend import Transient

__all__ = ["FAILURES", "Asked", "redact", "translate"]

#: Everything that obstore raises for a request; it maps some of its errors to builtins.
FAILURES = (exceptions.BaseError, OSError, ValueError, NotImplementedError)

_REFUSED = {"ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "TokenRefreshRequired"}
_NO_BUCKET = {"NoSuchBucket", "ContainerNotFound"}
# S3 answers these with 400, though nothing is wrong with the request.
_PASSING_CODES = {"RequestTimeout", "IncompleteBody", "BadDigest", "SlowDown", "Throttling", "InternalError"}
_METADATA_SERVICE = re.compile(r"169\.254\.1[67]\d\.\d+|metadata\.google\.internal")
_OUT_OF_RANGE = re.compile(r"range starting at|Range started at|Invalid range", re.IGNORECASE)
# One key of a bulk delete; the answer as a whole is 200.
_REFUSED_IN_BULK = re.compile(r"DeleteObjects.*\bAccess ?Denied", re.DOTALL)
_LONGEST_REASON = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request in words, for messages.

    Parameters
    ----------
    action
        What was to be done: "read", "list", "write", "delete".
    place
        URL of the object or folder, without secrets.
    store
        URL of the store, without secrets.
    credentials
        Where the credentials came from.
    """

    action: str
    place: str
    store: str
    credentials: str

    def denied(self, reason: str) -> AccessDenied:
        """Return the error for a store that does not let these credentials do this."""
        hint = "name others by AWS_PROFILE, AWS_ACCESS_KEY_ID or storage_options, or open it with anonymous=True"
        if self.credentials == "anonymous":
            hint = "it is not public; open it with credentials"
        missing = "; a missing object is refused too where listing is not allowed" if self.action == "read" else ""
        return AccessDenied(
            f"{self.place}: the store refuses to {self.action} it ({reason}){missing}; "
            f"credentials: {self.credentials}; {hint}"
        )


def redact(text: str) -> str:
    """Return the first sentence of `text` without user names, passwords and query strings."""
    text = re.sub(r"://[^/\s@]*@", "://", text)
    text = re.sub(r"\?[^\s)]*", "", text)
    text = re.sub(r"(?i)(authorization|signature|credential|token|secret)\S*\s*[:=]\s*\S+", r"\1=...", text)
    return " ".join(text.split())[:_LONGEST_REASON]


def translate(error: Exception, asked: Asked) -> Exception:
    """Return the error of ours, or the `Transient`, that `error` amounts to."""
    text, _, debug = str(error).partition("\n\nDebug source")
    status = _status(text)
    code, reason = _server_said(text, status)
    known = _by_kind(error, asked, text, code, reason)
    if known is not None:
        return known
    if status is None:
        return _without_answer(text, debug, asked)
    return _by_status(status, code, reason, asked)


def _by_kind(error: Exception, asked: Asked, text: str, code: str, reason: str) -> Exception | None:
    if code in _NO_BUCKET:
        return NotFound(f"{asked.store}: no such bucket ({code}); check the name, the endpoint and the region")
    if isinstance(error, exceptions.PermissionDeniedError | exceptions.UnauthenticatedError) or code in _REFUSED:
        return asked.denied(reason)
    if _REFUSED_IN_BULK.search(text):
        return asked.denied("AccessDenied")
    if _METADATA_SERVICE.search(text):
        return asked.denied("no credentials in the environment, a profile or this machine's role")
    if isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError):
        return Conflict(f"{asked.place}: it exists already, or has changed meanwhile ({reason})")
    if isinstance(error, FileNotFoundError):
        return NotFound(f"{asked.place}: no such object; see what is there with lightkeep ls {asked.store}")
    if isinstance(error, NotImplementedError | exceptions.NotSupportedError):
        return _unsupported(asked, reason)
    if _OUT_OF_RANGE.search(text):
        return DamagedData(f"{asked.place}: shorter than the range that was asked for ({reason})")
    return None


def _by_status(status: int, code: str, reason: str, asked: Asked) -> Exception:
    if status in (401, 403):
        return asked.denied(reason)
    if status == 404:  # noqa: PLR2004 -- HTTP's own numbers
        return NotFound(f"{asked.place}: no such object or bucket ({reason}); check the name and the endpoint")
    if status in (409, 412):
        return Conflict(f"{asked.place}: it exists already, or has changed meanwhile ({reason})")
    if status == 416:  # noqa: PLR2004
        return DamagedData(f"{asked.place}: shorter than the range that was asked for ({reason})")
    if status == 501:  # noqa: PLR2004
        return _unsupported(asked, reason)
    if status >= 500 or status in (408, 429) or code in _PASSING_CODES:  # noqa: PLR2004
        return Transient(reason)
    region = "; the bucket may be in another region: set AWS_REGION" if status in (301, 307, 400) else ""
    return StoreTrouble(f"{asked.place}: the store did not {asked.action} it ({reason}){region}")


def _without_answer(text: str, debug: str, asked: Asked) -> Exception:
    """Return what it means that no answer, or only half of one, arrived."""
    if "builder error" in text:
        return StoreTrouble(f"{asked.place}: not an address that can be asked; check the endpoint's URL")
    if "redirect" in text:
        return StoreTrouble(f"{asked.place}: the bucket is in another region; set AWS_REGION or region=")
    if "Generic Config error" in text:
        return StoreTrouble(f"{asked.place}: {redact(text)}; check the settings of the store")
    # reqwest hides the cause in its debug output; only these words are taken out of it.
    for words, meaning in _CAUSES.items():
        if words in debug or words in text:
            return Transient(meaning, hopeless=words in _HOPELESS)
    return Transient(redact(text.rpartition(" - ")[2]))


_CAUSES = {
    "dns error": "the host name does not resolve",
    "failed to lookup": "the host name does not resolve",
    "ConnectionRefused": "connection refused",
    "Connection refused": "connection refused",
    "ConnectionReset": "connection reset",
    "IncompleteBody": "the answer was cut off",
    "IncompleteMessage": "the connection closed before the answer",
    "UnexpectedEof": "the answer was cut off",
    "end of file before message length": "the answer was cut off",
    "TimedOut": "no progress in time",
    "certificate": "the server's certificate is not trusted",
}
_HOPELESS = {"dns error", "failed to lookup", "certificate"}


def _unsupported(asked: Asked, reason: str) -> Exception:
    if asked.action == "read":
        return StoreTrouble(f"{asked.place}: the store cannot do that ({reason}); ranges may be unsupported")
    return ReadOnlyStore(
        f"{asked.place}: the store cannot {asked.action} on condition ({reason}); "
        "keep the archive in a store with conditional writes"
    )


def _status(text: str) -> int | None:
    found = re.search(r"status code: (\d{3})", text)
    return int(found[1]) if found else None


def _server_said(text: str, status: int | None) -> tuple[str, str]:
    """Return the server's code, and its code and sentence with the HTTP status."""
    code = _between(text, "Code")
    sentence = _between(text, "Message")
    if status is None:
        return code, redact(text.rpartition(" - ")[2])
    return code, " ".join(part for part in (str(status), code, redact(sentence)) if part)


def _between(text: str, tag: str) -> str:
    found = re.search(rf"<{tag}>([^<]*)</{tag}>", text)
    return found[1].strip() if found else ""
