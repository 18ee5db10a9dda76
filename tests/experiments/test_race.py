"""A race in a folder: its order, what it keeps, how it goes on, and what it refuses."""

import itertools
import json
import math
import os
import re
import signal
import sys
from dataclasses import replace

import numpy as np
import pytest

import minihf as hf
from minihf import cli
from minihf.experiments import race as racing
from minihf.experiments.conditions import conditions_of, described
from minihf.experiments.experiment import Experiment
from minihf.experiments.logs import is_complete
from minihf.experiments.machine import THREADS
from minihf.experiments.methods import METHODS
from minihf.experiments.portrait import PORTRAIT
from minihf.experiments.run_folder import read_plan
from minihf.experiments.summary import ends
from minihf.experiments.tasks import TASKS
from minihf.experiments.tasks.task import LOOKS
from minihf.optim import Adam
from minihf.train.log import as_line

WORDS = ("adam", "sgd:lr=0.1")
TURNS = [("Adam", 0), ("SGD, lr=0.1", 0), ("Adam", 1), ("SGD, lr=0.1", 1)]
RUNS = ["adam-0", "adam-1", "sgd,lr=0.1-0", "sgd,lr=0.1-1"]
FILES = ["race.json", "race.png", "race.svg", "table.md"]


@pytest.fixture
def race(monkeypatch, tmp_path):
    """Race two methods on the digits from two seeds, on a clock that ticks, without drawing."""
    ticks = itertools.count()
    monkeypatch.setattr(sys.modules["minihf.train.run"], "perf_counter", lambda: next(ticks))
    monkeypatch.setattr(racing, "draw_race", lambda *arguments: None)
    monkeypatch.setattr(racing, "write_figure", lambda figure, path: path.write_text("drawn"))

    def run(out=tmp_path / "race", words=WORDS, seeds=(0, 1), budget=None, **options):
        task = options.pop("task", "classifier-digits")
        return racing.race(
            task, words, seeds, budget or {"updates": 4}, out, progress=False, **options
        )

    return run


class Stopping:
    """An optimizer at whose third update somebody presses Ctrl-C twice."""

    def __init__(self, opt):
        self.opt = opt

    def __repr__(self):
        return repr(self.opt)

    def init(self, params, seed=0):
        return self.opt.init(params, seed)

    def step(self, net, loss, params, state, batch):
        if state.update == 2:
            raise KeyboardInterrupt
        return self.opt.step(net, loss, params, state, batch)


@pytest.fixture
def trained(monkeypatch):
    """Note who trains, in order; ``trained.stop_at(n)`` lets the nth raise what Ctrl-C raises."""

    class Trained(list):
        limit = None

        def stop_at(self, n):
            self.limit = n

    train, noted = Experiment.train, Trained()

    def note(self, method, budget, seed, **options):
        if len(noted) + 1 == noted.limit:
            method = replace(method, opt=Stopping(method.opt))          # half of a log is there
        else:
            noted.append((method.label, seed))
        return train(self, method, budget, seed, **options)

    monkeypatch.setattr(Experiment, "train", note)
    return noted


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def texts(folder):
    """Return what a race leaves, but for checkpoints and the time at which each run began."""
    found = {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".npz"
    }
    return {name: re.sub('"started": ".*"', "", text) for name, text in found.items()}


def complete(folder):
    return sorted(path.parent.name for path in folder.glob("*/log.jsonl") if is_complete(path))


# Equal conditions ---------------------------------------------------------------------------


@pytest.mark.usefixtures("backend")
def test_all_methods_are_looked_at_after_so_many_updates_whatever_they_take(race):
    runs = race(looks=hf.Looks(often=1, at=LOOKS.at), budget={"seconds": 20})  # an update is one
    for seeds in runs.values():
        assert seeds[0].column("updates") == [0, 1, 2, 4, 8, 16, 20]


def test_all_methods_take_their_turn_with_a_seed_and_begin_at_the_same_point(
    race, trained, tmp_path
):
    runs = race()
    assert trained == TURNS
    assert list(runs) == list(WORDS)
    starts = [{seeds[seed].records[0]["train"] for seeds in runs.values()} for seed in (0, 1)]
    assert [len(start) for start in starts] == [1, 1]
    assert starts[0] != starts[1]
    assert files(tmp_path / "race") == sorted([*RUNS, *FILES])
    for word, seeds in runs.items():
        assert {history.ended for history in seeds.values()} == {"4 updates"}
        assert word in (tmp_path / "race" / "table.md").read_text()


