"""A small residual network on images, after Zhang et al. 2017."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from minihf.data import Dataset, read_images
from minihf.experiments.methods import SMALL_BATCHES, Method
from minihf.experiments.networks import RESNET_BLOCKS, resnet
from minihf.experiments.tasks.task import LOOKS, Task, error_rate, mnist
from minihf.losses import SoftmaxCrossEntropy
from minihf.optim import papers

__all__ = ["TASKS"]


def _cifar10_or_mnist(path: Path | None) -> Dataset:
    if path is None:
        return mnist((1, 28, 28))(None)
    return read_images(path, "cifar10", classes=10)


TASKS = {
    "resnet-cifar10": Task(
        summary="small ResNet without batch norm, on CIFAR-10 (--data PATH) or MNIST-5k images",
        load=_cifar10_or_mnist,
        network=lambda images: resnet(images.x_train.shape[1]),
        loss=SoftmaxCrossEntropy(),
        metric=error_rate,
        metric_name="error rate",
        settings={
            "minihf": SMALL_BATCHES,
            "zhang2017": Method(
                "BHF (zhang2017)", papers.zhang2017(RESNET_BLOCKS, lam=0.1, max_iters=30), 2048
            ),
        },
        looks=replace(LOOKS, cases=150, at_end=1000),
        whole="cifar10",
    )
}
