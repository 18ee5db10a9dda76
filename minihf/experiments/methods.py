"""The methods by the names that the command line knows.

A method is an optimizer with the batch size it is used with. Called by the demo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minihf.experiments.networks import AUTOENCODER_BLOCKS
from minihf.optim import Adam, HessianFree, papers

__all__ = ["AUTOENCODER_METHODS", "Method"]


@dataclass(frozen=True)
class Method:
    """An optimizer, what figures call it, and its cases per update (None: all there are)."""

    label: str
    opt: Any
    batch_size: int | None = None


AUTOENCODER_METHODS: Mapping[str, Method] = {
    "adam": Method("Adam", Adam(lr=1e-3), batch_size=128),
    "martens2010": Method("HF (martens2010)", papers.martens2010()),
    "zhang2017": Method("BHF (zhang2017)", papers.zhang2017(AUTOENCODER_BLOCKS)),
    "minihf": Method("minihf", HessianFree(), batch_size=500),
}
"""For a network with an encoder and a decoder, trained on all cases at once where it can be."""
