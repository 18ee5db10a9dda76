"""Run directories of real, short runs, as `minihf run` and `minihf race` leave them."""

import json
import shutil
from dataclasses import replace
from functools import cache
from itertools import count

import numpy as np
import pytest

from minihf.experiments.conditions import conditions_of
from minihf.experiments.experiment import Experiment
from minihf.experiments.networks import autoencoder
from minihf.experiments.portrait import lanczos_density, portrait_of, write_portrait
from minihf.experiments.run_folder import carry_out, plan
from minihf.experiments.tasks import TASKS

UPDATES = 3
SECONDS = count()
EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&lt;\u202e$x_{$\x00\ud800𝔘"


@cache
def experiment(task_name):
    task = TASKS[task_name]
    if task_name == "autoencoder-mnist":
        task = replace(task, network=lambda digits: autoencoder(784, 12, 3))
    return Experiment.of(task)


def make_run(folder, task_name, word, seed):
    """Train, and leave a run's folder as it is when its checkpoints are deleted."""
    ours, budget = experiment(task_name), {"updates": UPDATES}
    planned = plan(
        ours, conditions_of(ours, task_name, budget), word, budget, seed,
        command=f"minihf race {task_name} --methods {word} --updates {UPDATES}",
    )  # fmt: skip
    planned["started"] = f"2024-05-01T09:0{seed}:{next(SECONDS):02}+00:00"
    folder.mkdir(parents=True)
    history = carry_out(folder, ours, planned, progress=False)
    for checkpoint in folder.glob("*.npz"):
        checkpoint.unlink()
    density = lanczos_density if word.startswith("zhang2017") else None
    write_portrait(folder / "portrait.npz", portrait_of(ours, history, density))


@pytest.fixture(scope="session")
def kept_runs(tmp_path_factory):
    """Make a race of three methods and two seeds, and a run of another task: not to be changed."""
    root = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        for word in ("adam", "zhang2017:solver.max_iters=5", "minihf"):
            name = word.replace(":", ",")
            make_run(root / "race" / f"{name}-{seed}", "classifier-digits", word, seed)
    make_run(root / "autoencoder-adam-0", "autoencoder-mnist", "adam", 0)
    return root


@pytest.fixture
def runs(kept_runs, tmp_path):
    """Give a copy of them, to be damaged."""
    return shutil.copytree(kept_runs, tmp_path / "runs")


@pytest.fixture
def poisoned_runs(runs):
    """Put markup, and characters that no page can hold, wherever a run has words."""
    words = {name: f"{name} {EVIL}" for name in
             ("method", "label", "settings", "metric_name", "summary", "command", "started")}
    for seed in (0, 1):
        where = f"race/zhang2017,solver.max_iters=5-{seed}"
        path = runs / where / "run.json"
        facts = {**json.loads(path.read_text()), **words, "task": EVIL, "conditions": {EVIL: EVIL}}
        path.write_text(json.dumps(facts))
        log = runs / where / "log.jsonl"
        records = [json.loads(line) for line in log.read_text().splitlines()]
        for k, record in enumerate(records):
            record["blocks"] = {EVIL: {"iterations": k, "reason": f"{k} {EVIL}"}}
        records[-1] |= {"ended": EVIL, "problem": EVIL}
        log.write_text("".join(json.dumps(record) + "\n" for record in records))
    write_portrait(
        runs / "race/zhang2017,solver.max_iters=5-0/portrait.npz",
        {"spectrum/<b>": np.stack([np.arange(1.0, 9.0)] * 2), "confusion": np.eye(3, dtype=int)},
    )
    bad = runs / "race" / "<img src=x>"
    bad.mkdir()
    (bad / "run.json").write_text(f'"{"<b>" * 20}"')
    return runs
