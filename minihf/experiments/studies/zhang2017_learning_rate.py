"""Zhang et al. 2017: how long a step should be, next to Adam at several rates."""

from minihf.experiments.claims import Ahead
from minihf.experiments.studies.study import Study
from minihf.experiments.studies.zhang2017 import BHF, HOUSE, SMALL, SOURCE

RATES = tuple(f"{BHF}:step_rule.alpha={alpha}" for alpha in (0.03, 0.1, 0.3, 1))
ADAMS = tuple(f"adam:lr={lr}" for lr in (0.0003, 0.001, 0.003))

STUDY = Study(
    title="Learning rates",
    source=SOURCE,
    says="A fixed rate of 0.1 is what block-diagonal HF is used with; with two blocks and exact "
    "solutions every rate below 1 would lower the quadratic.",
    task="autoencoder-mnist",
    at=SMALL,
    methods=(*RATES, *ADAMS, HOUSE),
    claims=(
        Ahead(RATES[1], RATES[0], "updates"),
        Ahead(RATES[2], RATES[1], "updates"),
        Ahead(RATES[3], RATES[2], "updates"),
        *(Ahead(RATES[1], adam, "updates") for adam in ADAMS),
        *(Ahead(HOUSE, adam, "seconds") for adam in ADAMS),
    ),
    seconds=15,
    remark="After ten updates 0.3 is the best of these, and with 1 the objective goes up and "
    "down. The bound is on a quadratic with the curvature of all cases and exact "
    "solutions; the network, a quarter of the cases and thirty iterations keep to it up to "
    "0.3.",
)
