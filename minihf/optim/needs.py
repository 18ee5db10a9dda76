"""What the parts of a composition need of a loss, beside its `value` and `grad`.

A part, or a type that is one, names these methods in its attribute `needs`. Called by
`minihf.HessianFree` before an update, so that a loss without them is refused in one line.
"""

from __future__ import annotations

from typing import Any

__all__ = ["must_meet"]

INSTEAD = {
    "sample": "take preconditioner=SquaredGradients()",
    "root": "take preconditioner=SquaredGradients()",
    "hessian": "train by hf.SGD or hf.Adam",
}
"""By method: what does without."""


def must_meet(loss: Any, *parts: Any) -> None:
    """Refuse a loss that lacks a method which one of the parts needs.

    Raises
    ------
    TypeError
        With the part, the method, and what to do.
    """
    for part in parts:
        kind = part if isinstance(part, type) else type(part)
        for method in getattr(part, "needs", ()):
            if not hasattr(loss, method):
                raise TypeError(
                    f"{kind.__name__} needs loss.{method}, which {type(loss).__name__} has not; "
                    f"give it one, or {INSTEAD[method]}"
                )
