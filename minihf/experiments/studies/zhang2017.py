"""What the three experiments of Zhang et al. 2017 have in common: rivals, and what is claimed.

The paper's results are curves, not tables: an order, and no numbers to compare with.
"""

from __future__ import annotations

from minihf.experiments.claims import Ahead, Claim

__all__ = ["ADAM", "BHF", "CLAIMS", "HF", "HOUSE", "LARGE_ADAM", "METHODS", "SOURCE"]

SOURCE = "Zhang, Xiong, Bradbury & Socher, arXiv 1712.07296 (2017)"

ADAM, LARGE_ADAM = "adam", "adam:batch=2048"
HF, BHF, HOUSE = "zhang2017:blocks=network", "zhang2017", "minihf"
METHODS = (ADAM, LARGE_ADAM, HF, BHF, HOUSE)

CLAIMS: tuple[Claim, ...] = (
    Ahead(BHF, HF, "updates"),
    Ahead(BHF, HF, "updates", "test"),
    Ahead(BHF, HF, "seconds"),
    Ahead(BHF, ADAM, "updates"),
    Ahead(BHF, LARGE_ADAM, "updates"),
    Ahead(BHF, LARGE_ADAM, "updates", "test"),
    Ahead(HOUSE, ADAM, "seconds"),
    Ahead(HOUSE, BHF, "seconds"),
)
"""The last two are ours."""
