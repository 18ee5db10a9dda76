"""Zhang et al. 2017: a residual network on CIFAR-10, three groups of layers as blocks."""

from minihf.experiments.studies.study import Study
from minihf.experiments.studies.zhang2017 import ADAM, BHF, HF, HOUSE, SOURCE, claims

SMALLER = (f"{HF}:batch=1000", f"{BHF}:batch=1000")
"""Batches of 2,048 leave a handful of updates on two cores."""

STUDY = Study(
    title="Block-diagonal HF on a residual network",
    source=SOURCE,
    says="With three groups of layers as blocks, block-diagonal HF is ahead of HF and Adam in "
    "training and test error.",
    task="resnet-cifar10",
    methods=(ADAM, *SMALLER, HOUSE),
    claims=claims(ADAM, hf=SMALLER[0], bhf=SMALLER[1]),
    seconds=70,
    remark="Eight to ten updates are what batches of 1,000 leave on two cores, too few to tell "
    "blocks from one block: the paper's setting wants a GPU. Against Adam the order by "
    "updates is the paper's in test error; in training error the ranges of the seeds touch. "
    "Adam has the paper's rate, which is not tuned for this network.",
)
