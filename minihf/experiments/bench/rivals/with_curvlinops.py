"""curvlinops' linear operator: forward and backward anew in every product."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from curvlinops import GGNLinearOperator

from minihf.experiments.bench.problems import Case
from minihf.experiments.bench.rivals.with_torch import Setting, solve
from minihf.experiments.bench.systems import Operator, System

__all__ = ["curvlinops"]


def curvlinops(case: Case) -> System:
    """Make the operator on the parameters of a block, for the one batch."""
    setting = Setting(case)

    def operator(block: list[int]) -> Operator:
        at = [setting.parameters[i] for i in block]
        G = GGNLinearOperator(
            setting.model, setting.loss, at, [(setting.x, setting.y)],
            check_deterministic=False, num_data=len(setting.x),
        )  # fmt: skip

        def product(v: Sequence[Any]) -> Sequence[Any]:
            return G @ list(v)

        return product, partial(solve, product)

    return setting.system(operator)
