"""Which runs may be compared: those of one task, in one folder, under the same conditions.

Called by the page, which has a part for each comparison.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import PurePosixPath

from minihf.experiments.report.reading import Facts, Run
from minihf.experiments.summary import Runs

__all__ = ["Comparison", "comparisons_of"]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Runs by method and seed.

    Attributes
    ----------
    folder : str
        Where the run directories lie, below the folder that was looked through.
    methods : mapping of str to mapping of int to Run
        All runs. A method that comes with two sets of settings, or twice with a seed, is named
        apart.
    """

    folder: str
    methods: Mapping[str, Mapping[int, Run]]

    @property
    def name(self) -> str:
        """Folder and task, for names of files."""
        return self.facts.task if self.folder == "." else f"{self.folder}-{self.facts.task}"

    @property
    def all_runs(self) -> Sequence[Run]:
        """All runs, method by method."""
        return [run for seeds in self.methods.values() for run in seeds.values()]

    @property
    def facts(self) -> Facts:
        """Those of the first run; task, budget and conditions are those of all."""
        return self.all_runs[0].facts

    @cached_property
    def shown(self) -> Mapping[str, Mapping[int, Run]]:
        """The runs that medians are of: finished ones, where a method has any, else what it has."""
        return {name: _finished(seeds) or seeds for name, seeds in self.methods.items()}

    @cached_property
    def histories(self) -> Runs:
        """Those of the runs that are shown."""
        return {
            name: {seed: run.history for seed, run in seeds.items()}
            for name, seeds in self.shown.items()
        }

    @property
    def first_order(self) -> Sequence[str]:
        """The methods that go by gradients alone."""
        return [name for name, seeds in self.methods.items() if _first(seeds).facts.first_order]

    @property
    def with_portraits(self) -> Mapping[str, Run]:
        """Of each method the first run that has a portrait."""
        return {
            name: next(run for run in seeds.values() if run.portrait)
            for name, seeds in self.shown.items()
            if any(run.portrait for run in seeds.values())
        }

    @property
    def left_out(self) -> Sequence[Run]:
        """Runs that are not finished, of methods that have finished ones."""
        return [
            run
            for name, seeds in self.methods.items()
            for seed, run in seeds.items()
            if seed not in self.shown[name]
        ]


def _finished(seeds: Mapping[int, Run]) -> Mapping[int, Run]:
    return {seed: run for seed, run in seeds.items() if run.is_finished}


def _first(seeds: Mapping[int, Run]) -> Run:
    return next(iter(seeds.values()))


def comparisons_of(runs: Iterable[Run]) -> Sequence[Comparison]:
    """Sort runs into comparisons, in the order in which their first runs come."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        folder = str(PurePosixPath(run.folder).parent)
        facts = run.facts
        common = json.dumps(
            [facts.task, facts.metric_name, facts.budget, facts.scale, facts.conditions]
        )
        found.setdefault((folder, common), []).append(run)
    return [Comparison(folder, _by_method(members)) for (folder, _), members in found.items()]


def _by_method(runs: Iterable[Run]) -> Mapping[str, Mapping[int, Run]]:
    methods: dict[str, dict[int, Run]] = {}
    for run in runs:
        names = (_numbered(run.facts.method, number) for number in count(1))
        name = next(name for name in names if _takes(methods.get(name, {}), run))
        methods.setdefault(name, {})[run.facts.seed] = run
    return {name: dict(sorted(seeds.items())) for name, seeds in methods.items()}


def _takes(seeds: Mapping[int, Run], run: Run) -> bool:
    """Tell whether a run goes with those: of a new seed, and of the same settings."""
    same = not seeds or _first(seeds).facts.settings == run.facts.settings
    return same and run.facts.seed not in seeds


def _numbered(method: str, number: int) -> str:
    return method if number == 1 else f"{method} ({number})"