def test_nobody_trains_in_the_rehearsal(race, monkeypatch):
    """It makes one update, on few cases, and the race begins anew."""
    seen = []
    step = Adam.step

    def note(self, net, loss, params, state, batch):
        seen.append((state.update, len(batch[0])))
        return step(self, net, loss, params, state, batch)

    monkeypatch.setattr(Adam, "step", note)
    race(words=["adam"], seeds=[0])
    assert seen == [(0, 64), (0, 128), (1, 128), (2, 128), (3, 128)]


def test_what_the_race_is_stands_in_its_folder(race, tmp_path):
    race()
    held = json.loads((tmp_path / "race" / "race.json").read_text())
    assert held["task"] == "classifier-digits"
    assert held["budget"] == "4 updates"
    assert held["seeds"] == [0, 1]
    assert held["methods"] == {
        "adam": f"{hf.Adam(lr=0.001)!r}, batch 128",
        "sgd:lr=0.1": f"{hf.SGD(lr=0.1, momentum=0.9)!r}, batch 128",
    }
    assert held["numpy"] == np.__version__
    assert held["backend"] == "numpy"


@pytest.mark.parametrize("name", TASKS)
def test_settings_are_described_alike_in_every_process(name):
    for method in TASKS[name].methods.values():
        assert "0x" not in described(method)
        assert described(method).startswith(type(method.opt).__name__)


def test_records_of_a_race_are_told_with_the_run_that_they_are_of(race, tmp_path):
    told = []
    race(on_record=told.append)
    runs = [(record.pop("method"), record.pop("seed")) for record in told]
    assert list(dict.fromkeys(runs)) == [(word, seed) for seed in (0, 1) for word in WORDS]
    for word, seed in set(runs):
        log = racing.run_folder(tmp_path / "race", word, seed) / "log.jsonl"
        mine = [record for record, run in zip(told, runs, strict=True) if run == (word, seed)]
        assert "".join(map(as_line, mine)) == log.read_text()


# Going on -----------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 4])
def test_an_interrupted_race_goes_on_to_what_it_would_have_been(n, race, trained, tmp_path):
    race(out=tmp_path / "whole")
    trained.clear()
    trained.stop_at(n)
    with pytest.raises(KeyboardInterrupt):
        race()
    assert len(complete(tmp_path / "race")) == n - 1 == len(trained)
    assert len(files(tmp_path / "race")) == n + 1                             # and race.json
    trained.clear()
    trained.stop_at(None)
    race()
    assert trained == TURNS[n - 1 :]
    assert texts(tmp_path / "race") == texts(tmp_path / "whole")


