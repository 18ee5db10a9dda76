"""What was measured, as Markdown: for the terminal, and as a page of the book.

Called by ``minihf bench``.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version

import minihf
from minihf.experiments.bench.measuring import ALONE, OURS, Measured
from minihf.experiments.bench.rivals import INSTALL, Rival
from minihf.experiments.machine import blas, processor, threads
from minihf.experiments.tables import markdown

__all__ = ["facts", "page", "report"]

PAGE = """\
# What products cost

One product with the Gauss-Newton matrix, thirty iterations of conjugate gradients, a product with
every layer's block, three updates of the house method: what they take, next to their own matrix
products and to other libraries. This page was written, whole, by

```sh
{command}
```

`make bench` prints the same for the machine at hand, with those of the others that are installed
there.

## How to read it

Milliseconds, float32, medians over rounds in which all systems take turns in one process. They are
of one machine; their ratios mean something on others, too. In parentheses stands a rival's time
over that of minihf: above 1 it is slower.

*Alone* is what the matrix products of minihf take by themselves, in the same shapes and written
into arrays that are there already: a floor for it, and *ratio* is how far above it stays. A rival
that convolves without such products may go below.

All share a network, parameters, data and number of threads, and each keeps what it can between
products; keeping it is not timed. CG is the same recurrence for all, on all parameters as one
block, damped by 0.1, and never stops early. A sweep multiplies each layer's block with its own
vector. A planned one does so with blocks that were made ready for thirty products each
([chapter 6](book/06-short-ways-through-blocks.md)); making them ready, with the first of the thirty
sweeps, is a row of its own. The rivals have no plans and no updates.

*Difference* is how far a rival's products are from those of minihf, relative to them; where it is
more than rounding, nothing is timed. PyTorch's LSTM is `nn.LSTM` in *torch cached*, and elsewhere,
where that is slower or lets no tangent through, one that is written out step by step.

The threads of a library stay awake for a while after its last product, and whoever comes next would
pay for that, most of all those that make many small products. So there is a rest of a quarter of a
second between two turns. With several workers a convolution of minihf shares out its cases among
them, and each has its part of the BLAS's threads.

The counts are exact: matrix products, their additions and multiplications, and the bytes of their
operands and results. A test holds them fixed on small batches. Memory is what NumPy asks for in one
product; that of the other libraries cannot be seen in the same way.

No figure here is from a GPU. `make bench-gpu` is there to make some, each held against the rate of
matrix products on that GPU; it has been run on a stand-in for a device only.

## The measurement

{lines}
"""


def page(lines: Sequence[str], command: str) -> str:
    """Return the page for these lines, which the command gave."""
    return PAGE.replace("{command}", command).replace("{lines}", "\n".join(lines))


def facts(rivals: Sequence[Rival], rounds: int) -> Iterator[str]:
    """Yield what the timings depend on."""
    versions = [f"minihf {minihf.__version__}"]
    versions += [f"{name} {version(name)}" for name in ("numpy", "scipy")]
    versions += dict.fromkeys(v for rival in rivals if not rival.missing for v in rival.versions)
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    yield f"- {processor()}, {platform.system()}{load}"
    yield f"- Python {platform.python_version()}, {', '.join(versions)}"
    yield f"- BLAS: {blas()}, {threads()}; the others have as many"
    yield f"- {datetime.now(UTC):%d %B %Y}; products timed {rounds} times, sweeps and updates half"
    yield "  as often, CG a fifth as often"
    missing = dict.fromkeys(package for rival in rivals for package in rival.missing)
    if missing:
        names = ", ".join(rival.name for rival in rivals if rival.missing)
        how = "; ".join(f"`{line}`" for package, line in INSTALL.items() if package in missing)
        yield f"- not installed, and left out: {names} ({how})"


def report(measured: Measured) -> Iterator[str]:
    """Yield the lines on one problem."""
    yield f"### {measured.problem}"
    yield ""
    yield markdown([*_times(measured)])
    yield ""
    for name, reason in measured.refused.items():
        yield f"{name}: {reason}."
        yield ""
    yield markdown([*_counts(measured)])
    yield ""
    peak, kept, result = (f"{size / 1e6:.2f} MB" for size in measured.memory)
    yield f"Memory of one product: {peak} at most at once; {kept} stay, its result of {result} too."


def _times(measured: Measured) -> Iterator[list[str]]:
    rivals = [*dict.fromkeys([*measured.differences, *measured.refused])]
    yield ["ms", ALONE, OURS, "ratio", *rivals]
    for task, seconds in measured.seconds.items():
        mine, floor = seconds[OURS], seconds[ALONE]
        cells = [_rival(seconds, name) for name in rivals]
        yield [task, _ms(floor), _ms(mine), f"{mine / floor:.2f}", *cells]
    if rivals:
        off = measured.differences
        cells = [f"{off[name]:.0e}" if name in off else "–" for name in rivals]
        yield ["difference", "", "", "", *cells]


def _rival(seconds: Mapping[str, float], name: str) -> str:
    if name not in seconds:
        return "–"
    return f"{_ms(seconds[name])} ({seconds[name] / seconds[OURS]:.2f})"


def _counts(measured: Measured) -> Iterator[list[str]]:
    yield ["counted", "matrix products", "GFLOP", "MB"]
    for task, gemms in measured.gemms.items():
        yield [
            task, f"{gemms.count:,}", f"{gemms.flops / 1e9:,.2f}", f"{4 * gemms.numbers / 1e6:,.1f}"
        ]  # fmt: skip


def _ms(seconds: float) -> str:
    return f"{seconds * 1e3:,.1f}" if seconds < 1 else f"{seconds * 1e3:,.0f}"
