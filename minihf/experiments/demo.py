"""The demo: a deep autoencoder of MNIST digits, four methods, the same seconds each.

784-200-100-30 and back, tanh, linear code and output, squared error, on the first 5,000 images of
MNIST. Called by ``minihf demo``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from minihf import data
from minihf.backend import Array
from minihf.experiments.methods import AUTOENCODER_METHODS
from minihf.experiments.networks import autoencoder
from minihf.losses import SquaredError
from minihf.train import History, fit

__all__ = ["image_error", "race", "table"]


def image_error(z: Array, x: Array) -> Array:
    """Return the squared error of an image, summed over pixels: the mean over images."""
    return 2 * SquaredError().value(z, x)


def race(
    methods: Sequence[str],
    seconds: float,
    seed: int = 0,
    progress: bool = True,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, History]:
    """Train with each method for the same seconds, from the same parameters.

    Returns
    -------
    dict of str to History
        By the method's label; fewer than asked for if the race was interrupted.
    """
    digits = data.load("mnist-5k").autoencoding()
    net = autoencoder(784, 200, 100, 30)
    say(f"autoencoder 784-200-100-30-100-200-784 on {digits.source}")
    say(f"{len(methods)} method(s), {seconds:g} s each; squared error per image")
    histories: dict[str, History] = {}
    for name in methods:
        method = AUTOENCODER_METHODS[name]
        history = fit(
            net, SquaredError(), method.opt, digits,
            seconds=seconds, batch_size=method.batch_size, seed=seed, looks=150,
            metric=image_error, progress=progress, name=f"{method.label:16}",
        )  # fmt: skip
        histories[method.label] = history
        if history.ended == "interrupted":
            break
    return histories


def table(histories: Mapping[str, History]) -> str:
    """Return the last record of every run as an aligned table."""
    rows = [("method", "updates", "products", "seconds", "train error", "test error", "ended")]
    for label, history in histories.items():
        last = history.last
        rows.append(
            (
                label,
                f"{last['updates']}",
                f"{last['products']}",
                f"{last['seconds']:.1f}",
                f"{last['train']:.2f}",
                f"{last['test']:.2f}",
                history.ended,
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for label, *numbers, ended in rows:
        cells = [label.ljust(widths[0])]
        cells += [text.rjust(width) for text, width in zip(numbers, widths[1:], strict=False)]
        lines.append("  ".join([*cells, ended]).rstrip())
    return "\n".join(lines)
