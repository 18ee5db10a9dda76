"""Planting a bug: the source of a rule, one piece of it exchanged, and compiled again.

    plant("minihf.ops.dense:DenseOp.vjp", "u2.sum(", "u2.mean(")       a DenseOp that averages

The piece must occur exactly once, so that a table of bugs cannot outlive the code it speaks of: it
is the code itself that carries the mistake, and not a copy that has grown old.

Called by `minihf.testing.planted`, and by who wants to know whether their own tests would notice.
"""

from __future__ import annotations

import inspect
import sys
from functools import cache
from pkgutil import resolve_name
from textwrap import dedent, indent
from typing import Any

__all__ = ["plant", "planted_in"]


@cache
def plant(target: str, old: str, new: str) -> Any:
    """Return a function with a bug, or a subclass that has a method with a bug.

    Parameters
    ----------
    target : str
        ``"module:function"`` or ``"module:Class.method"``; the class may have inherited the method.
    old, new : str
        What is exchanged in its source.

    Raises
    ------
    ValueError
        If there is no such target, or `old` is not in its source exactly once.

    Examples
    --------
    >>> import numpy as np
    >>> Averaging = plant("minihf.ops.dense:DenseOp.vjp", "u2.sum(", "u2.mean(")
    >>> op, u = Averaging(), np.ones((4, 1))
    >>> _, residuals = op.forward(np.ones((4, 2)), np.ones((2, 1)), np.zeros(1))
    >>> op.vjp(residuals, u, (False, False, True))[2]
    array([1.])
    """
    module, _, path = target.partition(":")
    owner_path, _, name = path.rpartition(".")
    try:
        owner = resolve_name(f"{module}:{owner_path}") if owner_path else None
        there = inspect.getattr_static(owner or sys.modules[module], name)
    except (ImportError, AttributeError, KeyError) as error:
        raise ValueError(f"plant: there is no {target!r}; {error}") from None
    function = getattr(there, "fget", None) or getattr(there, "__func__", there)
    source = dedent(inspect.getsource(function))
    if source.count(old) != 1:
        raise ValueError(
            f"plant: {old!r} must be in the source of {target} once, and is {source.count(old)} "
            "times"
        )
    # A method that calls super() finds its class under this name.
    text = f"def make(__class__):\n{indent(source.replace(old, new), '    ')}    return {name}\n"
    home = sys.modules[function.__module__]
    namespace = dict(vars(home))
    exec(compile(text, f"<{target}, with a bug>", "exec"), namespace)
    made = namespace["make"](getattr(home, function.__qualname__.split(".")[0]))
    if owner is None:
        return made
    # Nobody's module: such a class must never pass for one of the library's.
    return type(owner.__name__, (owner,), {name: made, "__module__": "planted"})


def planted_in(thing: Any, cls: Any) -> Any:
    """Return a copy of an object of the class that `cls` was planted in, with the bug."""
    other = object.__new__(cls)
    vars(other).update(vars(thing))
    return other
