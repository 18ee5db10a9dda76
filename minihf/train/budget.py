"""What a run may spend: updates, seconds or epochs, one of the three.

Called by `minihf.fit`, its looks, and whatever keeps or watches runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

__all__ = ["Budget"]

COLUMNS = {"updates": "updates", "seconds": "seconds", "epochs": "data_passes"}
"""By kind: the column of a record that tells how much of it is spent."""


@dataclass(frozen=True)
class Budget:
    """What a run may spend.

    Examples
    --------
    >>> budget = Budget.of(updates=None, seconds=25.0, epochs=None)
    >>> budget.name, budget.spent({"updates": 10, "seconds": 5.0, "data_passes": 0.5})
    ('25 seconds', 0.2)
    """

    kind: str
    amount: float

    @classmethod
    def of(cls, updates: Any, seconds: Any, epochs: Any) -> Budget:
        """Take the one that is given.

        Raises
        ------
        ValueError
            If it is not one, or not positive.
        """
        given = {"updates": updates, "seconds": seconds, "epochs": epochs}
        given = {kind: amount for kind, amount in given.items() if amount is not None}
        if len(given) != 1:
            raise ValueError(
                "fit: give one budget of updates=, seconds=, epochs=; "
                f"got {', '.join(given) or 'none'}"
            )
        ((kind, amount),) = given.items()
        if not _is_positive(amount):
            raise ValueError(f"fit: {kind} must be a positive number, got {amount!r}")
        return cls(kind, amount)

    @classmethod
    def read(cls, budget: Mapping[str, Any]) -> Budget:
        """Take one that was written down, ``{"updates": 50}``.

        Raises
        ------
        ValueError
            If it is none.
        """
        if len(budget) == 1:
            ((kind, amount),) = budget.items()
            if kind in COLUMNS and _is_positive(amount):
                return cls(kind, amount)
        raise ValueError(f"'budget' is {budget!r}, expected one such as {{'updates': 50}}")

    @property
    def name(self) -> str:
        """The budget as one reads it."""
        return f"{self.amount:g} {self.kind}"

    def spent(self, done: Mapping[str, float]) -> float:
        """Return the share that is spent, by a record or what has the same columns."""
        return done[COLUMNS[self.kind]] / self.amount


def _is_positive(amount: Any) -> bool:
    is_number = isinstance(amount, Real) and amount is not True
    return is_number and amount > 0
