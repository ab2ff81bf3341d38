"""What a pickle says, without running it: texts, numbers and what is made of them.

A pickle is a program; to unpickle one of a stranger is to run his. Here its instructions are only looked at, as
`pickletools` lists them: constants are kept, and whatever would import, call or build stays opaque.

References
----------
CPython `Lib/pickletools.py`, the list of opcodes and what each does to the stack.
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import Any

__all__ = ["OPAQUE", "constants_of"]

_MOST_BYTES = 1 << 16
_IGNORED = {"PROTO", "FRAME"}
_MARK = object()
_SINGLE = {"MARK": _MARK, "NEWFALSE": False, "NEWTRUE": True, "NONE": None}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_TAKEN_BY_CALLS = {"REDUCE": 2, "NEWOBJ": 2, "NEWOBJ_EX": 3, "STACK_GLOBAL": 2, "BUILD": 2}
_OPAQUE_NAMES = {"GLOBAL", "PERSID", "EXT1", "EXT2", "EXT4", "NEXT_BUFFER"}


class _Opaque:
    """Stands for what only running the pickle would make."""

    def __repr__(self) -> str:
        return "OPAQUE"


OPAQUE = _Opaque()


@dataclass(slots=True)
class _Stack:
    """The values that the instructions looked at so far have left."""

    items: list[Any] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def take(self, count: int) -> list[Any]:
        """Take the topmost values off."""
        if count > len(self.items):
            raise ValueError("the pickle takes more than it has put")
        taken = self.items[len(self.items) - count :]
        del self.items[len(self.items) - count :]
        return taken

    def take_to_mark(self) -> list[Any]:
        """Take the values above the topmost mark off, and the mark."""
        for count, item in enumerate(reversed(self.items)):
            if item is _MARK:
                taken = self.take(count)
                self.items.pop()
                return taken
        raise ValueError("the pickle misses a mark")


def constants_of(data: bytes) -> Any:
    """Return what a pickle says, `OPAQUE` in place of every object that it would make.

    The value may refer to itself: look into it, never walk through it.

    Raises
    ------
    ValueError
        This is no pickle, or one of more than 64 kB.
    """
    if len(data) > _MOST_BYTES:
        raise ValueError(f"{len(data)} bytes are no small pickle")
    stack = _Stack()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            if opcode.name == "STOP" and len(stack.items) == 1 and stack.items[0] is not _MARK:
                return stack.items[0]
            _step(stack, opcode.name, argument)
    except (LookupError, TypeError, AttributeError, OverflowError, Warning) as error:
        # pickletools warns of an unknown escape; where warnings are errors, that is an error of the pickle.
        raise ValueError(f"no pickle: {error}") from error
    raise ValueError("the pickle has no end")


def _step(stack: _Stack, name: str, argument: Any) -> None:
    """Do to the stack what one instruction does, except what it would import, call or build."""
    if name in _IGNORED or _hide(stack, name) or _gather(stack, name):
        return
    items = stack.items
    if name in _SINGLE:
        items.append(_SINGLE[name])
    elif "PUT" in name or name == "MEMOIZE":
        stack.memo[len(stack.memo) if name == "MEMOIZE" else argument] = items[-1]
    elif "GET" in name:
        items.append(stack.memo[argument])
    elif argument is not None:
        items.append(argument)
    else:
        raise ValueError(f"{name}: no constant")


def _hide(stack: _Stack, name: str) -> bool:
    """Put `OPAQUE` in place of what an instruction would import, call or build; return whether it is one."""
    if name in _TAKEN_BY_CALLS:
        stack.take(_TAKEN_BY_CALLS[name])
    elif name in {"INST", "OBJ", "FROZENSET"}:
        stack.take_to_mark()
    elif name not in _OPAQUE_NAMES:
        return False
    stack.items.append(OPAQUE)
    return True


def _gather(stack: _Stack, name: str) -> bool:
    """Make or fill a tuple, list or dict if that is what the instruction does; return whether it is."""
    if name in {"EMPTY_TUPLE", "EMPTY_LIST", "EMPTY_DICT"}:
        stack.items.append({"EMPTY_TUPLE": (), "EMPTY_LIST": [], "EMPTY_DICT": {}}[name])
    elif name in _TUPLES:
        stack.items.append(tuple(stack.take(_TUPLES[name])))
    elif name in {"TUPLE", "LIST"}:
        taken = stack.take_to_mark()
        stack.items.append(tuple(taken) if name == "TUPLE" else taken)
    elif name == "DICT":
        stack.items.append(_pairs(stack.take_to_mark()))
    elif name in {"APPEND", "APPENDS"}:
        taken = stack.take(1) if name == "APPEND" else stack.take_to_mark()
        if isinstance(stack.items[-1], list):
            stack.items[-1].extend(taken)
    elif name in {"SETITEM", "SETITEMS"}:
        taken = stack.take(2) if name == "SETITEM" else stack.take_to_mark()
        if isinstance(stack.items[-1], dict):
            stack.items[-1].update(_pairs(taken))
    else:
        return False
    return True


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return {key: value for key, value in zip(items[::2], items[1::2], strict=True) if isinstance(key, (str, int))}
