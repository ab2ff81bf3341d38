"""Where the credentials for S3 come from.

In this order: storage options; the profile that they name; the environment; the profile that
`AWS_PROFILE` names, or the default one; the role of the machine, which obstore asks for.
"""

from __future__ import annotations

import configparser
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archive.errors import InvalidInput, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Access", "s3_access"]

_KEYS = ("access_key_id", "secret_access_key", "session_token")
# A profile with one of these gets its keys by a conversation that only boto3 knows.
_EXOTIC = ("role_arn", "sso_session", "sso_start_url", "sso_account_id", "credential_process", "source_profile")
_ROLES = ("AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How a bucket is addressed and who asks.

    Parameters
    ----------
    source
        Name of the source of the credentials, for messages.
    config
        obstore's settings, secrets among them.
    provider
        What gives the credentials, where they are not in `config`.
    """

    source: str
    config: dict[str, Any] = field(repr=False)
    provider: Callable[[], Any] | None = field(default=None, repr=False)


def s3_access(options: Mapping[str, Any], environ: Mapping[str, str] = os.environ) -> Access:
    """Return the access that the options and the environment give.

    Raises
    ------
    InvalidInput
        The profile does not exist, or only half a key is given.
    MissingExtra
        The profile needs boto3.
    """
    config = {name: value for name, value in options.items() if name not in ("profile", "anonymous")}
    if _anonymous(options, environ):
        for name in _KEYS:
            config.pop(name, None)
        return _addressed(Access(source="anonymous", config={**config, "skip_signature": True}), {}, environ)
    if "access_key_id" in config or "secret_access_key" in config:
        return _addressed(_given(config, environ), {}, environ)
    named = options.get("profile")
    if named is None and "AWS_ACCESS_KEY_ID" in environ:
        return _addressed(Access(source="environment", config=config), {}, environ)
    chosen = named or environ.get("AWS_PROFILE")
    if chosen is None and any(role in environ for role in _ROLES):
        return _addressed(Access(source="environment", config=config), {}, environ)
    name = str(chosen or "default")
    profile = _profile(name, environ, required=chosen is not None)
    return _addressed(_from_profile(name, profile, config, environ), profile, environ)


def _anonymous(options: Mapping[str, Any], environ: Mapping[str, str]) -> bool:
    asked = options.get("anonymous", environ.get("AWS_SKIP_SIGNATURE", ""))
    return str(asked).lower() in ("1", "true", "yes", "on")


def _given(config: dict[str, Any], environ: Mapping[str, str]) -> Access:
    missing = [name for name in _KEYS[:2] if not config.get(name)]
    if missing:
        raise InvalidInput(f"storage_options: {missing[0]} is missing; a key has an id and a secret")
    return _fixed("given", config, environ)


def _fixed(source: str, config: dict[str, Any], environ: Mapping[str, str]) -> Access:
    """Return access by the key in `config`, whatever else the environment holds."""
    if "session_token" in config or not {"AWS_SESSION_TOKEN", "AWS_TOKEN"} & set(environ):
        return Access(source=source, config=config)
    # obstore would send the environment's session token with a key that it does not belong to.
    rest = {name: value for name, value in config.items() if name not in _KEYS}
    key = {"access_key_id": config["access_key_id"], "secret_access_key": config["secret_access_key"]}
    return Access(source=source, config=rest, provider=lambda: {**key, "token": None, "expires_at": None})


def _from_profile(name: str, profile: dict[str, str], config: dict[str, Any], environ: Mapping[str, str]) -> Access:
    source = f"profile {name}"
    keys = {key: profile[f"aws_{key}"] for key in _KEYS if profile.get(f"aws_{key}")}
    if len(keys) >= 2:  # noqa: PLR2004 -- an id and its secret
        return _fixed(source, {**config, **keys}, environ)
    if any(key in profile for key in _EXOTIC):
        return Access(source=source, config=config, provider=_boto3_provider(name))
    return Access(source="the machine's role" if not profile else source, config=config)


def _boto3_provider(name: str) -> Callable[[], Any]:
    try:
        import boto3  # type: ignore[import-untyped, unused-ignore] # its stubs are another package
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        raise MissingExtra(
            f"profile {name}: its keys come by single sign-on, a role or a command, which needs boto3; "
            "run: pip install boto3"
        ) from error
    provider: Callable[[], Any] = Boto3CredentialProvider(boto3.Session(profile_name=name))
    return provider


def _addressed(access: Access, profile: Mapping[str, str], environ: Mapping[str, str]) -> Access:
    """Return `access` with the endpoint and region that nothing nearer has set."""
    config = dict(access.config)
    endpoint = (
        config.get("endpoint")
        or environ.get("AWS_ENDPOINT_URL_S3")
        or environ.get("AWS_ENDPOINT_URL")
        or environ.get("AWS_ENDPOINT")
        or profile.get("endpoint_url")
    )
    region = (
        config.get("region")
        or environ.get("AWS_REGION")
        or environ.get("AWS_DEFAULT_REGION")
        or profile.get("region")
        or ("us-east-1" if endpoint else None)
    )
    config |= {name: value for name, value in (("endpoint", endpoint), ("region", region)) if value}
    return Access(source=access.source, config=config, provider=access.provider)


def _profile(name: str, environ: Mapping[str, str], *, required: bool) -> dict[str, str]:
    """Return what both files say of the profile; the credentials file wins."""
    home = Path(environ.get("HOME", "~")).expanduser() / ".aws"
    config = _sections(Path(environ.get("AWS_CONFIG_FILE", home / "config")).expanduser())
    shared = _sections(Path(environ.get("AWS_SHARED_CREDENTIALS_FILE", home / "credentials")).expanduser())
    profiles = {section.removeprefix("profile ").strip(): dict(values) for section, values in config.items()}
    for section, values in shared.items():
        profiles.setdefault(section, {}).update(values)
    if name not in profiles and required:
        known = ", ".join(sorted(profiles)) or "no profile"
        raise InvalidInput(f"profile {name}: no such profile; {home} has {known}")
    return profiles.get(name, {})


def _sections(path: Path) -> dict[str, dict[str, str]]:
    parser = configparser.RawConfigParser(strict=False)
    try:
        parser.read(path, encoding="utf-8")
    except configparser.Error as error:
        raise InvalidInput(f"{path}: not a file of AWS profiles; see the AWS CLI's documentation") from error
    return {section: dict(parser[section]) for section in parser.sections()}
