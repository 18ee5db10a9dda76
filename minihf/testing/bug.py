"""What a planted bug is: a mistake in one rule's source, and how it must be found.

Called by the table of them, `minihf.testing.planted`, by the kill matrix and by tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any
from unittest.mock import patch

import numpy as np

from minihf.curvature import GGN
from minihf.op import Op
from minihf.optim import FixedStep, HessianFree, Prefix
from minihf.partition import Partition
from minihf.testing.builtin import BUILTIN, Row
from minihf.testing.checks.curvature import check_ggn
from minihf.testing.checks.loss import check_loss
from minihf.testing.checks.operator import check_operator
from minihf.testing.checks.optimizer import check_optimizer
from minihf.testing.checks.solver import check_solver
from minihf.testing.failure import Verdict
from minihf.testing.planting import plant, planted_in

__all__ = ["CHECKS", "Bug"]


@dataclass(frozen=True)
class Bug:
    """One mistake: where, what, and what must be said about it.

    Attributes
    ----------
    name : str
    target, old, new : str
        As for `plant`.
    on : str
        What it is checked on: a row of `BUILTIN`, or one of `CHECKS`.
    rung : str
        The first rung that breaks.
    diagnosis : str
        What the failure says; a part of it will do unless `known`.
    known : bool
        Whether it is a mistake with a name of its own, `diagnosis`.
    """

    name: str
    target: str
    old: str
    new: str
    on: str
    rung: str
    diagnosis: str = ""
    known: bool = False

    @property
    def planted(self) -> Any:
        """The class, or the function, with the bug."""
        return plant(self.target, self.old, self.new)

    @property
    def right(self) -> Any:
        """The class, or the function, without the bug."""
        module, _, path = self.target.partition(":")
        return resolve_name(f"{module}:{path.rpartition('.')[0] or path}")

    @property
    def row(self) -> Row | None:
        """The row of `BUILTIN` with the bug in its op; None if it is in no op."""
        if self.on not in BUILTIN:
            return None
        right = BUILTIN[self.on]
        return replace(right, op=_with(right.op, lambda op: planted_in(op, self.planted)))

    def check(self) -> Verdict:
        """Check what has the bug in it, and fail."""
        __tracebackhide__ = True
        return self.row.check() if self.row is not None else CHECKS[self.on](self.planted)


def _with(op: Any, change: Callable[[Any], Any]) -> Any:
    """Change an op, or what a maker of ops makes."""
    if isinstance(op, Op):
        return change(op)

    @wraps(op)
    def make(**sizes: int) -> Any:
        return change(op(**sizes))

    return make


# What is no op ------------------------------------------------------------------------------


def _check_block(block: Any) -> Verdict:
    """Check a Gauss-Newton matrix whose blocks are made by a class of blocks."""

    def divided(lin: Any, loss: Any, y: Any, partition: Any) -> GGN:
        layout = lin.params.layout
        right = Partition.of(lin.params, "network" if partition is None else partition)
        if len(right) > 1:  # every other coordinate, across the layers
            two = {name: np.arange(i, lin.params.size, 2) for i, name in enumerate(("even", "odd"))}
            blocks = [block.of_indices(name, layout, index) for name, index in two.items()]
        else:
            (whole,) = right.values()
            names = [piece.name for piece in whole.pieces]
            blocks = [block.of_names(whole.name, layout, names)]
        return GGN(lin, loss, y, Partition(layout, blocks))

    return check_ggn(divided)


def _check_shifted(shifted: Any) -> Verdict:
    A = np.diag([1.0, 2.0, 4.0])
    return check_operator(shifted(A, 0.5), dense=A + 0.5 * np.eye(3))


def _check_turn(turn: Any) -> Verdict:
    opt = HessianFree(sampling=ALL_CASES, step_rule=FixedStep(0.1))
    with patch("minihf.optim.hessian_free.Turn", turn):
        return check_optimizer(opt)


ALL_CASES = Prefix(1.0)  # a fixed step goes astray on what a part of few cases does not see

CHECKS: Mapping[str, Callable[[Any], Verdict]] = MappingProxyType({
    "loss": lambda loss: check_loss(loss()),
    "GGN": check_ggn,
    "block": _check_block,
    "damped operator": _check_shifted,
    "CG": lambda solve: check_solver(solve),
    "SGD": lambda opt: check_optimizer(opt(lr=0.05, momentum=0.9)),
    "turn": _check_turn,
    "step rule": lambda rule: check_optimizer(HessianFree(sampling=ALL_CASES, step_rule=rule())),
    "CG, many iterations": lambda solve: check_solver(solve, sizes={"k": 7, "m": 1}),
})  # fmt: skip
"""How a loss, an operator, a solver, an optimizer with a bug is checked."""
