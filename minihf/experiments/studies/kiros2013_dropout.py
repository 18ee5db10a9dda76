"""Kiros 2013: HF by batches, with dropout."""

from minihf.experiments.claims import Ahead
from minihf.experiments.studies.study import Study

STUDY = Study(
    title="Stochastic HF with dropout",
    source="Kiros, ICLR 2013 workshop, arXiv 1301.3641",
    says="Made gentler and given a batch at a time, HF trains networks with dropout as well as "
    "stochastic gradient descent does, without a learning rate to tune.",
    task="dropout-mnist",
    methods=("kiros2013", "sgd", "adam", "minihf"),
    claims=(
        Ahead("kiros2013", "sgd", "updates", "test"),
        Ahead("kiros2013", "sgd", "data_passes", "test"),
        Ahead("kiros2013", "sgd", "seconds", "test"),
    ),
    seconds=40,
    remark="By updates stochastic HF is ahead. By passes and by seconds SGD is in front, from "
    "most seeds: an update is worth more than one of SGD, and costs more still. The paper "
    "trains for 500 epochs, and these are twelve.",
)
