"""Tasks: what is trained, by the names of the command line.

A task is data, not code: to add one, add a file with a mapping of name to `Task`, and name it here.
Called by the runner and the command line.
"""

from __future__ import annotations

from collections.abc import Mapping

from minihf.experiments.tasks import (
    autoencoders,
    classifier_digits,
    deep_sigmoid,
    dropout_mnist,
    lstm_mnist,
    resnet_cifar10,
    temporal_order,
)
from minihf.experiments.tasks.task import Task

__all__ = ["TASKS", "Task"]

TASKS: Mapping[str, Task] = {
    **autoencoders.TASKS,
    **lstm_mnist.TASKS,
    **resnet_cifar10.TASKS,
    **classifier_digits.TASKS,
    **deep_sigmoid.TASKS,
    **dropout_mnist.TASKS,
    **temporal_order.TASKS,
}
