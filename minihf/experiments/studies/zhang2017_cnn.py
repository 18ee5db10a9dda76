"""Zhang et al. 2017: a residual network on CIFAR-10, three groups of layers as blocks."""

from minihf.experiments.studies.study import Study
from minihf.experiments.studies.zhang2017 import CLAIMS, METHODS, SOURCE

STUDY = Study(
    title="Block-diagonal HF on a residual network",
    source=SOURCE,
    says="With three groups of layers as blocks, block-diagonal HF is ahead of HF and Adam in "
    "training and test error.",
    task="resnet-cifar10",
    methods=METHODS,
    claims=CLAIMS,
    seconds=40,
)
