"""Watching a run or a race by what it leaves: a log that grows, ends, or does not move any more."""

import json
import re
import subprocess
import sys
from contextlib import ExitStack

import pytest

from minihf import cli
from minihf.experiments import watch as watching
from minihf.experiments.watch import Watch
from minihf.files import alone_in, is_held

PLAN = {
    "format": 1, "task": "t", "method": "sgd:lr=0.1", "label": "SGD", "first_order": True,
    "settings": "", "seed": 7, "budget": {"updates": 4}, "metric_name": "error", "summary": "",
    "conditions": {}, "command": "", "started": "2026-01-01T00:00:00+00:00",
}  # fmt: skip

needs_flock = pytest.mark.skipif(sys.platform == "win32", reason="no flock")


def record(updates, ended="", **changes):
    made = {
        "updates": updates, "seconds": float(updates), "products": 30 * updates,
        "data_passes": float(updates), "train": 1.5, "test": None, "objective": 2.5, "lam": 0.25,
        "iterations": 8, "rose": 0, "problem": "", "ended": ended,
    }  # fmt: skip
    return json.dumps(made | changes) + "\n"


class Scene:
    """What happens while somebody watches: at each pause the next of `steps`."""

    def __init__(self, folder):
        self.folder, self.said, self.steps, self.held = folder, [], [], ExitStack()

    def make(self, name=".", *records, **changes):
        run = self.folder / name
        run.mkdir(parents=True, exist_ok=True)
        (run / "run.json").write_text(json.dumps(PLAN | changes))
        if records:
            self.add(name, *records)

    def add(self, name, *records):
        with (self.folder / name / "log.jsonl").open("a") as log:
            log.write("".join(records))

    def hold(self, name="."):
        self.held.enter_context(alone_in(self.folder / name))

    def then(self, function, *arguments):
        self.steps.append(lambda: function(*arguments))

    def sleep(self, seconds):
        assert self.steps, "there is nothing to wait for"
        self.steps.pop(0)()

    def watch(self, **how):
        return Watch(self.said.append, sleep=self.sleep, **how)(self.folder)


@pytest.fixture
def scene(tmp_path, monkeypatch):
    monkeypatch.setattr("minihf.train.console.DRAWING", 0.0)
    made = Scene(tmp_path / "run")
    yield made
    made.held.close()


def test_a_run_that_has_ended_is_shown_at_once(scene, capsys):
    scene.make(".", record(0), record(4, "4 updates"))
    assert scene.watch()
    assert scene.said == ["ended: 4 updates"]
    said = capsys.readouterr()
    assert said.out == ""
    for what in (
        "sgd:lr=0.1, seed 7", "100%", "update 4", "loss 2.5", "lam 0.25", "cg 8", "30 products/s"
    ):  # fmt: skip
        assert what in said.err


@needs_flock
def test_a_log_that_grows_is_drawn_until_it_says_that_the_run_has_ended(scene, capsys):
    scene.make()
    scene.hold()
    last = record(3)
    scene.then(scene.add, ".", record(0))
    scene.then(scene.add, ".", record(1))
    scene.then(scene.add, ".", last[:30])
    scene.then(scene.add, ".", last[30:])
    scene.then(scene.add, ".", record(4, "4 updates"))
    assert scene.watch()
    assert scene.steps == []
    assert scene.said == ["ended: 4 updates"]
    frames = capsys.readouterr().err.split("\r")
    seen = [f.split("update ")[1][0] for f in frames if "update " in f]
    assert list(dict.fromkeys(seen)) == ["0", "1", "3", "4"]
    assert any(" 25%" in frame and "update 1" in frame for frame in frames)
    assert any(" 75%" in frame and " left" in frame for frame in frames)


@needs_flock
def test_a_run_that_nobody_is_at_work_on_is_said_to_be_so(scene):
    scene.make(".", record(0))
    scene.hold()
    scene.then(scene.add, ".", record(1))
    scene.then(scene.held.close)
    assert not scene.watch()
    (line,) = scene.said
    assert line.startswith("nobody is at work on it, and it has not ended; to go on: ")
    assert line.endswith("/run --resume")


