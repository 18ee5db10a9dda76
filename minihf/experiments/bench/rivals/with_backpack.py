"""BackPACK's product: through the kept graph of the output, and a new double backward each time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from backpack.hessianfree.ggnvp import ggn_vector_product_from_plist

from minihf.experiments.bench.problems import Case
from minihf.experiments.bench.rivals.with_torch import Setting, solve
from minihf.experiments.bench.systems import Operator, System

__all__ = ["backpack"]


def backpack(case: Case) -> System:
    """Compute the loss once, and call `ggn_vector_product_from_plist` for each product."""
    setting = Setting(case)
    z = setting.model(setting.x)
    loss = setting.loss(z, setting.y)

    def operator(block: list[int]) -> Operator:
        at = [setting.parameters[i] for i in block]

        def product(v: Sequence[Any]) -> Sequence[Any]:
            return ggn_vector_product_from_plist(loss, z, at, v)

        return product, partial(solve, product)

    return setting.system(operator)
