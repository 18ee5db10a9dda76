"""The methods by the names that the command line knows.

A method is an optimizer with the batch size it is used with. These are what a task takes where it
has no settings of its own. Called by the tasks and the demo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from minihf.optim import SGD, Adam, HessianFree, Linear, papers

__all__ = ["METHODS", "SMALL_BATCHES", "Method"]


@dataclass(frozen=True)
class Method:
    """An optimizer and how it is used.

    Attributes
    ----------
    label : str
        What figures call it.
    opt : HessianFree, Adam, SGD
    batch_size : int, optional
        Cases per update; all there are, if None.
    averaging : float, optional
        As `minihf.fit` takes it.
    """

    label: str
    opt: Any
    batch_size: int | None = None
    averaging: float | None = None

    @property
    def first_order(self) -> bool:
        """Whether it goes by gradients alone. Without products a method need not be one."""
        return isinstance(self.opt, SGD | Adam)


METHODS: Mapping[str, Method] = {
    "minihf": Method("minihf", HessianFree(), batch_size=1000, averaging=0.05),
    "zhang2017": Method("BHF (zhang2017)", papers.zhang2017(), batch_size=2048),
    "martens2010": Method("HF (martens2010)", papers.martens2010(lam=1.0), batch_size=2048),
    "martens_sutskever2011": Method(
        "structural HF (martens_sutskever2011)", papers.martens_sutskever2011(), batch_size=2048
    ),
    "wiesler2013": Method("HF for classifiers (wiesler2013)", papers.wiesler2013()),
    "kiros2013": Method(
        "stochastic HF (kiros2013)", papers.kiros2013(updates_per_epoch=5), batch_size=1000
    ),
    "chan_szeto1999": Method("block LM (chan_szeto1999)", papers.chan_szeto1999()),
    "chen2018": Method("EA-CG on PCH (chen2018)", papers.chen2018(), batch_size=500),
    "adam": Method("Adam", Adam(lr=1e-3), batch_size=128),
    "adam-linear": Method(
        "Adam, rate to 0", Adam(lr=Linear(1e-3, 0.0, updates=5000)), batch_size=128
    ),
    "sgd": Method("SGD", SGD(lr=0.01, momentum=0.9), batch_size=128),
}
"""Some refuse some networks, and say why and what to take instead."""

SMALL_BATCHES = replace(METHODS["minihf"], batch_size=250)
"""The house method where the factors cost next to nothing beside a gradient: filters, gates.

On wide dense layers they cost as much as a gradient of some hundred cases, and batches of 1,000 are
the better bargain.
"""
