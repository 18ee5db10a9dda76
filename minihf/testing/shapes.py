"""Shapes with names in them: ``"N T D"`` for a sequence, ``"D 4H"`` for an LSTM's weights.

A check that is told the names of the sizes, and not only some numbers, can draw sizes, make a
failing case smaller, and say "off by 4 = N". A shape is a text of axes with blanks between them.
An axis is a number, a name, a multiple of a name, or a name plus a number: ``3``, ``N``, ``4H``,
``H+2``. The empty text is the shape of a number. A tuple such as ``("N", 28, 28)`` does, too.

Called by every check.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Shape", "names_of", "shape"]

AXIS = re.compile(r"(?P<times>\d+)?(?P<name>[A-Za-z_]\w*)?(?:\+(?P<plus>\d+))?")


@dataclass(frozen=True)
class Axis:
    """One axis: times * size of the name + plus; without a name, a number."""

    times: int
    name: str | None
    plus: int

    def at(self, sizes: Mapping[str, int]) -> int:
        """Return the length for given sizes."""
        return self.times * (1 if self.name is None else sizes[self.name]) + self.plus


@dataclass(frozen=True)
class Shape:
    """A shape as it was written, and as axes."""

    text: str
    axes: tuple[Axis, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of sizes in it, in order, each once."""
        return tuple(dict.fromkeys(axis.name for axis in self.axes if axis.name is not None))

    def at(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Return the numbers for given sizes."""
        return tuple(axis.at(sizes) for axis in self.axes)


def shape(written: Any) -> Shape:
    """Read a shape.

    Parameters
    ----------
    written : str, tuple of str and int, or Shape

    Raises
    ------
    ValueError
        If an axis is none of ``3``, ``N``, ``4H``, ``H+2``.

    Examples
    --------
    >>> shape("N T 4H").at({"N": 2, "T": 5, "H": 3})
    (2, 5, 12)
    >>> shape(("N", 28)).names
    ('N',)
    """
    if isinstance(written, Shape):
        return written
    if not isinstance(written, str | tuple | list):
        raise ValueError(f"a shape is a text such as 'N D', or a tuple, got {written!r}")
    tokens = written.split() if isinstance(written, str) else [str(axis) for axis in written]
    axes = []
    for token in tokens:
        found = AXIS.fullmatch(token)
        if not found or not (found["times"] or found["name"]):
            raise ValueError(
                f"shape {written!r}: {token!r} is no axis; write a number, a name, 4H or H+2, "
                "with blanks between the axes"
            )
        axes.append(Axis(int(found["times"] or 1), found["name"], int(found["plus"] or 0)))
    return Shape(" ".join(tokens), tuple(axes))


def names_of(shapes: Iterable[Shape]) -> tuple[str, ...]:
    """Return the names of sizes in several shapes, in order, each once."""
    return tuple(dict.fromkeys(name for shape in shapes for name in shape.names))
