"""The smallest task on real data: UCI digits by one hidden layer, for a first look at a method."""

from __future__ import annotations

from minihf.experiments.tasks.task import Task, embedded, error_rate
from minihf.layers import Dense, Sequential, Tanh
from minihf.losses import SoftmaxCrossEntropy

__all__ = ["TASKS"]

TASKS = {
    "classifier-digits": Task(
        summary="64-64-10, tanh, softmax, on the UCI digits",
        load=embedded("digits"),
        network=lambda digits: Sequential(
            hidden=Dense(64, 64), tanh=Tanh(), dense=Dense(64, 10)
        ),
        loss=SoftmaxCrossEntropy(),
        metric=error_rate,
        metric_name="error rate",
    )
}
