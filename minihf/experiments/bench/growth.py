"""How costs grow: with cases, width, depth, time steps and the number of blocks.

Along an axis a network is doubled again and again in that alone. A cost that grows like the e-th
power of its size becomes 2^e-fold by a doubling; the tables have e, for the last one. Flops are
counted, and say what is due; seconds and memory are what is to follow them.

A page of the book has the tables. Called by ``minihf bench --growth``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import log2, nan
from pathlib import Path
from typing import Any

import numpy as np

from minihf.curvature import GGN
from minihf.experiments.bench.counts import count_gemms, memory_of
from minihf.experiments.bench.page import facts
from minihf.experiments.bench.problems import Case, Problem
from minihf.experiments.bench.systems import ITERATIONS
from minihf.experiments.bench.timing import interleaved_medians
from minihf.experiments.figures import write_figure
from minihf.experiments.networks import lstm_classifier
from minihf.experiments.tables import markdown
from minihf.layers import Dense, Sequential, Tanh
from minihf.params import Params

__all__ = ["AXES", "Axis", "growth", "growth_page"]

PAGE = """\
# How costs grow

A product with the Gauss-Newton matrix, walked to the output and back; and products with all of its
blocks, walked, or by the ways that are planned for thirty
({doc}`book/06-short-ways-through-blocks`). This page was written, whole, by

```sh
{command}
```

Along an axis a network is doubled again and again in that alone. A cost that grows like the e-th
power of its size becomes 2^e-fold by a doubling, and the last column has the e of the last one.
Flops are counted, those of matrix products. Seconds are medians, and memory is `tracemalloc`'s
peak in a product, beside the factors that a plan holds. Both should grow as the flops do, or more
slowly where overhead is shared out. Walking, flops grow linearly with cases, layers and time steps,
quadratically with the width, and, with a block for each layer, quadratically with the layers.

The networks are dense, four layers of 256 units with tanh and ten classes, on 500 cases (250 for
the widths), and three layers of LSTM of 64 units, on 100 cases. float32.

![Seconds and memory against the sizes](growth.svg)

Seconds (solid) and memory (dashed), and dotted how seconds would grow with the flops of walking.

## The measurement

