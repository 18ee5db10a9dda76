"""What the three experiments of Zhang et al. 2017 have in common: rivals, and what is claimed.

The paper's results are curves, not tables: an order, and no numbers to compare with.
"""

from __future__ import annotations

from minihf.experiments.claims import Ahead, Claim

__all__ = ["ADAM", "BHF", "HF", "HOUSE", "LARGE_ADAM", "SMALL", "SOURCE", "claims"]

SOURCE = "Zhang, Xiong, Bradbury & Socher, arXiv 1712.07296 (2017)"

ADAM, LARGE_ADAM = "adam", "adam:batch=2048"
SMALL = dict.fromkeys(("smoke", "laptop"), "autoencoder-mnist-small")
"""The task in the place of the paper's autoencoder, where there is less time than that takes."""

HF, BHF, HOUSE = "zhang2017:blocks=network", "zhang2017", "minihf"


def claims(*adams: str, hf: str = HF, bhf: str = BHF) -> tuple[Claim, ...]:
    """Return what the paper says of its method, and what we say of ours: the last two."""
    return (
        Ahead(bhf, hf, "updates"),
        Ahead(bhf, hf, "updates", "test"),
        Ahead(bhf, hf, "seconds"),
        *(Ahead(bhf, adam, "updates", error) for adam in adams for error in ("train", "test")),
        Ahead(HOUSE, ADAM, "seconds"),
        Ahead(HOUSE, bhf, "seconds"),
    )