@needs_flock
def test_a_run_that_ends_and_lets_go_between_two_looks_has_ended(scene):
    scene.make(".", record(0))
    scene.hold()
    scene.then(lambda: (scene.add(".", record(4, "4 updates")), scene.held.close()))
    assert scene.watch()
    assert scene.said == ["ended: 4 updates"]


@needs_flock
def test_a_run_that_was_interrupted_has_ended_unless_somebody_goes_on_with_it(scene):
    scene.make(".", record(0), record(2, "interrupted"))
    assert scene.watch()
    (line,) = scene.said
    assert line.startswith("interrupted; to go on: minihf run --out ")
    scene.hold()
    scene.then((scene.folder / "log.jsonl").write_text, record(0))
    scene.then(scene.add, ".", record(4, "4 updates"))
    assert scene.watch()
    assert scene.said[1:] == ["ended: 4 updates"]


@needs_flock
def test_the_bar_says_when_there_has_been_no_record_for_long(scene, capsys):
    scene.make(".", record(0))
    scene.hold()
    wrote = (scene.folder / "log.jsonl").stat().st_mtime
    for seconds, expected in (59, False), (300, True):
        scene.then(scene.held.close)
        scene.watch(now=lambda seconds=seconds: wrote + seconds)
        assert ("no record for 5 min" in capsys.readouterr().err) is expected
        scene.steps.clear()


def test_no_record_for_long_is_what_one_expects_of_a_run_that_has_ended(scene, capsys):
    scene.make(".", record(4, "4 updates"))
    scene.watch(now=lambda: (scene.folder / "log.jsonl").stat().st_mtime + 300)
    assert "no record" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "changes", [{"train": "x"}, {"lam": [1]}, {"products": "x"}, {"problem": 5}]
)
def test_a_record_that_no_run_writes_is_a_line(changes, scene, capsys):
    scene.make(".", record(0), record(4, "4 updates", **changes))
    assert cli.main(["watch", str(scene.folder)]) == 1
    *_, line = capsys.readouterr().err.splitlines()
    assert line == (
        f"minihf: '{scene.folder / 'log.jsonl'}', line 2: expected a record as a run writes it"
    )


@pytest.mark.parametrize("budget", [{}, {"updates": "six"}, {"days": 3}, {"updates": 3, "x": 3}])
def test_a_budget_that_is_none_is_a_line(budget, scene, capsys):
    scene.make(".", record(0), budget=budget)
    assert cli.main(["watch", str(scene.folder)]) == 1
    assert capsys.readouterr().err == (
        f"minihf: '{scene.folder / 'run.json'}' is of no run: 'budget' is {budget}, "
        "expected one such as {'updates': 50}\n"
    )


def test_seconds_are_a_budget_too(scene, capsys):
    scene.make(".", record(1, seconds=2.0, ended="interrupted"), budget={"seconds": 8.0})
    scene.watch()
    assert " 25%" in capsys.readouterr().err


# A race ---------------------------------------------------------------------------------------


@pytest.fixture
def race(scene):
    scene.folder.mkdir()
    held = {"seeds": [0, 1], "methods": {"adam": "", "sgd:lr=0.1": ""}}
    (scene.folder / "race.json").write_text(json.dumps(held))
    return scene


RUNS = ["adam-0", "sgd,lr=0.1-0", "adam-1", "sgd,lr=0.1-1"]
WHOLE = (record(0), record(4, "4 updates"))


def words(run):
    word, _, seed = run.rpartition("-")
    return {"method": word.replace(",", ":"), "seed": int(seed)}


def test_a_race_that_has_ended_is_shown_at_once(race, capsys):
    for run in RUNS:
        race.make(run, *WHOLE, **words(run))
    assert race.watch()
    assert race.said == ["ended: 4 runs"]
    shown = capsys.readouterr().err
    assert shown.count("00:00 left, loss 2.5, lam 0.25, 30 products/s, update 4") >= 4
    for name in ("adam, seed 0", "adam, seed 1", "sgd:lr=0.1, seed 0", "sgd:lr=0.1, seed 1"):
        assert name in shown


