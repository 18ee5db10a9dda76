"""A page of what the papers claim and what was measured, written from the studies' result files.

Called by ``minihf results``.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from minihf.experiments.conditions import described
from minihf.experiments.figures import draw_race, write_figure
from minihf.experiments.logs import AXES
from minihf.experiments.results import Result
from minihf.experiments.scales import SCALES
from minihf.experiments.studies import STUDIES, Study
from minihf.experiments.summary import target_of
from minihf.experiments.tables import costs, markdown, table
from minihf.experiments.variants import first_order, variant
from minihf.files import folder, write_text

__all__ = ["read_results", "write_page"]

PAGE = """# What the papers claim, and what we measured

Each study asks again what a paper answers: its methods, and ours, from the same initial weights,
for the same seconds of updates. This page was written, whole, by

```sh
{commands}
{results}
```

from files `STUDY.json` that have every number it shows. `minihf reproduce` makes such files anew,
in `{made}`; studies of images that the package does not have take them by `--data`.

A claim is answered by the runs: *yes* or *no*, where the ranges of the errors over the seeds keep
clear of each other, and else *undecided*. Where two methods are compared after equal costs, it is
at the largest cost that all of their runs have come to; a run that gave up keeps its last error,
and of one that was not looked at just then, the looks before and after are in the range. The
papers' results are curves for the most part, and their settings are known in part: what is asked
is an order, not a number.

Along the way runs are looked at on a part of the cases, the same for all, so that looking takes
less than 3 % of the time; figures, claims of who is ahead and "seconds to" go by these. An error
rate of one half is known to 4 % by 150 cases and to 2.2 % by 500, which no range over seeds has
in it. The errors in tables are those at the end, of all cases or more of them. Both are medians
over the seeds, with the smallest and largest in bands and parentheses. Training errors are solid,
test errors dashed.

{studies}
"""


def read_results(place: Path) -> dict[str, Result]:
    """Read the results of studies in a folder, in the order of `STUDIES`.

    Raises
    ------
    ValueError
        If there is none, or one that cannot be read or is not what its study now asks for.
    """
    results = {
        name: Result.read(place / f"{name}.json")
        for name in STUDIES
        if (place / f"{name}.json").exists()
    }
    if not results:
        raise ValueError(
            f"{str(place)!r} has no results of studies, NAME.json; make some by minihf reproduce"
        )
    for name, result in results.items():
        _must_answer(result, name, place / f"{name}.json")
    return results


def _must_answer(result: Result, name: str, path: Path) -> None:
    if (result.study, result.scale in SCALES) != (name, True):
        raise ValueError(
            f"{str(path)!r} is of the study {result.study!r} at scale {result.scale!r}; expected "
            f"{name!r} at {', '.join(SCALES)}"
        )
    _, task = STUDIES[name].task_at(result.scale)
    other = [
        word
        for word, settings in result.methods.items()
        if word in STUDIES[name].methods and described(variant(task.methods, word)) != settings
    ]
    if other:
        raise ValueError(
            f"{str(path)!r} is of other settings of {', '.join(other)} than today's; make it anew "
            f"in another folder by `minihf reproduce {name} --scale {result.scale} --out DIR`"
        )
    missing = [word for word in STUDIES[name].methods if word not in result.runs]
    if missing:
        raise ValueError(
            f"{str(path)!r} has no run of {', '.join(missing)}, as the study now wants them; make "
            f"it anew by `minihf reproduce {name} --scale {result.scale}`"
        )


def write_page(results: dict[str, Result], found: Path, page: Path) -> None:
    """Write the page, and a figure for each study into a folder of the page's name beside it.

    Parameters
    ----------
    results : dict of str to Result
    found : path
        Where they were found: the page names it.
    page : path
        Of Markdown.
    """
    figures = page.with_suffix("")
    sections = []
    with folder(figures):
        for name, result in results.items():
            _, task = STUDIES[name].task_at(result.scale)
            drawn = draw_race(result.runs, STUDIES[name].title, task.metric_name, AXES)
            write_figure(drawn, figures / f"{name}.png")
            link = quote(f"{figures.name}/{name}.png")
            sections.append("\n".join(_section(name, result, link)))
        scales = dict.fromkeys(result.scale for result in results.values())
        commands = "\n".join(f"minihf reproduce all --scale {scale}" for scale in scales)
        text = PAGE.format(
            commands=commands, made=", ".join(f"runs/{scale}" for scale in scales),
            results=shlex.join(["minihf", "results", str(found), "--out", str(page)]),
            studies="\n\n".join(sections),
        )  # fmt: skip
        write_text(page, text)


def _section(name: str, result: Result, figure: str) -> Iterator[str]:
    """Yield the lines on one study."""
    study = STUDIES[name]
    _, task = study.task_at(result.scale)
    yield f"## {study.title}"
    yield ""
    yield f"{study.source}. {study.says}"
    yield ""
    yield f"Here: {task.summary}; {task.metric_name}. {_conditions(result)}"
    yield ""
    yield f"![{study.title}: errors over updates, seconds, products and data passes]({figure})"
    yield ""
    baselines = first_order(task.methods, result.runs)
    target = target_of(result.runs, baselines)
    yield table(result.runs, target, baselines)
    yield ""
    if target is not None:
        yield f"What it took to come to a training error of {target:.6g}, where looks measure it:"
        yield ""
        yield markdown(costs(result.runs, target))
        yield ""
    yield markdown([["claim", "answer", "numbers"], *_answers(study, result)])
    if study.remark:
        yield ""
        yield study.remark


def _answers(study: Study, result: Result) -> Iterable[Sequence[str]]:
    """Yield a row for each claim: in words, the verdict, and the numbers that it goes by."""
    methods: Any = study.task_at(result.scale)[1].methods
    labels = {word: variant(methods, word).label for word in result.runs}
    for claim in study.claims:
        answer = claim.answer(result.runs)
        yield claim.words(labels), answer.verdict.value, answer.numbers


def _conditions(result: Result) -> str:
    """Say in one sentence what the numbers depend on."""
    of, seeds = result.conditions, sorted({seed for run in result.runs.values() for seed in run})
    return (
        f"{of['data']}; {of['parameters']} parameters. {of['budget']} for each run, seeds "
        f"{', '.join(map(str, seeds))}, looked at on {of['looked_at']}; {of['processor']}; "
        f"backend {of['backend']}, {of['blas']}, {of['threads']}; minihf {of['minihf']}, "
        f"NumPy {of['numpy']}."
    )
