"""A wide classifier with dropout: the task of Kiros 2013, with the paper's network for MNIST.

An epoch of MNIST-5k has 5 updates of 1,000 cases, and the schedules of ``kiros2013`` go by that.
For all of MNIST (--data) there are 60, and the method is
``kiros2013:solver.warm_start.every=60:step_rule.factor.every=60``.
"""

from __future__ import annotations

from minihf.experiments.methods import Method
from minihf.experiments.networks import dropout_classifier
from minihf.experiments.tasks.task import Task, error_rate, mnist
from minihf.losses import SoftmaxCrossEntropy
from minihf.optim import SGD, HessianFree, LevenbergMarquardt, MaxNorm, papers

__all__ = ["TASKS"]

TASKS = {
    "dropout-mnist": Task(
        summary="784-1200-1200-10, ReLU, half of the inputs and of the last units dropped, on "
        "MNIST-5k or MNIST (--data)",
        load=mnist((784,)),
        network=lambda digits: dropout_classifier(784, 1200, 1200, 10, corruption=0.5),
        loss=SoftmaxCrossEntropy(),
        metric=error_rate,
        metric_name="error rate",
        settings={
            "minihf": Method(
                "minihf", HessianFree(damping=LevenbergMarquardt(0.1, minimum=0.01)), 1000
            ),
            "zhang2017": Method("BHF (zhang2017)", papers.zhang2017(lam=0.1), 2048),
            "sgd": Method("SGD", SGD(lr=0.1, momentum=0.9, projection=MaxNorm()), 128),
        },
        whole="mnist",
    )
}