def test_ctrl_c_finishes_the_update_and_leaves_the_complete_runs(race, monkeypatch, tmp_path):
    step = hf.SGD.step

    def interrupt(self, net, loss, params, state, batch):
        if len(batch[0]) == 128 and state.update == 2:                       # not the rehearsal
            os.kill(os.getpid(), signal.SIGINT)
        return step(self, net, loss, params, state, batch)

    race(out=tmp_path / "whole")
    monkeypatch.setattr(hf.SGD, "step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        race()
    assert files(tmp_path / "race") == ["adam-0", "race.json", "sgd,lr=0.1-0"]
    assert complete(tmp_path / "race") == ["adam-0"]
    monkeypatch.setattr(hf.SGD, "step", step)
    race()
    assert texts(tmp_path / "race") == texts(tmp_path / "whole")


@pytest.mark.parametrize("budget", [{"updates": 6}, {"seconds": 6}])
def test_a_run_that_was_under_way_goes_on_from_its_checkpoint(
    budget, race, trained, often, monkeypatch, tmp_path
):
    whole = race(out=tmp_path / "whole", budget=budget)
    trained.clear()
    trained.stop_at(4)
    with pytest.raises(KeyboardInterrupt):
        race(budget=budget)
    trained.stop_at(None)
    step, made = hf.SGD.step, []

    def note(self, net, loss, params, state, batch):
        made.append((state.update, len(batch[0])))
        return step(self, net, loss, params, state, batch)

    monkeypatch.setattr(hf.SGD, "step", note)
    again = race(budget=budget)
    assert made == [(0, 64), *((update, 128) for update in range(2, 6))]     # after the rehearsal
    assert texts(tmp_path / "race") == texts(tmp_path / "whole")
    assert again["sgd:lr=0.1"][1].records == whole["sgd:lr=0.1"][1].records


def test_a_run_that_was_killed_before_its_portrait_has_it_taken(race, trained, tmp_path):
    race()
    whole, run = texts(tmp_path / "race"), tmp_path / "race" / "adam-1"
    (run / PORTRAIT).unlink()
    trained.clear()
    race()
    assert trained == [("Adam", 1)]
    assert (run / PORTRAIT).exists()
    assert texts(tmp_path / "race") == whole


def test_the_checkpoints_of_complete_runs_may_be_deleted(race, trained, tmp_path):
    race()
    for path in (tmp_path / "race").glob("*/*.npz"):
        path.unlink()
    trained.clear()
    race()
    assert trained == []


def test_checkpoints_that_cannot_be_read_are_named_and_nothing_is_lost(
    race, trained, often, tmp_path
):
    trained.stop_at(2)
    with pytest.raises(KeyboardInterrupt):
        race()
    trained.stop_at(None)
    run = tmp_path / "race" / "sgd,lr=0.1-0"
    log = (run / "log.jsonl").read_bytes()
    for name in ("latest.npz", "previous.npz"):
        (run / name).write_text("garbage")
    with pytest.raises(ValueError, match=r"latest.npz' .*previous.npz' .*; delete them"):
        race()
    assert (run / "log.jsonl").read_bytes() == log
    for name in ("latest.npz", "previous.npz"):
        (run / name).unlink()
    race()


@pytest.mark.parametrize("keep", [0, 0.5, 0.99])
def test_a_half_written_log_is_no_run_even_under_its_last_name(keep, race, trained, tmp_path):
    race()
    whole = texts(tmp_path / "race")
    log = tmp_path / "race" / "adam-1" / "log.jsonl"
    log.write_text(log.read_text()[: int(keep * len(log.read_text()))])
    trained.clear()
    race()
    assert trained == [("Adam", 1)]
    assert texts(tmp_path / "race") == whole


def test_a_log_without_its_last_record_is_no_run(race, trained, tmp_path):
    race()
    log = tmp_path / "race" / "adam-1" / "log.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:-1]))
    trained.clear()
    race()
    assert trained == [("Adam", 1)]


def test_more_methods_and_seeds_go_on_and_fewer_show_those(race, trained, tmp_path):
    race(words=["adam"], seeds=[0])
    trained.clear()
    race(words=["minihf", "adam"], seeds=[0, 5])
    assert trained == [("minihf", 0), ("minihf", 5), ("Adam", 5)]
    runs = race(words=["minihf"], seeds=[5])
    assert len(trained) == 3
    assert {word: list(seeds) for word, seeds in runs.items()} == {"minihf": [5]}
    table = (tmp_path / "race" / "table.md").read_text()
    assert "Seeds 5;" in table
    assert "adam" not in table
    held = json.loads((tmp_path / "race" / "race.json").read_text())
    assert held["seeds"] == [0, 5]
    assert list(held["methods"]) == ["adam", "minihf"]


def test_the_target_is_what_adam_came_to_also_next_to_the_house_method(race, tmp_path, capsys):
    words = ["race", "classifier-digits", "--methods", "minihf,adam,zhang2017", "--updates", "4"]
    assert cli.main([*words, "--seeds", "0", "--quiet", "--out", str(tmp_path / "race")]) == 0
    runs = race(words=["minihf", "adam", "zhang2017"], seeds=[0])
    found = {word: seeds[0].last["train"] for word, seeds in runs.items()}
    assert min(found, key=found.get) != "adam"
    for text in (capsys.readouterr().out, (tmp_path / "race" / "table.md").read_text()):
        assert f"until a training error of {found['adam']:.6g} or less" in text


def test_a_run_that_gave_up_is_a_result_and_is_not_made_again(race, trained, tmp_path):
    words, budget = ["sgd:lr=1e38", "adam"], {"updates": 30}
    race(words=words, seeds=[0], budget=budget)
    trained.clear()
    runs = race(words=words, seeds=[0], budget=budget)
    assert trained == []
    assert runs["sgd:lr=1e38"][0].ended.startswith("gave up after 10 rejected")
    said = (tmp_path / "race" / "table.md").read_text().splitlines()[-1]
    assert said.startswith("sgd:lr=1e38, seed 0: gave up after 10 rejected")


# Refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": {"updates": 5}}, "budget '4 updates' there and '5 updates' here;"),
        ({"budget": {"seconds": 4}}, "budget '4 updates' there and '4 seconds' here;"),
        ({"task": "temporal-order"}, "task 'classifier-digits' there and 'temporal-order' here; d"),
    ],
)
def test_other_conditions_are_refused_in_one_line_that_names_them(
    change, message, race, trained, tmp_path
):
    race()
    before = texts(tmp_path / "race")
    trained.clear()
    with pytest.raises(ValueError, match=r"race\.json' is of a race under other") as refusal:
        race(**change)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert trained == []
    assert texts(tmp_path / "race") == before


