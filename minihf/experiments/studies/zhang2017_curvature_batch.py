"""Zhang et al. 2017: how many of the gradient's cases the curvature needs."""

from minihf.experiments.claims import Ahead
from minihf.experiments.studies.study import Study
from minihf.experiments.studies.zhang2017 import BHF, HOUSE, SMALL, SOURCE

DAMPED = f"{BHF}:damping.initial=0.01"
EIGHTH, QUARTER, ALL = (f"{DAMPED}:sampling.fraction={share}" for share in (0.125, 0.25, 1))

STUDY = Study(
    title="The curvature batch",
    source=SOURCE,
    says="An eighth or a quarter of the gradient's cases are enough for the curvature.",
    task="autoencoder-mnist",
    at=SMALL,
    methods=(EIGHTH, QUARTER, ALL, HOUSE),
    claims=(
        Ahead(ALL, QUARTER, "updates"),
        Ahead(QUARTER, EIGHTH, "updates"),
        Ahead(QUARTER, ALL, "seconds"),
        Ahead(EIGHTH, ALL, "seconds"),
        Ahead(HOUSE, QUARTER, "seconds"),
    ),
    seconds=25,
    remark="A quarter is ahead of all cases even by updates: curvature that the sample misses "
    "makes steps longer, and a tenth of CG's step is too short anyway. An eighth is ahead "
    "for some six updates and then jumps up from each of the seeds, from one of them to "
    "twenty times its error. A damping of 0.01 holds back too little there, and the paper's "
    "of 0, in our reading, less.",
)