{lines}
"""


def _dense(width: int, layers: int) -> Sequential:
    hidden = [part for _ in range(layers - 1) for part in (Dense(width, width), Tanh())]
    return Sequential(*hidden, Dense(width, 10))


def _deep(width: int = 256, layers: int = 4, cases: int = 500) -> Problem:
    return Problem("dense", "", _dense(width, layers), (cases, width), classifies=True)


def _long(steps: int) -> Problem:
    return Problem("lstm", "", lstm_classifier(64, 64), (100, steps, 64), classifies=True)


def _in_blocks(n: int) -> Callable[[Params], Mapping[str, list[str]]]:
    """Divide the layers among n blocks."""

    def spec(params: Params) -> Mapping[str, list[str]]:
        layers = list(dict.fromkeys(name.rpartition(".")[0] for name in params.names))
        parts = np.array_split(layers, n)
        return {str(i): [f"{layer}.*" for layer in part] for i, part in enumerate(parts)}

    return spec


@dataclass(frozen=True)
class Axis:
    """What is doubled, from where to where, and the problem at each size.

    `partition` is how the parameters fall into blocks there: by default they do not.
    """

    name: str
    sizes: Sequence[int]
    problem: Callable[[int], Problem]
    partition: Callable[[int], Any] = lambda size: "network"


AXES = (
    Axis("cases", (250, 500, 1000, 2000), lambda n: _deep(cases=n)),
    Axis("width", (128, 256, 512, 1024), lambda n: _deep(width=n, cases=250)),
    Axis("layers", (2, 4, 8, 16), lambda n: _deep(layers=n)),
    Axis("time steps", (8, 16, 32, 64), _long),
    Axis("layers, a block each", (2, 4, 8, 16), lambda n: _deep(layers=n), lambda n: "layer"),
    Axis("blocks of 16 layers", (1, 2, 4, 8, 16), lambda n: _deep(layers=16), _in_blocks),
)


Costs = Mapping[str, Sequence[float]]
"""A quantity at each size, by its name."""


def growth_page(lines: Sequence[str], command: str) -> str:
    """Return the page for these lines, which the command gave; its figure lies beside it."""
    return PAGE.replace("{command}", command).replace("{lines}", "\n".join(lines))


def growth(
    rounds: int = 5, axes: Sequence[Axis] = AXES, figure: Path | None = None
) -> Iterator[str]:
    """Measure along the axes; yield the lines of the tables as they come, and draw a figure.

    Each table has a product with all blocks, walked, and, where there are several, by the ways that
    are planned for thirty products.
    """
    yield from facts([], rounds)
    found: dict[Axis, Costs] = {}
    for axis in axes:
        at = [_measured(axis, size, rounds) for size in axis.sizes]
        found[axis] = {quantity: [costs[quantity] for costs in at] for quantity in at[0]}
        yield ""
        yield f"### {axis.name}"
        yield ""
        yield markdown([*_table(axis, found[axis])])
    if figure is not None:
        write_figure(_drawn(found), figure)


def _table(axis: Axis, costs: Costs) -> Iterator[list[str]]:
    yield ["", *(f"{size:,}" for size in axis.sizes), "exponent"]
    for quantity, values in costs.items():
        yield [quantity, *(f"{value:.3g}" for value in values), f"{_exponent(values):.2f}"]


def _drawn(found: Mapping[Axis, Costs]) -> Any:
    """Draw seconds (solid) and memory (dashed), and how the flops of walking grow (dotted)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    for panel, (axis, costs) in zip(figure.subplots(2, 3).flat, found.items(), strict=False):
        for color, way in (("C0", "walked"), ("C1", "planned")):
            for quantity, style in (("ms", "o-"), ("MB at most", "s--")):
                values = costs.get(f"{way}: {quantity}")
                if values is not None:
                    label = f"{way}, {quantity}"
                    panel.plot(axis.sizes, values, style, color=color, markersize=3, label=label)
        flops, ms = costs["walked: 10^6 flops"], costs["walked: ms"]
        due = [ms[0] * value / flops[0] for value in flops]
        panel.plot(axis.sizes, due, ":", color="grey", label="as the flops of walking")
        panel.set(xscale="log", yscale="log", xlabel=axis.name)
        panel.set_xticks(axis.sizes, [f"{size:,}" for size in axis.sizes])
        panel.minorticks_off()
    handles, labels = panel.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5)
    return figure


def _exponent(values: Sequence[float]) -> float:
    *_, last_but_one, last = values
    return log2(last / last_but_one) if last and last_but_one else nan


def _measured(axis: Axis, size: int, rounds: int) -> dict[str, float]:
    """Return the quantities at one size, by their names."""
    case = axis.problem(size).case()
    G = GGN(case.lin, case.loss, case.y, axis.partition(size))
    ways: dict[str, Any] = {"walked": G}
    if axis.partition(size) != "network":
        ways["planned"] = G.planned(ITERATIONS)
    calls = {way: partial(_product, operator, case) for way, operator in ways.items()}
    seconds = interleaved_medians(calls, rounds)
    found: dict[str, float] = {}
    for way, call in calls.items():
        with count_gemms() as gemms:
            call()
        found |= {
            f"{way}: 10^6 flops": gemms.flops / 1e6,
            f"{way}: ms": seconds[way] * 1e3,
            f"{way}: MB at most": memory_of(call).peak / 1e6,
        }
    if "planned" in ways:
        found["planned: MB held"] = ways["planned"].plan.held / 1e6
    return found


def _product(operator: GGN, case: Case) -> list[Any]:
    return [operator @ case.v]
