"""Run one method on one task: train in a folder of its own, draw a figure.

Called by ``minihf run``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from minihf.experiments.conditions import conditions_of, described
from minihf.experiments.experiment import Experiment
from minihf.experiments.figures import draw_race, write_figure
from minihf.experiments.files import file_name, new_folder
from minihf.experiments.logs import is_complete, read_log
from minihf.experiments.portrait import lanczos_density
from minihf.experiments.refusals import must_suit
from minihf.experiments.run_folder import (
    FIGURE,
    LOG,
    RECORD,
    carry_out,
    is_of_a_race,
    must_be_free,
    plan,
    read_plan,
    what_goes_on,
)
from minihf.experiments.tasks import TASKS
from minihf.experiments.variants import one_of, variant
from minihf.files import folder
from minihf.train import History
from minihf.train.budget import Budget
from minihf.train.checkpoint import LATEST, PREVIOUS

__all__ = ["RUNS", "go_on", "run", "usual_folder"]

RUNS = Path("runs")
"""Where runs lie that are not told where to."""


def run(
    task_name: str,
    word: str,
    budget: Mapping[str, Any],
    seed: int = 0,
    out: Path | None = None,
    data_path: Path | None = None,
    cases: int | None = None,
    scale: str | None = None,
    command: str = "",
    say: Callable[[str], None] = lambda line: None,
    **options: Any,
) -> tuple[History, Path]:
    """Train, and leave a run's folder with its figure.

    Without `out` it is ``runs/TASK-METHOD-SEED``, or, where a run has left that, numbered,
    ``runs/TASK-METHOD-SEED-2`` and so on: nothing is ever replaced. With `cases` only the first so
    many are kept, of training and test data. `options` are keywords of `minihf.fit`, but for
    `looks`, which the task has.

    Returns
    -------
    history : History
    folder : path

    Raises
    ------
    ValueError
        If the data do not fit the task, or the method not its network, or something lies in `out`.
    OSError
        If the folder cannot be made or written into.
    """
    task = TASKS[task_name]
    if out is not None:
        must_be_free(out)
    experiment = Experiment.of(task, data_path, cases)
    say(f"{task_name}: {task.summary}")
    say(experiment.facts)
    must_suit(experiment, word)
    conditions = conditions_of(experiment, task_name, budget)
    planned = plan(
        experiment, conditions, word, budget, seed,
        data_path=data_path, cases=cases, scale=scale, command=command,
    )  # fmt: skip
    place = out or new_folder(usual_folder(task_name, word, seed))
    with folder(place):
        history = carry_out(place, experiment, planned, density=lanczos_density, **options)
        _draw(place, planned, history)
    return history, place


def usual_folder(task_name: str, word: str, seed: int) -> Path:
    """Return where a run lies that is not told where to, but for the number at its end."""
    return RUNS / f"{task_name}-{file_name(word)}-{seed}"


def go_on(
    place: Path,
    given: Mapping[str, Any],
    say: Callable[[str], None] = lambda line: None,
    **options: Any,
) -> tuple[History, Path]:
    """Go on with the run in a folder, from its checkpoint; it has all that is needed.

    Parameters
    ----------
    place : path
    given : mapping
        What is expected of the run, as far as it is: its ``task``, ``method``, ``seed`` and
        ``scale``, which must agree; another ``budget``, which it is to spend instead; another
        ``data_path``, where its data lie now.

    Raises
    ------
    ValueError
        If there is no such run, or it is another one, on other data or by other settings, or a
        race's; or it has spent more than the other budget; or it is complete and its checkpoints
        are gone.
    """
    planned = read_plan(place)
    if is_of_a_race(place):
        raise ValueError(
            f"{str(place)!r} is a run of a race, which goes on by its own command: "
            f"{what_goes_on(place, planned)}"
        )
    for name in ("task", "method", "seed", "scale"):
        held = planned.get(name)
        if given.get(name, held) != held:
            raise ValueError(f"{str(place)!r} has a run of {name} {held!r}, not {given[name]!r}")
    if given.get("budget", planned["budget"]) != planned["budget"]:
        _must_go_further(place, given["budget"])
    planned |= {name: given[name] for name in ("budget", "data_path") if name in given}
    if is_complete(place / LOG) and not any((place / it).exists() for it in (LATEST, PREVIOUS)):
        raise ValueError(
            f"{str(place)!r} is complete, and has no checkpoint to go further from"
        )
    task_name, data_path = one_of(TASKS, "task", planned["task"]), planned.get("data_path")
    experiment = Experiment.of(
        TASKS[task_name], None if data_path is None else Path(data_path), planned.get("cases")
    )
    say(f"{task_name}: {experiment.task.summary}")
    say(experiment.facts)
    planned["conditions"]["budget"] = Budget.read(planned["budget"]).name
    changes = _changes(place, planned, experiment)
    for change in changes:
        say(f"not bit for bit as it would have been: {change}")
    if changes:
        planned["went_on"] = list(dict.fromkeys([*(planned.get("went_on") or []), *changes]))
    history = carry_out(
        place, experiment, planned, resume=True, density=lanczos_density, **options
    )
    _draw(place, planned, history)
    return history, place


def _must_go_further(place: Path, wanted: Mapping[str, Any]) -> None:
    """Refuse a budget that the run is beyond: it would say of itself that it had spent no more."""
    budget, log = Budget.read(wanted), place / LOG
    records = read_log(log).records if log.exists() else []
    if records and budget.spent(records[-1]) > 1:
        raise ValueError(
            f"{str(place)!r} is beyond {budget.name}: it has made {records[-1]['updates']} updates "
            f"in {records[-1]['seconds']:.3g} seconds; give it more, or begin another run"
        )


def _changes(place: Path, planned: Mapping[str, Any], experiment: Experiment) -> list[str]:
    """Return what is not as it was; refuse other data, another network, other settings."""
    method = variant(experiment.task.methods, planned["method"])
    there = planned["conditions"] | {"settings": planned["settings"]}
    here = conditions_of(experiment, planned["task"], planned["budget"])
    here |= {"settings": described(method)}
    changes = []
    for name, value in here.items():
        if there.get(name) == value:
            continue
        if name in ("data_sha256", "looked_at", "parameters", "settings"):
            difference = f"{name} {there.get(name)!r} there and {value!r} here"
            raise ValueError(f"{str(place / RECORD)!r} is of another run: {difference}")
        if name != "data":                                # where the same data lie
            changes.append(f"{name} {there.get(name)!r}, then {value!r}")
    return changes


def _draw(place: Path, planned: Mapping[str, Any], history: History) -> None:
    runs = {planned["method"]: {planned["seed"]: history}}
    write_figure(draw_race(runs, planned["task"], planned["metric_name"]), place / FIGURE)
