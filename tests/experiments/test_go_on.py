"""Going on with a run from the command line, and records for other programs."""

import io
import json
import os
import re
import signal
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import minihf as hf
from minihf import cli
from minihf.experiments.experiment import Experiment
from minihf.experiments.methods import METHODS
from minihf.experiments.run_folder import LOG, read_plan
from minihf.train.archive import unpack

RUN = ["run", "classifier-digits", "--method", "sgd", "--quiet"]


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def interrupted(monkeypatch, capsys):
    """Run with Ctrl-C, or another signal, at the third update; give what was printed."""

    def run(*words, by=signal.SIGINT):
        step = hf.SGD.step

        def interrupt(self, net, loss, params, state, batch):
            if state.update == 2:
                os.kill(os.getpid(), by)
            return step(self, net, loss, params, state, batch)

        monkeypatch.setattr(hf.SGD, "step", interrupt)
        assert cli.main([*RUN, *words]) == 1
        monkeypatch.setattr(hf.SGD, "step", step)
        return capsys.readouterr().out

    return run


def vector(folder):
    """Return the last parameters of a run, as bytes."""
    return unpack(Path(folder) / "latest.npz")[1]["params"].tobytes()


@pytest.mark.parametrize(
    "words",
    [
        ["run", "--out", "one", "--resume", "--quiet"],
        [*RUN, "--updates", "6", "--out", "one", "--resume"],
    ],
)
def test_a_run_in_a_folder_goes_on_to_the_same_bits(words, interrupted):
    assert cli.main([*RUN, "--updates", "6", "--out", "whole"]) == 0
    printed = interrupted("--updates", "6", "--out", "one")
    assert "to go on: minihf run --out one --resume" in printed
    assert hf.History.read(Path("one") / LOG).ended == "interrupted"
    before = read_plan(Path("one"))
    assert cli.main(words) == 0
    assert vector("one") == vector("whole")
    assert read_plan(Path("one")) == before
    history = hf.History.read(Path("one") / LOG)
    assert history.column("train") == hf.History.read(Path("whole") / LOG).column("train")
    assert history.ended == "6 updates"
    assert Path("one/figure.png").exists()


