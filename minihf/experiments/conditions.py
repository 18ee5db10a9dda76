"""The conditions that all runs of a race have in common, and the file that keeps them, race.json.

A race that goes on in a folder, with more methods or more seeds or after an interruption, goes on
under the same conditions or not at all. Called by the race and the run.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import minihf
from minihf.backend import device
from minihf.data import Dataset
from minihf.experiments.experiment import Experiment
from minihf.experiments.machine import blas, processor, threads
from minihf.experiments.methods import Method
from minihf.files import write_text
from minihf.train import Looks
from minihf.train.budget import Budget

__all__ = ["conditions_of", "described", "joined", "keep", "read_race"]


def conditions_of(
    experiment: Experiment, task_name: str, budget: Mapping[str, Any], looks: Looks | None = None
) -> dict[str, str]:
    """Return what must be the same for all runs: the task, and what their numbers depend on.

    `looks` are others than the task's.
    """
    data, looks = experiment.data, looks or experiment.task.looks
    return {
        "task": task_name,
        "budget": Budget.read(budget).name,
        "looked_at": looks.in_words(max(len(data.x_train), len(data.x_test))),
        "data": data.source,
        "data_sha256": _digest(data),
        "parameters": str(experiment.net.init(0).size),
        "minihf": minihf.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "backend": device().backend,
        "blas": blas(),
        "threads": threads(),
    }


def _digest(data: Dataset) -> str:
    """Return a short hash of the arrays: a file may have changed under the same name."""
    digest = hashlib.sha256()
    for array in (data.x_train, data.y_train, data.x_test, data.y_test):
        if array is not None:
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def described(method: Method) -> str:
    """Return a method's settings, the same in every process.

    Examples
    --------
    >>> from minihf.experiments.methods import METHODS
    >>> described(METHODS["sgd"])
    'SGD(lr=0.01, momentum=0.9, nesterov=False, l2=0.0, projection=None), batch 128'
    >>> described(METHODS["minihf"]).rpartition("), ")[2]
    'batch 1000, averaging 0.05'
    """
    opt = re.sub(r" at 0x[0-9a-f]+", "", repr(method.opt))     # where a function lies in memory
    settings = f"{opt}, batch {method.batch_size or 'all'}"
    return settings if method.averaging is None else f"{settings}, averaging {method.averaging}"


def joined(
    path: Path, conditions: Mapping[str, str], methods: Mapping[str, str], seeds: Iterable[int]
) -> dict[str, Any]:
    """Return what `path` is to hold: what it has, and these methods and seeds.

    Raises
    ------
    ValueError
        If it has other conditions, or a method of the same name with other settings.
    """
    held: dict[str, Any] = {**conditions, "seeds": [], "methods": {}}
    if path.exists():
        held = read_race(path)
    differences = [
        f"{name} {held.get(name)!r} there and {value!r} here"
        for name, value in conditions.items()
        if held.get(name) != value
    ]
    differences += [
        f"other settings of {name!r}"
        for name, settings in methods.items()
        if held["methods"].get(name, settings) != settings
    ]
    if differences:
        raise ValueError(
            f"{str(path)!r} is of a race under other conditions: {'; '.join(differences)}; "
            "make them equal, or take another folder"
        )
    return {
        **held,
        "seeds": sorted({*held["seeds"], *seeds}),
        "methods": {**held["methods"], **methods},
    }


def read_race(path: Path) -> dict[str, Any]:
    """Read a race.json.

    Raises
    ------
    ValueError
        If it is not of a race: one line that names it.
    """
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        problem = f"is not JSON ({error})"
    else:
        problem = _problem(held)
    if problem:
        raise ValueError(
            f"{str(path)!r} {problem}; take another folder, or delete this one with its logs"
        )
    return held


def _problem(held: Any) -> str:
    """Say why something is no record of a race, or nothing."""
    if not isinstance(held, dict) or not {"seeds", "methods"} <= held.keys():
        return "is not of a race: it has no seeds and methods"
    seeds, methods = held["seeds"], held["methods"]
    if not isinstance(seeds, list) or not all(type(seed) is int for seed in seeds):
        return f"is not of a race: 'seeds' is {seeds!r}, expected a list of whole numbers"
    if not isinstance(methods, dict) or not all(isinstance(it, str) for it in methods.values()):
        return f"is not of a race: 'methods' is {methods!r}, expected settings by method"
    return ""


def keep(path: Path, held: Mapping[str, Any]) -> None:
    """Write the file, whole or not at all."""
    write_text(path, json.dumps(held, indent=2) + "\n")
