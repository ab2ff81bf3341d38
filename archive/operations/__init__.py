"""Operations: what can be done to samples, as values that run on arrays, on Patches and over long runs.

>>> from archive.operations import pass_filter
>>> pass_filter(time=(1, 10))  # doctest: +SKIP
"""

from importlib import import_module
from typing import Any


def __getattr__(name: str) -> Any:
    """Return what makes an operation, by its name."""
    registry = import_module("archive.operations.registry")
    if name.startswith("_") or name not in registry.names():
        raise AttributeError(f"no operation {name!r}; there are {', '.join(registry.names())}")
    return registry.rolling if name == "rolling" else vars(registry.Operations)[name].make