def test_another_number_of_threads_is_another_condition(race, monkeypatch):
    for threads in ("1", "2"):
        for name in THREADS:
            monkeypatch.setenv(name, threads)
        if threads == "1":
            race()
    with pytest.raises(ValueError, match=r"threads '1 threads by .*' there and '2 threads by"):
        race()


def test_a_method_whose_settings_have_changed_is_another_one(race, monkeypatch):
    race()
    monkeypatch.setitem(METHODS, "adam", replace(METHODS["adam"], opt=Adam(lr=0.5)))
    with pytest.raises(ValueError, match="other conditions: other settings of 'adam'; make"):
        race()


def test_data_that_have_changed_under_the_same_name_are_other_data():
    experiment = Experiment.of(TASKS["classifier-digits"])
    x = experiment.data.x_test.copy()
    x[7, 7] += 0.5
    other = replace(experiment, data=replace(experiment.data, x_test=x))
    found, changed = (conditions_of(e, "digits", {"updates": 1}) for e in (experiment, other))
    assert {name for name in found if found[name] != changed[name]} == {"data_sha256"}


def test_runs_of_unknown_conditions_are_refused(race, tmp_path):
    race()
    (tmp_path / "race" / "race.json").unlink()
    with pytest.raises(ValueError, match="has runs, but no race"):
        race()
    race(words=["minihf"], seeds=[0])                            # no run of this race is there


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is not JSON"),
        ("\xff", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[]", "is not of a race"),
        ("{}", "not of a race"),
        ('{"seeds": 3, "methods": [1]}', "'seeds' is 3, expected a list of whole numbers"),
        ('{"seeds": ["0"], "methods": {}}', "'seeds' is .*, expected a list of whole numbers"),
        ('{"seeds": [0], "methods": [1]}', "'methods' is .*, expected settings by method"),
        ('{"seeds": [0], "methods": {"adam": 1}}', "'methods' is .*, expected settings by method"),
    ],
    ids=lambda given: given[:30],
)
def test_a_spoilt_record_is_one_line(text, message, race, trained, tmp_path):
    (tmp_path / "race").mkdir()
    (tmp_path / "race" / "race.json").write_text(text, encoding="latin-1")
    with pytest.raises(ValueError, match=message) as refusal:
        race()
    assert str(refusal.value).startswith(f"'{tmp_path}/race/race.json' ")
    assert str(refusal.value).endswith("; take another folder, or delete this one with its logs")
    assert "\n" not in str(refusal.value)
    assert trained == []


SPOILT = {
    "garbage": b"garbage\n",
    "not text": b"\xff\xfe\x00\n",
    "nested": b"[" * 100_000 + b"\n",
    "a list": b"[]\n",
    "without a column": b'{"ended": "4 updates"}\n',
    "words": b'"train": "abc"',
    "truth": b'"train": true',
    "a column of nothing": b'"updates": null',
    "too large": b'"products": ' + b"9" * 400,
    "no words": b'"ended": 5',
}


