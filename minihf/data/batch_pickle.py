"""What is in a pickled batch of CIFAR-10, read without unpickling it.

A pickle is a program for a small stack machine, and two of its instructions, one that looks up any
function by name and one that calls it, make Python's own machine unfit for files of others. This
machine looks up nothing and calls nothing. Numbers, bytes, lists and dictionaries it makes as
usual; where an array would be made it writes down how, as a `Recipe`, for four names that a batch
needs, and it refuses all others. Instructions that no batch has are refused as well, and so are
very many of them, and keys that are no names: to find a tuple's place in a dictionary is to walk
through all that is in it.

Called by `minihf.data.cifar`.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pickletools import genops
from typing import Any

__all__ = ["Recipe", "read"]

NAMES = frozenset({
    "numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct",
    "numpy ndarray", "numpy dtype",
})  # fmt: skip

MOST = 2**20
"""Instructions that are carried out; a batch of 10,000 images has some 40,000."""


@dataclass
class Recipe:
    """How an object would have been made: what was called, with which arguments, then which state.

    Nothing has been called.
    """

    name: str
    arguments: Any = None
    state: Any = None


MARK = object()
"""Where, on the stack, the items of a list, a dictionary or a tuple begin."""


def read(content: bytes | bytearray) -> Any:
    """Return what a pickle of protocol 2 holds, as CIFAR-10 was written by Python 2.

    Raises
    ------
    ValueError
        If it has an instruction or a name that a batch does not need, or makes no sense.

    Examples
    --------
    >>> import pickle
    >>> read(pickle.dumps({"labels": [6, 9, 9]}, protocol=2))
    {'labels': [6, 9, 9]}
    >>> read(pickle.dumps(print, protocol=2))
    Traceback (most recent call last):
    ValueError: it names '__builtin__ print', which no batch of CIFAR-10 does
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)      # of escapes in a hostile name
        try:
            return _result(content)
        except (AttributeError, IndexError, KeyError, TypeError):
            raise ValueError("it is a pickle that makes no sense") from None


def _result(content: bytes | bytearray) -> Any:
    machine = _Machine()
    for done, (instruction, argument, _) in enumerate(genops(content)):
        if done == MOST:
            raise ValueError(f"it has more than {MOST:,} instructions")
        if instruction.name == "STOP":
            return machine.stack.pop()
        machine.do(instruction.name, argument)
    raise ValueError("it is a pickle without an end")


class _Machine:
    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def do(self, instruction: str, argument: Any) -> None:
        stack = self.stack
        match instruction:
            case "PROTO":
                pass
            case "NONE":
                stack.append(None)
            case "NEWTRUE" | "NEWFALSE":
                stack.append(instruction == "NEWTRUE")
            case "BININT" | "BININT1" | "BININT2" | "LONG1" | "BINUNICODE":
                stack.append(argument)
            case "SHORT_BINSTRING" | "BINSTRING":
                stack.append(argument.encode("latin-1"))       # a string of Python 2 is bytes
            case "EMPTY_DICT":
                stack.append({})
            case "EMPTY_LIST":
                stack.append([])
            case "MARK":
                stack.append(MARK)
            case "TUPLE":
                stack.append(tuple(self.since_mark()))
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                stack.append(tuple(self.last(int(instruction[-1]))))
            case "APPEND":
                self.extend(self.last(1))
            case "APPENDS":
                self.extend(self.since_mark())
            case "SETITEM":
                self.set_items(self.last(2))
            case "SETITEMS":
                self.set_items(self.since_mark())
            case "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "GLOBAL":
                if argument not in NAMES:
                    raise ValueError(f"it names {argument[:80]!r}, which no batch of CIFAR-10 does")
                stack.append(Recipe(argument))
            case "REDUCE":
                what, arguments = self.last(2)
                stack.append(Recipe(what.name, arguments))
            case "BUILD":
                made, state = self.last(2)
                made.state = state
                stack.append(made)
            case _:
                raise ValueError(f"it has {instruction}, which no batch of CIFAR-10 has")

    def last(self, n: int) -> list[Any]:
        """Take the last n from the stack."""
        return [self.stack.pop() for _ in range(n)][::-1]

    def since_mark(self) -> list[Any]:
        """Take what came after the last mark, and the mark."""
        taken = []
        while (item := self.stack.pop()) is not MARK:
            taken.append(item)
        return taken[::-1]

    def extend(self, items: list[Any]) -> None:
        self.stack[-1].extend(items)

    def set_items(self, items: list[Any]) -> None:
        if not all(isinstance(key, bytes | str) for key in items[::2]):
            raise TypeError
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))