def test_sigterm_ends_a_run_as_ctrl_c_does(interrupted):
    printed = interrupted("--updates", "6", "--out", "one", by=signal.SIGTERM)
    assert "to go on: minihf run --out one --resume" in printed
    assert hf.History.read(Path("one") / LOG).last["updates"] == 3
    assert unpack(Path("one") / "latest.npz")[0]["value"]["Progress"]["updates"] == 3
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_the_same_command_goes_on_with_the_last_run_it_made(interrupted, capsys):
    assert cli.main([*RUN, "--updates", "6"]) == 0
    interrupted("--updates", "6")
    assert cli.main([*RUN, "--updates", "6", "--resume"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith("/runs/classifier-digits-sgd-0-2")
    assert sorted(path.name for path in Path("runs").iterdir()) == [
        "classifier-digits-sgd-0", "classifier-digits-sgd-0-2"
    ]  # fmt: skip
    assert vector("runs/classifier-digits-sgd-0-2") == vector("runs/classifier-digits-sgd-0")


def test_a_larger_budget_goes_further():
    assert cli.main([*RUN, "--updates", "6", "--out", "whole"]) == 0
    assert cli.main([*RUN, "--updates", "3", "--out", "one"]) == 0
    assert cli.main(["run", "--out", "one", "--resume", "--updates", "6", "--quiet"]) == 0
    assert vector("one") == vector("whole")
    planned = read_plan(Path("one"))
    assert planned["budget"] == {"updates": 6}
    assert planned["conditions"]["budget"] == "6 updates"


@pytest.mark.parametrize(
    ("words", "expected"), [(["--updates", "3"], "3 updates"), (["--seconds", "1e-9"], "1e-09 s")]
)
def test_a_budget_that_the_run_is_beyond_is_refused(words, expected, capsys):
    assert cli.main([*RUN, "--updates", "6", "--out", "one"]) == 0
    before = {path.name: path.read_bytes() for path in Path("one").iterdir()}
    assert cli.main(["run", "--out", "one", "--resume", "--quiet", *words]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"minihf: 'one' is beyond {expected}")
    assert re.search(r"it has made 6 updates in \S+ seconds; give it more, or begin another", line)
    assert {path.name: path.read_bytes() for path in Path("one").iterdir()} == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("budget", {}), ("budget", {"updates": "six"}), ("budget", {"days": 3}), ("cases", "x"),
     ("data_path", 5), ("scale", 7), ("label", None)],
)  # fmt: skip
def test_what_no_run_json_says_is_a_line(name, value, capsys):
    assert cli.main([*RUN, "--updates", "2", "--out", "one"]) == 0
    path = Path("one/run.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
    assert cli.main(["run", "--out", "one", "--resume", "--quiet"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("minihf: 'one/run.json' is of no run: ")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run", "deep-sigmoid"], "'one' has a run of task 'classifier-digits', not 'deep-sig"),
        (["run", "--method", "adam"], "'one' has a run of method 'sgd', not 'adam'"),
        (["run", "--seed", "5"], "'one' has a run of seed 0, not 5"),
    ],
)
def test_another_run_is_refused(words, expected, capsys):
    assert cli.main([*RUN, "--updates", "2", "--out", "one"]) == 0
    before = {path.name: path.read_bytes() for path in Path("one").iterdir()}
    assert cli.main([*words, "--out", "one", "--resume"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"minihf: {expected}")
    assert {path.name: path.read_bytes() for path in Path("one").iterdir()} == before


def change(name, value):
    """Change what run.json says of the conditions, or of the settings."""
    path = Path("one/run.json")
    planned = json.loads(path.read_text())
    (planned["conditions"] if name in planned["conditions"] else planned)[name] = value
    path.write_text(json.dumps(planned))


def test_other_data_and_other_settings_are_refused_and_another_numpy_is_told(capsys):
    assert cli.main([*RUN, "--updates", "2", "--out", "one"]) == 0
    going_on = ["run", "--out", "one", "--resume", "--updates", "3", "--quiet"]
    planned = read_plan(Path("one"))
    before = planned["conditions"] | {"settings": planned["settings"]}
    for name in ("data_sha256", "looked_at", "parameters", "settings"):
        change(name, "other")
        assert cli.main(going_on) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert f"'one/run.json' is of another run: {name} 'other' there and " in line
        change(name, before[name])
    change("numpy", "1.0")
    change("data", "the same, under another name")
    difference = f"numpy '1.0', then {np.__version__!r}"
    for _ in range(2):
        assert cli.main(going_on) == 0
        said = capsys.readouterr().out
        assert f"not bit for bit as it would have been: {difference}\n" in said
        planned = read_plan(Path("one"))
        assert (planned["conditions"]["numpy"], planned["went_on"]) == ("1.0", [difference])


def test_a_complete_run_without_checkpoints_stays_as_it_is(capsys):
    assert cli.main([*RUN, "--updates", "2", "--out", "one"]) == 0
    for path in Path("one").glob("*.npz"):
        path.unlink()
    log = Path("one/log.jsonl").read_bytes()
    assert cli.main(["run", "--out", "one", "--resume", "--updates", "3", "--quiet"]) == 1
    assert capsys.readouterr().err == (
        "minihf: 'one' is complete, and has no checkpoint to go further from\n"
    )
    assert Path("one/log.jsonl").read_bytes() == log


def test_a_run_killed_before_its_first_checkpoint_begins_anew(monkeypatch):
    def stop(self, *arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(hf.SGD, "step", stop)
        assert cli.main([*RUN, "--updates", "3", "--out", "one"]) == 1
    assert cli.main(["run", "--out", "one", "--resume", "--quiet"]) == 0
    assert hf.History.read(Path("one") / LOG).column("updates")[-1] == 3


def test_a_folder_without_a_run_is_refused(capsys):
    Path("empty").mkdir()
    for words in ["--out", "empty"], ["classifier-digits"]:
        assert cli.main(["run", *words, "--resume"]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith("holds no run: there is no run.json")


def test_of_two_runs_that_begin_in_a_folder_the_slower_one_replaces_nothing(monkeypatch, capsys):
    load = Experiment.of

    def slow(*arguments):
        monkeypatch.setattr(Experiment, "of", load)
        assert cli.main([*RUN, "--updates", "2", "--out", "one"]) == 0
        before.update((path.name, path.read_bytes()) for path in Path("one").iterdir())
        return load(*arguments)

    before = {}
    monkeypatch.setattr(Experiment, "of", slow)
    assert cli.main([*RUN, "--updates", "2", "--seed", "1", "--out", "one"]) == 1
    assert "minihf: 'one' has a run, which stays as it is" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in Path("one").iterdir()} == before


def test_a_run_of_a_race_goes_on_with_the_race(monkeypatch, capsys):
    race = ["race", "classifier-digits", "--methods", "sgd", "--seeds", "0", "--updates", "2"]
    assert cli.main([*race, "--out", "race", "--quiet"]) == 0
    assert cli.main(["run", "--out", "race/sgd-0", "--resume"]) == 1
    assert capsys.readouterr().err == (
        "minihf: 'race/sgd-0' is a run of a race, which goes on by its own command: minihf "
        f"{' '.join(race)} --out race --quiet\n"
    )
    monkeypatch.chdir("race/sgd-0")
    assert cli.main(["run", "--out", ".", "--resume"]) == 1
    assert "'.' is a run of a race" in capsys.readouterr().err


def test_a_task_is_required_unless_a_folder_is_given(capsys):
    for words in [], ["--resume"], ["--out", "one"]:
        with pytest.raises(SystemExit):
            cli.main(["run", *words])
        assert "required: TASK" in capsys.readouterr().err


def test_a_checkpoint_that_cannot_be_read_is_a_line_and_the_run_goes_on(often, capsys):
    assert cli.main([*RUN, "--updates", "3", "--out", "one"]) == 0
    Path("one/latest.npz").write_text("garbage")
    with warnings.catch_warnings(action="always"):
        assert cli.main(["run", "--out", "one", "--resume", "--quiet"]) == 0
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert re.match(r"minihf: 'one/latest.npz' cannot be read \(.*\): the run goes on from", line)


def test_records_go_to_the_standard_output_and_nothing_else_does(capsys):
    assert cli.main([*RUN, "--updates", "3", "--json", "--out", "one"]) == 0
    said = capsys.readouterr()
    assert said.out == Path("one/log.jsonl").read_text()
    assert [json.loads(line)["updates"] for line in said.out.splitlines()] == [0, 1, 2, 3]
    assert "parameters, " in said.err


def test_with_records_there_is_a_bar_unless_it_is_to_be_quiet(capsys):
    assert cli.main(["run", "classifier-digits", "--updates", "2", "--json"]) == 0
    said = capsys.readouterr()
    assert "100%" in said.err
    assert all(line.startswith("{") for line in said.out.splitlines())


@pytest.fixture
def pipe():
    """Give the two ends of a pipe."""
    reading, writing = os.pipe()
    with os.fdopen(reading) as there, os.fdopen(writing, "w") as here:
        yield there, here


def test_a_reader_that_goes_ends_the_run_and_it_can_go_on(pipe, monkeypatch, capsys):
    step, (there, here) = hf.SGD.step, pipe

    def close(self, net, loss, params, state, batch):
        if state.update == 2:
            there.close()
        return step(self, net, loss, params, state, batch)

    monkeypatch.setattr(hf.SGD, "step", close)
    monkeypatch.setattr(sys, "stdout", here)
    assert cli.main([*RUN, "--updates", "60", "--json", "--out", "one"]) == 1
    history = hf.History.read(Path("one") / LOG)
    assert history.ended == "interrupted"
    assert history.last["updates"] == 4                   # record 3 was not read any more
    assert "to go on: minihf run --out one --resume" in capsys.readouterr().err
    assert unpack(Path("one") / "latest.npz")[0]["value"]["Progress"]["updates"] == 4


def test_where_nobody_reads_what_is_said_that_is_no_failure_to_speak_of(pipe, monkeypatch, capsys):
    there, here = pipe
    there.close()
    monkeypatch.setattr(sys, "stdout", here)
    assert cli.main([*RUN, "--updates", "2", "--out", "one"]) == 1
    here.flush()                                                    # as Python does when it ends
    assert capsys.readouterr().err == ""
    assert hf.History.read(Path("one") / LOG).ended == "2 updates"


def test_a_run_wants_no_terminal(monkeypatch):
    for name in "stdout", "stderr":
        monkeypatch.setattr(sys, name, None)              # what Python has where they are closed
    words = ["run", "classifier-digits", "--method", "sgd", "--updates", "2"]
    assert cli.main([*words, "--out", "one"]) == 0
    assert cli.main([*words, "--out", "two", "--json"]) == 0
    assert cli.main(["watch", "one"]) == 0


def test_a_folder_may_be_called_what_the_terminal_cannot_print(monkeypatch):
    printed = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", printed)
    name = "\N{LATIN SMALL LETTER U WITH DIAERESIS}"
    assert cli.main([*RUN, "--updates", "2", "--out", name]) == 0
    assert r"/\xfc" in printed.buffer.getvalue().decode("ascii")


def test_a_record_is_printed_at_once(monkeypatch):
    class Pipe(io.StringIO):
        flushed = 0

        def flush(self):
            Pipe.flushed = len(self.getvalue().splitlines())

    seen, step = [], METHODS["sgd"].opt.step

    def note(self, *arguments):
        seen.append(Pipe.flushed)
        return step(*arguments)

    monkeypatch.setattr(sys, "stdout", Pipe())
    monkeypatch.setattr(hf.SGD, "step", note)
    assert cli.main([*RUN, "--updates", "3", "--json"]) == 0
    assert seen == [1, 2, 3]
