"""Runs below a folder: those that can be shown, and a line on each that cannot."""

import json
import shutil

import pytest

from minihf.experiments.report.reading import find_runs

WHO = "race/adam-0"


def change(runs, where=WHO, **facts):
    path = runs / where / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def only_problem(runs):
    (problem,) = find_runs(runs).problems
    return problem


def test_all_runs_below_a_folder_are_found_in_the_order_they_were_started(kept_runs):
    found = find_runs(kept_runs)
    assert found.problems == []
    assert [run.folder for run in found.runs] == [
        "race/adam-0", "race/zhang2017,solver.max_iters=5-0", "race/minihf-0",
        "autoencoder-adam-0",
        "race/adam-1", "race/zhang2017,solver.max_iters=5-1", "race/minihf-1",
    ]  # fmt: skip
    adam = found.runs[0]
    assert (adam.facts.method, adam.facts.seed, adam.facts.spends) == ("adam", 0, "3 updates")
    assert [record["updates"] for record in adam.history] == [0, 1, 2, 3]
    assert adam.history.ended == "3 updates"
    assert set(adam.portrait) == {"confusion"}


def test_a_run_itself_is_found(kept_runs):
    (run,) = find_runs(kept_runs / WHO).runs
    assert run.folder == "adam-0"


def test_folders_that_are_hidden_are_passed_by(runs):
    shutil.move(runs / "race", runs / ".race")
    assert [run.folder for run in find_runs(runs).runs] == ["autoencoder-adam-0"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no run.json: what was run is not known"),
        ("", "'run.json' is not JSON (Expecting value"),
        ("[" * 100_000, "'run.json' is not JSON (maximum recursion"),
        ("[]", "'run.json' is of format 'none'; this minihf reads 1"),
        ("{}", "'run.json' is of format 'none'; this minihf reads 1"),
        ('{"format": 2}', "'run.json' is of format 2; this minihf reads 1"),
        ('{"format": 1}', "'run.json' is of no run: 'task' is 'missing', expected str"),
        (b"\xff\xfe", "'run.json' is not JSON ('utf-8' codec"),
    ],
)
def test_a_run_without_a_readable_record_is_a_line(content, said, runs):
    path = runs / WHO / "run.json"
    path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    problem = only_problem(runs)
    assert problem.startswith(f"{WHO}: {said}")
    assert len(problem.splitlines()) == 1
    assert len(find_runs(runs).runs) == 6


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("seed", True, "int"),
        ("method", ["adam"], "str"),
        ("conditions", "none", "dict"),
        ("budget", {"updates": 3, "seconds": 1}, "one such as {'updates': 50}"),
        ("budget", {"updates": "3"}, "one such as {'updates': 50}"),
        ("budget", {}, "one such as {'updates': 50}"),
    ],
)
def test_a_fact_of_another_kind_is_a_line_that_names_it(name, value, expected, runs):
    change(runs, **{name: value})
    problem = only_problem(runs)
    assert problem.startswith(f"{WHO}: ")
    assert problem.endswith(f"{name!r} is {value!r}, expected {expected}")


def test_a_torn_last_line_is_left_out_and_the_run_was_killed(runs):
    log = runs / WHO / "log.jsonl"
    log.write_text(log.read_text()[:-30])
    run = next(run for run in find_runs(runs).runs if run.folder == WHO)
    assert len(run.history) == 3
    assert run.ended == "killed, or still running"
    assert not run.is_finished


@pytest.mark.parametrize("ended", ["", "interrupted"])
def test_a_run_that_was_stopped_is_not_finished(ended, runs):
    log = runs / WHO / "log.jsonl"
    log.write_text(log.read_text().replace('"ended": "3 updates"', f'"ended": "{ended}"'))
    run = next(run for run in find_runs(runs).runs if run.folder == WHO)
    assert not run.is_finished


def swap(log):
    """Put the record of the second update before that of the first."""
    first, second, third, *rest = log.read_text().splitlines(keepends=True)
    log.write_text("".join([first, third, second, *rest]))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda log: log.unlink(), "no log.jsonl: nothing is known of how it went"),
        (lambda log: log.write_text(""), "log.jsonl has no record yet"),
        (lambda log: log.write_text("{}\n{}\n"), "log.jsonl, line 1: 'updates' is 'missing'"),
        (lambda log: log.write_text("{\n" + log.read_text()), "log.jsonl, line 1: not JSON"),
        (lambda log: log.write_text("[" * 9999 + "\n"), "log.jsonl, line 1: not JSON"),
        (lambda log: swap(log), "line 3: 'updates' is 1 after 2, expected numbers that grow"),
        (lambda log: log.write_text(log.read_text().replace('"seconds": 0.0', '"seconds": -1')),
         "line 1: 'seconds' is -1 after 0"),
        (lambda log: log.write_text(log.read_text().replace('"updates": 3', '"updates": 1e300')),
         "line 4: 'updates' is 1e+300 after 2"),
        (lambda log: log.write_text("[]\n"), "log.jsonl, line 1: expected an object"),
        (lambda log: log.write_bytes(b"\xff\n"), "log.jsonl is no log of a run: it is not text"),
        (lambda log: (log.unlink(), log.mkdir()), "Is a directory: 'log.jsonl'"),
    ],
)
def test_a_damaged_log_is_a_line(damage, said, runs):
    damage(runs / WHO / "log.jsonl")
    problem = only_problem(runs)
    assert problem.startswith(f"{WHO}: ")
    assert said in problem
    assert str(runs) not in problem
    assert len(find_runs(runs).runs) == 6


def test_a_run_with_a_damaged_portrait_is_shown_without_it(runs):
    (runs / WHO / "portrait.npz").write_bytes(b"PK torn")
    found = find_runs(runs)
    assert len(found.runs) == 7
    assert found.runs[0].portrait == {}
    (problem,) = found.problems
    assert problem.startswith(f"{WHO}: 'portrait.npz' is no portrait of a run: ")


def test_a_problem_is_one_short_line_whatever_it_quotes(runs):
    change(runs, seed="very\nlong " * 1000)
    problem = only_problem(runs)
    assert len(problem) < 350
    assert problem.endswith(" ...")
    assert len(problem.splitlines()) == 1


def test_characters_that_a_page_cannot_hold_are_replaced(runs):
    change(runs, method="a\x00dam\ud800\n2", conditions={"\x07": "\x1b[31m"})
    facts = find_runs(runs).runs[0].facts
    assert facts.method == "a\ufffddam\ufffd 2"
    assert facts.conditions == {"\ufffd": "\ufffd[31m"}


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(OSError, match=r"no run at or below .*: expected folders with run\.json"):
        find_runs(tmp_path)


def test_what_is_no_folder_is_refused(tmp_path):
    with pytest.raises(OSError, match="is no folder; expected one with runs"):
        find_runs(tmp_path / "nowhere")
