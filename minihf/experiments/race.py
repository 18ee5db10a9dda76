"""A race: methods on a task under equal conditions, over several seeds, in a folder.

    for each seed:  for each method:  train, from the seed's parameters, for the same budget

All methods take their turn with a seed before the next one begins, so that a machine that slows
down hits them alike. Each run has a folder of its own in the race's. A run is complete when its log
says why it ended, and a race that was interrupted goes on with what is missing: with the run that
was under way from its checkpoint. Two races do not run in one folder at the same time. Called by
``minihf race``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from minihf.experiments.conditions import conditions_of, described, joined, keep
from minihf.experiments.experiment import Experiment
from minihf.experiments.figures import draw_race, write_figure
from minihf.experiments.files import file_name
from minihf.experiments.logs import AXES, is_complete, read_log
from minihf.experiments.methods import Method
from minihf.experiments.portrait import PORTRAIT, lanczos_density
from minihf.experiments.refusals import must_suit
from minihf.experiments.run_folder import LOG, RACE, carry_out, plan
from minihf.experiments.summary import Runs
from minihf.experiments.tables import table
from minihf.experiments.tasks import TASKS
from minihf.experiments.variants import first_order, variant
from minihf.files import alone_in, folder, write_text
from minihf.train import Looks
from minihf.train.checkpoint import LATEST

__all__ = ["RECORD", "complete_runs", "race", "run_folder"]

RECORD = RACE


def race(
    task_name: str,
    words: Sequence[str],
    seeds: Sequence[int],
    budget: Mapping[str, Any],
    out: Path,
    *,
    data_path: Path | None = None,
    cases: int | None = None,
    scale: str | None = None,
    looks: Looks | None = None,
    target: float | None = None,
    command: str = "",
    progress: bool = True,
    on_record: Callable[[dict[str, Any]], None] | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Runs:
    """Train with each method from each seed, as far as `out` does not have the runs already.

    Parameters
    ----------
    task_name : str
    words : sequence of str
        The methods, as `variant` takes them: ``"minihf"``, ``"adam:lr=5e-4"``.
    seeds : sequence of int
    budget : mapping
        ``{"seconds": S}`` or ``{"updates": N}``, for each run.
    out : path
        A folder, made if it is not there: race.json, the conditions; METHOD-SEED, a folder for each
        run; table.md, race.png and race.svg, of the methods and seeds of this call.
    data_path : path, optional
        As the task takes it.
    cases : int, optional
        Of training and test data, the first so many.
    scale : str, optional
        The name of the scale that the task was set to.
    looks : Looks, optional
        When a run is looked at, and on how many cases; without it, as the task has it.
    target : float, optional
        As `table` takes it.
    command : str
        The command line, which the runs' folders keep.
    on_record : callable of (dict), optional
        Told each record as it is made, with the ``method`` and the ``seed`` of its run.

    Returns
    -------
    Runs

    Raises
    ------
    ValueError
        Before anything is trained or written: if `out` has a race under other conditions, or of a
        minihf that had no folders for runs, or a log that cannot be read, a method cannot treat the
        network, or the data do not fit the task.
    OSError
        Likewise, if `out` cannot be made or written into.
    RuntimeError
        Likewise, if another race is running in it.
    KeyboardInterrupt
        If it was interrupted. What is there is kept, and the same call goes on.
    """
    task = TASKS[task_name]
    methods = {word: variant(task.methods, word) for word in words}
    turns = [(word, seed) for seed in seeds for word in words]
    with folder(out), alone_in(out):
        _must_have_folders(out)
        experiment = Experiment.of(task, data_path, cases)
        common = conditions_of(experiment, task_name, budget, looks)
        settings = {word: described(method) for word, method in methods.items()}
        held = joined(out / RECORD, common, settings, seeds)
        missing = [turn for turn in turns if not _is_done(run_folder(out, *turn))]
        if missing != turns and not (out / RECORD).exists():
            raise ValueError(
                f"{str(out)!r} has runs, but no {RECORD} that says under which conditions they "
                "were made; take another folder"
            )
        done = len(turns) - len(missing)
        say(f"{task_name}: {task.summary}")
        say(experiment.facts)
        say(f"{len(turns)} runs of {common['budget']}; {done} of them done before")
        for word in dict(missing):
            _rehearse(experiment, word, methods[word])

        keep(out / RECORD, held)
        for word, seed in missing:
            planned = plan(
                experiment, common, word, budget, seed,
                data_path=data_path, cases=cases, scale=scale, command=command,
            )  # fmt: skip
            _run(
                experiment, planned, run_folder(out, word, seed), progress=progress,
                looks=looks or task.looks,
                on_record=_with_its_run(on_record, word, seed),
                density=lanczos_density if seed == seeds[0] else None,
            )  # fmt: skip
        runs = complete_runs(out, words, seeds)
        text = table(runs, target, first_order(task.methods, words))
        write_text(out / "table.md", _page(experiment, common, seeds, text))
        figure = draw_race(runs, f"{task_name}: {task.summary}", task.metric_name, AXES)
        for ending in ("png", "svg"):
            write_figure(figure, out / f"race.{ending}")
    return runs


def complete_runs(out: Path, words: Sequence[str], seeds: Sequence[int]) -> Runs:
    """Read the runs of those seeds that all of the methods have run from to the end."""
    whole = [
        seed for seed in seeds
        if all(is_complete(run_folder(out, word, seed) / LOG) for word in words)
    ]  # fmt: skip
    return {
        word: {seed: read_log(run_folder(out, word, seed) / LOG) for seed in whole}
        for word in words
    }


def run_folder(out: Path, word: str, seed: int) -> Path:
    """Return where a race keeps a run."""
    return out / f"{file_name(word)}-{seed}"


def _must_have_folders(out: Path) -> None:
    old = next(out.glob("*.jsonl"), None)
    if old is not None:
        raise ValueError(
            f"{str(old)!r} is a log of an older minihf, which kept no folders for its runs; take "
            "another folder"
        )


def _rehearse(experiment: Experiment, word: str, method: Method) -> None:
    try:
        must_suit(experiment, word)
        experiment.rehearse(method)
    except ValueError as error:
        raise ValueError(f"method {word!r} cannot take part: {error}") from None


def _run(
    experiment: Experiment, planned: Mapping[str, Any], place: Path, **options: Any
) -> None:
    place.mkdir(exist_ok=True)
    name = f"{planned['method']}, seed {planned['seed']}"
    history = carry_out(place, experiment, planned, resume=True, name=name, **options)
    if history.ended == "interrupted":
        raise KeyboardInterrupt


def _is_done(run: Path) -> bool:
    """Tell whether a run is complete, with its portrait where there is what to take it from."""
    return is_complete(run / LOG) and ((run / PORTRAIT).exists() or not (run / LATEST).exists())


def _with_its_run(
    tell: Callable[[dict[str, Any]], None] | None, word: str, seed: int
) -> Callable[[dict[str, Any]], None] | None:
    return tell and (lambda record: tell({"method": word, "seed": seed} | record))


def _page(
    experiment: Experiment, common: Mapping[str, str], seeds: Sequence[int], text: str
) -> str:
    """Return the table with all that one must know to read it, alone."""
    return (
        f"# {common['task']}, {common['budget']} for each run\n\n"
        f"{experiment.task.summary}; {experiment.task.metric_name}.\n{experiment.facts}.\n"
        f"Seeds {', '.join(map(str, seeds))}; minihf {common['minihf']}, NumPy {common['numpy']}, "
        f"backend {common['backend']}; {common['blas']}, {common['threads']}.\n\n{text}\n"
    )
