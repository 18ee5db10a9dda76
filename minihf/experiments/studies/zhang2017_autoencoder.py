"""Zhang et al. 2017: the deep autoencoder of MNIST, one block for each half."""

from minihf.experiments.studies.study import Study
from minihf.experiments.studies.zhang2017 import (
    ADAM,
    BHF,
    HF,
    HOUSE,
    LARGE_ADAM,
    SMALL,
    SOURCE,
    claims,
)

STUDY = Study(
    title="Block-diagonal HF on a deep autoencoder",
    source=SOURCE,
    says="With encoder and decoder as blocks, block-diagonal HF converges in fewer updates than HF "
    "on the whole matrix and than Adam, small batches or large, and generalises better.",
    task="autoencoder-mnist",
    at=SMALL,
    methods=(ADAM, LARGE_ADAM, HF, BHF, HOUSE),
    claims=claims(ADAM, LARGE_ADAM),
    seconds=40,
    remark="By updates the order is the paper's. By seconds both are far behind Adam with small "
    "batches: in this time there are some thirty updates, each a tenth of the way that CG "
    "has found. The house method has the smallest training error and not the smallest test "
    "error: 5,000 images are few, and Adam has not learned them as far.",
)
