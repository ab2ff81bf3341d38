"""Where raw files lie, by fsspec; and what fsspec and the libraries below it raise, told in words of our own."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from archive.errors import AccessDenied, InvalidInput, LightkeepError, MissingExtra, StoreTrouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["asking", "filesystem"]

_LIBRARIES = ("aiobotocore", "aiohttp", "azure", "botocore", "gcsfs", "google")  # whose errors are no OSError


def filesystem(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    """Return fsspec's file system for a URL, and the path in it.

    Raises
    ------
    InvalidInput
        There is no such kind of place, or it has no such option.
    MissingExtra
        A library for it is not installed.
    """
    try:
        import fsspec
    except ImportError as error:
        raise MissingExtra("reading raw files needs fsspec: pip install 'lightkeep[ingest]'") from error
    with asking(url, "cannot be opened"):
        try:
            files, path = fsspec.core.url_to_fs(url, **options)
        except ImportError as error:
            raise MissingExtra(f"{url}: {error}") from error
        except ValueError as error:
            raise InvalidInput(f"{url}: no such kind of place is known ({error})") from error
    return files, path


@contextmanager
def asking(url: str, failed: str, may: str = "see") -> Iterator[None]:
    """Tell what a file system raises in the block; that a file is not there is left to the caller.

    Parameters
    ----------
    failed
        What did not work, as in "cannot be listed".
    may
        What was not allowed, as in "read".

    Raises
    ------
    AccessDenied
        The credentials do not allow it, or there are none.
    InvalidInput
        The file system has no such option.
    StoreTrouble
        The place cannot be reached, or does not answer as it should.
    """
    try:
        yield
    except (LightkeepError, FileNotFoundError):
        raise
    except Exception as error:
        local = "://" not in url or url.startswith("file:")
        if isinstance(error, PermissionError) and not local:
            raise AccessDenied(f"{url}: the credentials for raw files may not {may} it ({error})") from error
        if "Credential" in type(error).__name__:
            raise AccessDenied(f"{url}: there are no credentials for raw files ({error})") from error
        if isinstance(error, TypeError) and "unexpected keyword argument" in str(error):
            said = str(error).rpartition("argument ")[2]
            raise InvalidInput(f"{url}: an option for raw files that no such place has: {said}") from error
        if isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _LIBRARIES:
            raise StoreTrouble(f"{url}: {failed} ({error}); try again") from error
        raise
