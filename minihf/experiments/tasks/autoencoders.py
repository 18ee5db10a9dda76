"""Deep autoencoders: the benchmark of Hessian-free optimization since Martens 2010."""

from __future__ import annotations

from minihf.experiments.methods import Method
from minihf.experiments.networks import AUTOENCODER_BLOCKS, autoencoder, logistic_autoencoder
from minihf.experiments.tasks.task import (
    Task,
    embedded,
    image_error,
    logistic_image_error,
    mnist,
)
from minihf.losses import SigmoidCrossEntropy, SquaredError
from minihf.optim import papers

__all__ = ["AUTOENCODER_SETTINGS", "TASKS"]

AUTOENCODER_SETTINGS = {
    "martens2010": Method("HF (martens2010)", papers.martens2010()),
    "zhang2017": Method("BHF (zhang2017)", papers.zhang2017(AUTOENCODER_BLOCKS)),
}
"""For an encoder and a decoder, trained on all cases at once."""


def _on_mnist(*widths: int) -> Task:
    return Task(
        summary=f"{'-'.join(map(str, widths))} and back, tanh, squared error, on MNIST-5k or "
        "MNIST (--data)",
        load=lambda path: mnist((784,), classes=None)(path).autoencoding(),
        network=lambda digits: autoencoder(*widths),
        loss=SquaredError(),
        metric=image_error,
        metric_name="squared error per image",
        settings=AUTOENCODER_SETTINGS,
        whole="mnist",
    )


TASKS = {
    "autoencoder-mnist": _on_mnist(784, 1000, 500, 250, 30),
    "autoencoder-mnist-small": _on_mnist(784, 200, 100, 30),
    "autoencoder-curves": Task(
        summary="784-400-200-100-50-25-6 and back, tanh, squared error, on CURVES-like strokes",
        load=lambda path: embedded("curves")(path).autoencoding(),
        network=lambda strokes: autoencoder(784, 400, 200, 100, 50, 25, 6),
        loss=SquaredError(),
        metric=image_error,
        metric_name="squared error per image",
        settings=AUTOENCODER_SETTINGS,
    ),
    "autoencoder-curves-logistic": Task(
        summary="784-400-200-100-50-25-6 and back, sigmoid, cross-entropy, on CURVES-like strokes",
        load=lambda path: embedded("curves")(path).autoencoding(),
        network=lambda strokes: logistic_autoencoder(784, 400, 200, 100, 50, 25, 6),
        loss=SigmoidCrossEntropy(),
        metric=logistic_image_error,
        metric_name="squared error per image",
        settings=AUTOENCODER_SETTINGS,
    ),
}
