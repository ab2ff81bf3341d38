"""Storage options: which names are understood, and which of them are no secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from archive.errors import InvalidInput
from archive.store.patience import Limits

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CLIENT", "limits_of", "normalised", "public"]

#: Settings of obstore's HTTP client that may be given as storage options.
CLIENT = frozenset(
    {"allow_http", "allow_invalid_certificates", "proxy_ca_certificate", "proxy_excludes", "proxy_url"}
    | {"root_certificate", "user_agent", "connect_timeout"}
)
_LIMITS = ("max_retries", "retry_seconds", "stall_seconds")

# The names that s3fs, boto3 and users know, by ours (which are obstore's).
_OTHER_NAMES = {
    "key": "access_key_id",
    "secret": "secret_access_key",
    "token": "session_token",
    "endpoint_url": "endpoint",
    "anon": "anonymous",
    "skip_signature": "anonymous",
    "region_name": "region",
    "default_region": "region",
}

_ANONYMOUS = ("anon", "skip_signature")

# Only these travel in a pickle; whatever is not known to be harmless stays behind.
_PUBLIC = frozenset(
    {"anonymous", "profile", "region", "allow_http", "allow_invalid_certificates", "user_agent"}
    | {"virtual_hosted_style_request", "request_payer", "disable_bulk_delete", "unsigned_payload"}
    | {"checksum_algorithm", "account_name", "server_side_encryption", "sse_kms_key_id"}
    | {"root_certificate", "connect_timeout", "endpoint", *_LIMITS}
)


def normalised(options: Mapping[str, Any], *, s3: bool) -> dict[str, Any]:
    """Return `options` under one name each; those that are `None` are left out.

    Raises
    ------
    InvalidInput
        An option is given twice under two names.
    """
    flat = {**options}
    if s3:
        flat |= flat.pop("client_kwargs", None) or {}
    found: dict[str, Any] = {}
    for name, value in flat.items():
        plain = name.lower().removeprefix("aws_") if s3 else name
        ours = _OTHER_NAMES.get(plain, plain) if s3 or plain in _ANONYMOUS else plain
        if value is None:
            continue
        if ours in found:
            raise InvalidInput(f"storage_options: {name} is given twice, also as {ours}; give it once")
        found[ours] = value
    return found


def public(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options that are no secrets."""
    kept = {name: value for name, value in options.items() if name in _PUBLIC}
    if "@" in str(kept.get("endpoint", "")):
        del kept["endpoint"]
    return kept


def limits_of(options: dict[str, Any]) -> Limits:
    """Return the limits, taking them out of `options`.

    Raises
    ------
    InvalidInput
        One is not a number, or makes no sense.
    """
    given = {name: options.pop(name) for name in _LIMITS if name in options}
    try:
        numbers = {name: (int if name == "max_retries" else float)(value) for name, value in given.items()}
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"storage_options: {given} must be numbers; max_retries is a whole one") from error
    limits = Limits(**numbers)  # type: ignore[arg-type] # int for one, float for the others
    if limits.max_retries < 0 or limits.retry_seconds < 0 or limits.stall_seconds <= 0:
        raise InvalidInput(f"storage_options: {given} must not be negative; stall_seconds more than 0")
    return limits
