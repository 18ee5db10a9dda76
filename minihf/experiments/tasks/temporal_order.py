"""Which of two symbols came first, many steps ago: what recurrent networks find hard."""

from __future__ import annotations

from functools import partial

from minihf.curvature.partitions import k_units
from minihf.experiments.methods import Method
from minihf.experiments.networks import lstm_classifier, rnn_classifier
from minihf.experiments.tasks.task import Task, embedded, error_rate
from minihf.losses import SoftmaxCrossEntropy
from minihf.optim import papers

__all__ = ["TASKS"]

LONG_LAG_SETTINGS = {
    "zhang2017": Method("BHF (zhang2017)", papers.zhang2017(lam=0.01, max_iters=100), 2048),
    "chan_szeto1999": Method(
        "block LM (chan_szeto1999)", papers.chan_szeto1999(partial(k_units, k=5))
    ),
}

TASKS = {
    "temporal-order": Task(
        summary="a tanh RNN of 20 units on sequences of 50 symbols: which two, up to 44 steps ago",
        load=embedded("temporal-order"),
        network=lambda sequences: rnn_classifier(6, 20, classes=4),
        loss=SoftmaxCrossEntropy(),
        metric=error_rate,
        metric_name="error rate",
        settings=LONG_LAG_SETTINGS,
    ),
    "temporal-order-lstm": Task(
        summary="the same by an LSTM of 10 units",
        load=embedded("temporal-order"),
        network=lambda sequences: lstm_classifier(6, 10, layers=1, classes=4),
        loss=SoftmaxCrossEntropy(),
        metric=error_rate,
        metric_name="error rate",
        settings=LONG_LAG_SETTINGS,
    ),
}