@needs_flock
def test_the_runs_of_a_race_are_drawn_as_they_come(race, capsys):
    def begin(run):
        race.make(run, record(0), **words(run))

    race.hold()
    race.make(RUNS[0], *WHOLE, **words(RUNS[0]))
    for run in RUNS[1:]:
        race.then(lambda run=run: (begin(run), race.hold(run)))
        race.then(race.add, run, record(2))
        race.then(race.add, run, record(4, "4 updates"))
    assert race.watch()
    assert race.steps == []
    assert race.said == ["ended: 4 runs"]
    shown = capsys.readouterr().err
    for name in ("adam, seed 1", "sgd:lr=0.1, seed 0", "sgd:lr=0.1, seed 1"):
        assert re.search(f"{name}  50%.* left, .*update 2", shown)
        assert re.search(f"{name} 100%.* left, .*update 4", shown)


@needs_flock
def test_a_run_that_is_about_to_begin_is_waited_for(race):
    for run in RUNS[1:]:
        race.make(run, *WHOLE, **words(run))
    race.hold()
    (race.folder / RUNS[0]).mkdir()
    race.hold(RUNS[0])                                          # run.json is what comes next
    race.then(lambda: race.make(RUNS[0], record(0), **words(RUNS[0])))
    race.then(race.add, RUNS[0], record(4, "4 updates"))
    assert race.watch()
    assert race.steps == []
    assert race.said == ["ended: 4 runs"]


@needs_flock
def test_a_race_that_was_killed_is_said_to_be_so(race):
    race.make(RUNS[0], *WHOLE, **words(RUNS[0]))
    race.make(RUNS[1], record(0), **words(RUNS[1]))
    race.hold()
    race.hold(RUNS[1])
    race.then(race.held.close)
    race.then(lambda: None)                                     # once more: a run may have ended
    assert not race.watch()
    assert race.said == [
        "nobody is at work on it, and 1 of 4 runs are complete: the same command goes on"
    ]


# The command ----------------------------------------------------------------------------------


def test_what_is_neither_a_run_nor_a_race_is_refused(tmp_path, capsys):
    assert cli.main(["watch", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"minihf: '{tmp_path}' holds no run and no race: no run.json, no race.json\n"
    )


def test_ctrl_c_stops_watching_quietly(scene, monkeypatch, capsys):
    def interrupt(self, folder):
        raise KeyboardInterrupt

    scene.make()
    monkeypatch.setattr(watching.Watch, "_run", interrupt)
    assert cli.main(["watch", str(scene.folder)]) == 0
    assert capsys.readouterr() == ("", "")


@needs_flock
def test_a_process_that_is_killed_is_noticed(tmp_path, capsys):
    out = tmp_path / "run"
    command = ["run", "classifier-digits", "--method", "sgd", "--seconds", "600", "--quiet"]
    code = "import sys; from minihf import cli; cli.main(sys.argv[1:])"
    said, looks = [], []
    with subprocess.Popen(
        [sys.executable, "-c", code, *command, "--out", str(out)], stdout=subprocess.DEVNULL
    ) as process:
        while not (out / "log.jsonl").exists():
            assert process.poll() is None

        def sleep(seconds):
            looks.append(is_held(out))
            if len(looks) == 3:
                process.kill()
                process.wait()

        assert not Watch(said.append, sleep=sleep)(out)
    assert looks == [True] * 3
    assert said[0].startswith("nobody is at work on it, and it has not ended; to go on: ")
    assert "sgd, seed 0" in capsys.readouterr().err


def test_a_run_of_the_command_line_is_watched_to_its_end(tmp_path, capsys):
    words = ["run", "classifier-digits", "--method", "sgd", "--updates", "3", "--quiet"]
    assert cli.main([*words, "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert cli.main(["watch", str(tmp_path / "run")]) == 0
    said = capsys.readouterr()
    assert said.out == "ended: 3 updates\n"
    assert "update 3" in said.err
