"""The errors that Lightkeep raises, grouped by what the caller can do about them.

========================  =====================================================
class                     what to do
========================  =====================================================
`InvalidInput`            fix the call
`NotFound`                ask for something else
`StoreTrouble`            wait and retry, or mend the credentials or the network
`DamagedData`             the data is damaged: restore it or ingest it again
`FormatError`             set the file aside
`MissingExtra`            install the extra that the message names
========================  =====================================================
"""

from __future__ import annotations

__all__ = [
    "AccessDenied",
    "Conflict",
    "DamagedData",
    "FormatError",
    "FramesAwaited",
    "InvalidInput",
    "LightkeepError",
    "MissingExtra",
    "NewerVersion",
    "NotFound",
    "ReadOnlyStore",
    "SourceChanged",
    "StoreTrouble",
    "UnsafeStore",
]


class LightkeepError(Exception):
    """The root of every error that Lightkeep raises on purpose."""


class InvalidInput(LightkeepError, ValueError):
    """The call is wrong: a value, a unit, a name or a combination of them."""


class NotFound(LightkeepError, LookupError):
    """What was asked for is not there: an archive, a dataset, an object, a snapshot."""


class NewerVersion(NotFound):
    """The archive was written by a newer Lightkeep than this one."""


class StoreTrouble(LightkeepError, OSError):
    """The store did not do what was asked within the retry limit."""


class AccessDenied(StoreTrouble):
    """The store refuses these credentials, or there are none."""


class ReadOnlyStore(StoreTrouble):
    """The store can be read but not written safely."""


class UnsafeStore(StoreTrouble):
    """The store accepts conditional writes and does not keep them."""


class Conflict(LightkeepError):
    """Another writer was first: the object exists already, or has changed meanwhile."""


class DamagedData(LightkeepError):
    """An object of the archive is missing, cut, swapped or altered; the message names it."""


class FormatError(LightkeepError):
    """A raw file is not of the format, or is cut or damaged; set it aside."""


class SourceChanged(FormatError):
    """A raw file changed while it was read."""


class FramesAwaited(FormatError):
    """An asdf came before the first frame of its dataset."""


class MissingExtra(LightkeepError, ImportError):
    """An optional library is not installed; the message holds the command that installs it."""