def spoil(log, how):
    """Replace a log, or the value of one column in its last line."""
    if not how.startswith(b'"'):
        return log.write_bytes(how)
    column = how.partition(b":")[0].decode()
    *lines, last = log.read_bytes().splitlines(keepends=True)
    last, changed = re.subn(rf"{column}: [^,}}]*".encode(), how, last)
    assert changed == 1
    return log.write_bytes(b"".join([*lines, last]))


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_log_is_one_line_that_says_what_to_do(how, race, trained, tmp_path):
    race()
    trained.clear()
    log = tmp_path / "race" / "adam-1" / "log.jsonl"
    before = log.read_bytes()
    spoil(log, SPOILT[how])
    with pytest.raises(ValueError, match=rf"^{log}.*; delete it, and the same command makes it ag"):
        race()
    assert trained == []
    log.unlink()
    race()
    assert trained == [("Adam", 1)]
    assert log.read_bytes() == before


def test_an_error_that_was_not_finite_does_not_spoil_a_log(race, trained, tmp_path):
    race()
    trained.clear()
    for value in (b"null", b"NaN", b"Infinity"):
        spoil(tmp_path / "race" / "adam-1" / "log.jsonl", b'"train": ' + value)
        assert ends(race()["adam"][1])[1] == math.inf
    assert trained == []


@pytest.mark.skipif(sys.platform == "win32", reason="no flock")
def test_a_second_race_in_the_folder_is_refused_until_the_first_has_ended(
    race, monkeypatch, tmp_path
):
    train, refused = Experiment.train, []

    def meanwhile(self, *arguments, **options):
        with pytest.raises(RuntimeError, match=f"another race is running in '{tmp_path}/race'"):
            race(words=["minihf"])
        refused.append(files(tmp_path / "race"))
        return train(self, *arguments, **options)

    monkeypatch.setattr(Experiment, "train", meanwhile)
    race()
    assert len(refused) == len(TURNS)
    assert not any("minihf" in name for names in refused for name in names)
    assert files(tmp_path / "race") == sorted([*RUNS, *FILES])


def test_what_a_killed_race_left_goes_with_the_next(race, tmp_path):
    race()
    run = tmp_path / "race" / "adam-1"
    (run / ".run.0123abcd.part.json").touch()
    (run / "log.jsonl").unlink()
    race()
    assert files(run) == [
        "best.npz", "latest.npz", "log.jsonl", "portrait.npz", "previous.npz", "run.json",
    ]  # fmt: skip


def test_a_race_of_an_older_minihf_is_refused(race, trained, tmp_path):
    (tmp_path / "race").mkdir()
    (tmp_path / "race" / "adam-0.jsonl").touch()
    with pytest.raises(ValueError, match=r"race/adam-0.jsonl' is a log of an older minihf, which"):
        race()
    assert trained == []
    assert files(tmp_path / "race") == ["adam-0.jsonl"]


def test_a_run_knows_the_race_s_conditions_and_command(race, tmp_path):
    race(command="minihf race classifier-digits")
    held = json.loads((tmp_path / "race" / "race.json").read_text())
    for name in RUNS:
        planned = read_plan(tmp_path / "race" / name)
        assert planned["conditions"].items() <= held.items()
        assert held["methods"][planned["method"]] == planned["settings"]
        assert planned["command"] == "minihf race classifier-digits"
        assert f"{planned['method'].replace(':', ',')}-{planned['seed']}" == name


def test_another_averaging_is_another_setting(race, monkeypatch):
    assert described(METHODS["minihf"]).endswith(", batch 1000, averaging 0.05")
    race(words=["minihf"], seeds=[0])
    monkeypatch.setitem(METHODS, "minihf", replace(METHODS["minihf"], averaging=0.5))
    with pytest.raises(ValueError, match="other settings of 'minihf'; make"):
        race(words=["minihf"], seeds=[0])


