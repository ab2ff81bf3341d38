"""Operations as methods: what makes an operation becomes what applies it to a Patch."""

from __future__ import annotations

import inspect
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, overload

from archive.operations.applying import apply

if TYPE_CHECKING:
    from collections.abc import Callable

    from archive.operations.operation import Operation
    from archive.patch import Patch

__all__ = ["Method"]


class Method[**P]:
    """A method of Patches that applies the operation which a function makes.

    Parameters
    ----------
    make
        Returns the operation; its parameters and its docstring are the method's.
    """

    def __init__(self, make: Callable[P, Operation]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, patch: None, owner: type) -> Callable[Concatenate[Patch, P], Patch]: ...
    @overload
    def __get__(self, patch: Patch, owner: type) -> Callable[P, Patch]: ...
    def __get__(self, patch: Patch | None, owner: type) -> Any:
        make = self.make

        def method(patch: Patch, *args: P.args, **kwargs: P.kwargs) -> Patch:
            return apply(patch, make(*args, **kwargs))

        signature = inspect.signature(make)
        named = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
        wraps(make)(method)
        del method.__wrapped__  # type: ignore[attr-defined]
        method.__qualname__ = f"Patch.{make.__name__}"
        method.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[named, *signature.parameters.values()], return_annotation="Patch"
        )
        return method if patch is None else method.__get__(patch)
