"""Run directories of real, short runs, as `minihf run` and `minihf race` leave them."""

import json
import math
import shutil
from dataclasses import asdict, replace
from functools import cache
from itertools import count

import numpy as np
import pytest

from minihf.experiments.conditions import conditions_of, described
from minihf.experiments.experiment import Experiment
from minihf.experiments.networks import autoencoder
from minihf.experiments.portrait import portrait_of, write_portrait
from minihf.experiments.tasks import TASKS
from minihf.experiments.variants import variant

UPDATES = 3
SECONDS = count()
EVIL = "\"'><script>alert(1)</script><img src=x onerror=alert(2)>&lt;\u202e$x_{$\x00\ud800𝔘"


class Told:
    """An optimizer that keeps what it reported."""

    def __init__(self, opt):
        self.opt, self.reports = opt, []

    def __getattr__(self, name):
        return getattr(self.opt, name)

    def step(self, *arguments):
        params, state, report = self.opt.step(*arguments)
        self.reports.append(report)
        return params, state, report


@cache
def experiment(task_name):
    if task_name == "autoencoder-mnist":
        small = replace(TASKS[task_name], network=lambda digits: autoencoder(784, 12, 3))
        return Experiment.of(small)
    return Experiment.of(TASKS[task_name])


def blocks_of(report):
    """Return a report's blocks as a record has them: what is not finite is None."""
    return {
        name: {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in asdict(block).items()
        }
        for name, block in report.blocks.items()
    }


def make_run(folder, task_name, word, seed):
    """Train, and leave a run directory."""
    ours = experiment(task_name)
    method = variant(ours.task.methods, word)
    told = Told(method.opt)
    history = ours.train(replace(method, opt=told), {"updates": UPDATES}, seed, progress=False)
    records = [
        {**record, "blocks": blocks_of(report) if report else {}}
        for record, report in zip(history, [None, *told.reports], strict=True)
    ]
    budget = {"updates": UPDATES}
    facts = {
        "format": 1, "task": task_name, "method": word, "label": method.label,
        "first_order": method.first_order, "settings": described(method), "seed": seed,
        "budget": budget, "scale": None, "metric_name": ours.task.metric_name,
        "summary": ours.task.summary, "conditions": conditions_of(ours, task_name, budget),
        "command": f"minihf race {task_name} --methods {word} --updates {UPDATES}",
        "started": f"2024-05-01T09:0{seed}:{next(SECONDS):02}Z",
    }  # fmt: skip
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(facts, indent=2))
    (folder / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    portrait = dict(portrait_of(ours, history))
    if word.startswith("zhang2017"):
        x = np.geomspace(1e-4, 10.0, 50)
        density = np.stack([x, np.exp(-x)])
        portrait |= {f"spectrum/{name}": density for name in told.reports[0].blocks}
    write_portrait(folder / "portrait.npz", portrait)


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