def test_a_refusal_names_a_word_that_works(race, tmp_path):
    for word in ("chan_szeto1999", "chan_szeto1999:solver.max_size=9", "chan_szeto1999:batch=64"):
        with pytest.raises(ValueError, match="as a method here: ") as refusal:
            race(words=[word])
        (instead,) = re.findall("as a method here: (.*)$", str(refusal.value))
        assert instead.startswith("chan_szeto1999")
        assert race(words=[instead], seeds=[0], budget={"updates": 1}, out=tmp_path / instead)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("martens_sutskever2011", "the network marks no hidden states"),
        ("chan_szeto1999:solver.max_size=9", "and Cholesky takes 9 at most"),
    ],
)
def test_a_method_that_cannot_take_part_stops_the_race_before_it_begins(
    word, message, race, trained, tmp_path
):
    with pytest.raises(ValueError, match=f"^method '{word}' cannot take part: .*{message}"):
        race(words=["adam", word])
    assert trained == []
    assert files(tmp_path) == []


# The command --------------------------------------------------------------------------------

COMMAND = ["race", "classifier-digits", "--quiet"]


def test_the_command_leaves_runs_table_and_figure(tmp_path, capsys):
    words = [*COMMAND, "--methods", "adam,minihf", "--seconds", "0.02", "--seeds", "0,1"]
    out = tmp_path / "new" / "race"
    assert cli.main([*words, "--out", str(out)]) == 0
    printed = capsys.readouterr().out
    assert "4 runs of 0.02 seconds; 0 of them done before" in printed
    assert printed.splitlines()[-1] == f"runs, table.md, race.png and race.svg: {out}"
    table = [line for line in printed.splitlines() if line.startswith("|")]
    assert "\n".join(table) in (out / "table.md").read_text()
    assert (out / "race.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in (out / "race.svg").read_text()


def test_an_interruption_is_exit_code_one_and_says_how_to_go_on(race, trained, tmp_path, capsys):
    trained.stop_at(2)
    words = [*COMMAND, "--updates", "3", "--seeds", "0", "--out", str(tmp_path / "race")]
    assert cli.main(words) == 1
    assert capsys.readouterr().err == (
        f"minihf: interrupted; what there is, is in '{tmp_path}/race': the same command goes on\n"
    )
    trained.stop_at(None)
    assert cli.main(words) == 0
    assert "2 runs of 3 updates; 1 of them done before" in capsys.readouterr().out


def test_the_folder_is_named_after_the_task(race, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main([*COMMAND, "--updates", "1", "--seeds", "0", "--target", "0.5"]) == 0
    assert files(tmp_path / "runs" / "race-classifier-digits")
    assert "seconds to 0.5" in capsys.readouterr().out


def test_other_conditions_are_exit_code_one(race, tmp_path, capsys):
    words = [*COMMAND, "--seeds", "0", "--methods", "sgd", "--out", str(tmp_path)]
    assert cli.main([*words, "--updates", "1"]) == 0
    assert cli.main([*words, "--updates", "2"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "budget '1 updates' there and '2 updates' here" in line


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["race"], "required: TASK"),
        (["race", "digits"], "unknown task 'digits'"),
        ([*COMMAND, "--methods", "adam,adma"], "did you mean 'adam'?"),
        ([*COMMAND, "--methods", "adam:lrr=1"], "unknown field of Adam 'lrr'; known: lr, beta1"),
        ([*COMMAND, "--methods", "sgd,sgd"], "a method is named twice in 'sgd,sgd'"),
        ([*COMMAND, "--seeds", "1,1"], "a seed is named twice in '1,1'"),
        ([*COMMAND, "--seeds", "1,x"], "expected a whole number of 0 or more, got 'x'"),
        ([*COMMAND, "--seconds", "1", "--updates", "1"], "not allowed with argument"),
        ([*COMMAND, "--updates", "1.5"], "expected a whole number of 1 or more, got '1.5'"),
        ([*COMMAND, "--target", "-1"], "expected a positive number"),
    ],
)
def test_a_wrong_word_is_exit_code_two(words, expected, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    assert expected in capsys.readouterr().err.splitlines()[-1]


def test_help_says_what_there_is_and_how_to_vary_it(capsys):
    with pytest.raises(SystemExit):
        cli.main(["race", "--help"])
    text = capsys.readouterr().out
    assert all(name in text for name in (*METHODS, *TASKS, "adam:lr=5e-4:batch=512"))
