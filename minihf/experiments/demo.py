"""The demo: a deep autoencoder of MNIST digits, four methods, the same seconds each.

784-200-100-30 and back, tanh, linear code and output, squared error, on the first 5,000 images of
MNIST. Called by ``minihf demo``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from minihf.experiments.networks import autoencoder
from minihf.experiments.tasks import TASKS
from minihf.train import History, fit

__all__ = ["METHODS", "TASK", "race", "table"]

METHODS = ("adam", "martens2010", "zhang2017", "minihf")
TASK = replace(
    TASKS["autoencoder-mnist"], network=lambda digits: autoencoder(784, 200, 100, 30)
)


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
    digits = TASK.load(None)
    net = TASK.network(digits)
    say(f"autoencoder 784-200-100-30-100-200-784 on {digits.source}")
    say(f"{len(methods)} method(s), {seconds:g} s each; squared error per image")
    histories: dict[str, History] = {}
    for name in methods:
        method = TASK.methods[name]
        history = fit(
            net, TASK.loss, method.opt, digits,
            seconds=seconds, batch_size=method.batch_size, seed=seed, looks=150,
            metric=TASK.metric, progress=progress, name=f"{method.label:16}",
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
