"""A deep classifier of sigmoid units, in which gradients vanish: SGD stalls where it starts.

The network, batch size and baseline of Chen et al. (arXiv 1802.06502) for MNIST, and the question
that Wiesler et al. (Interspeech 2013) ask.
"""

from __future__ import annotations

from minihf.experiments.methods import Method
from minihf.experiments.networks import sigmoid_classifier
from minihf.experiments.tasks.task import Task, error_rate, mnist
from minihf.losses import SoftmaxCrossEntropy
from minihf.optim import SGD

__all__ = ["TASKS"]


TASKS = {
    "deep-sigmoid": Task(
        summary="784-512-128-32-10, sigmoid, softmax, on MNIST-5k or MNIST (--data)",
        load=mnist((784,)),
        network=lambda digits: sigmoid_classifier(784, 512, 128, 32, 10),
        loss=SoftmaxCrossEntropy(),
        metric=error_rate,
        metric_name="error rate",
        settings={"sgd": Method("SGD", SGD(lr=0.1, momentum=0.9), batch_size=500)},
        whole="mnist",
    )
}
