"""``minihf bench``: what Gauss-Newton products cost."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

from minihf.cli.names import problem, problem_names
from minihf.cli.words import page, positive, several
from minihf.experiments.machine import cores, thread_settings

__all__ = ["add_bench"]


def add_bench(commands: Any) -> None:
    """Add the command to the parser's."""
    parser = commands.add_parser(
        "bench",
        help="time Gauss-Newton products next to their bare matrix products, and to rivals",
        description="Time products with the Gauss-Newton matrices of a deep autoencoder, a CNN and "
        "an LSTM, conjugate gradients, sweeps over the layers' blocks and updates, next to their "
        "bare matrix products and to JAX, PyTorch, BackPACK and curvlinops where these are "
        "installed. With all of them it takes a quarter of an hour.",
    )
    parser.set_defaults(run=partial(_bench, parser))
    parser.add_argument(
        "--rounds", type=positive(int), default=15, metavar="N",
        help="how often products are timed, in turns; sweeps and updates are half as often, CG a "
        "fifth (default: 15)",
    )  # fmt: skip
    parser.add_argument(
        "--problems", type=several("problem", problem), default=problem_names(), metavar="A,B",
        help="which problems are timed; --growth has its own (default: "
        f"{','.join(problem_names())})",
    )  # fmt: skip
    parser.add_argument(
        "--threads", type=positive(int), default=cores(), metavar="N",
        help="threads of every library (default: one for each core, here %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=positive(int), default=1, metavar="N",
        help="workers of minihf, among which its threads are shared (default: 1)",
    )  # fmt: skip
    either = parser.add_mutually_exclusive_group()
    either.add_argument(
        "--out", type=page, metavar="FILE",
        help="also write the tables, with how to read them, as a page in Markdown",
    )  # fmt: skip
    either.add_argument(
        "--gpu", action="store_true",
        help="minihf alone, on the GPU, next to the GPU's rate of matrix products",
    )  # fmt: skip
    parser.add_argument(
        "--growth", action="store_true",
        help="minihf alone: how costs grow with cases, width, layers, time steps and blocks",
    )  # fmt: skip


def _bench(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    if arguments.growth and arguments.gpu:             # no group of argparse's: --out goes with one
        parser.error("argument --gpu: not allowed with argument --growth")
    settings = thread_settings(arguments.threads)
    if any(os.environ.get(name) != value for name, value in settings.items()):
        return _again(arguments, settings)
    from minihf.experiments.bench import growth_page
    from minihf.experiments.bench import page as products_page
    from minihf.files import write_text
    from minihf.parallel import use_workers

    use_workers(arguments.workers)
    lines = []
    for line in _lines(arguments):
        print(line, flush=True)
        lines.append(line)
    if arguments.out:
        page_of = growth_page if arguments.growth else products_page
        write_text(arguments.out, page_of(lines, f"minihf {' '.join(_words(arguments))}"))
    return 0


def _lines(arguments: argparse.Namespace) -> Iterator[str]:
    from minihf.experiments.bench import PROBLEMS, bench, bench_gpu, growth

    if arguments.growth:
        return growth(
            arguments.rounds, figure=arguments.out and arguments.out.with_name("growth.svg")
        )
    problems = [one for one in PROBLEMS if one.name in arguments.problems]
    return (bench_gpu if arguments.gpu else bench)(arguments.rounds, problems)


def _again(arguments: argparse.Namespace, settings: dict[str, str]) -> int:
    """Start over in a process of its own, as the libraries look for their threads only once."""
    command = [sys.executable, "-c", "import sys, minihf.cli; sys.exit(minihf.cli.main())"]
    try:
        return subprocess.run(
            [*command, *_words(arguments)], env=os.environ | settings, check=False
        ).returncode
    except KeyboardInterrupt:                            # it has been told, too, and has said so
        return 1


def _words(arguments: argparse.Namespace) -> list[str]:
    words = ["bench", "--growth"] if arguments.growth else ["bench"]
    if not arguments.growth:
        words += ["--problems", ",".join(arguments.problems)]
    words += ["--threads", str(arguments.threads), "--rounds", str(arguments.rounds)]
    words += ["--workers", str(arguments.workers)] * (arguments.workers > 1)
    if arguments.out:
        return [*words, "--out", str(arguments.out)]
    return [*words, "--gpu"] if arguments.gpu else words
