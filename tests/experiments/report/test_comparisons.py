"""Which runs are compared with which, and of which of them the medians are."""

import json
import shutil

from minihf.experiments.report.comparisons import comparisons_of
from minihf.experiments.report.reading import find_runs
from minihf.experiments.summary import final


def compare(runs):
    return {found.folder: found for found in comparisons_of(find_runs(runs).runs)}


def change(folder, **facts):
    path = folder / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def stop(folder, records):
    log = folder / "log.jsonl"
    log.write_text("".join(log.read_text().splitlines(keepends=True)[:records]))


def test_a_race_is_one_comparison_and_another_task_another(kept_runs):
    found = compare(kept_runs)
    assert list(found) == ["race", "."]
    race = found["race"]
    assert list(race.methods) == ["adam", "zhang2017:solver.max_iters=5", "minihf"]
    assert [list(seeds) for seeds in race.methods.values()] == [[0, 1]] * 3
    assert race.first_order == ["adam"]
    assert found["."].facts.task == "autoencoder-mnist"


def test_runs_under_other_conditions_are_not_compared(runs):
    change(runs / "race" / "adam-1", budget={"updates": 4})
    change(runs / "race" / "minihf-1", conditions={"blas": "another"})
    found = comparisons_of(find_runs(runs).runs)
    assert sorted(len(one.all_runs) for one in found) == [1, 1, 1, 4]


def test_other_settings_under_the_same_word_are_another_method(runs):
    change(runs / "race" / "adam-1", settings="Adam(lr=1)")
    race = compare(runs)["race"]
    assert [name for name in race.methods if name.startswith("adam")] == ["adam", "adam (2)"]
    assert list(race.methods["adam (2)"]) == [1]


def test_a_second_run_of_a_seed_is_another_method(runs):
    shutil.copytree(runs / "race" / "adam-0", runs / "race" / "adam-0-2")
    race = compare(runs)["race"]
    assert list(race.methods["adam"]) == [0, 1]
    assert list(race.methods["adam (2)"]) == [0]


def test_medians_are_of_finished_runs(runs):
    stop(runs / "race" / "adam-1", records=2)
    race = compare(runs)["race"]
    assert list(race.shown["adam"]) == [0]
    assert [run.folder for run in race.left_out] == ["race/adam-1"]
    assert final(race.histories["adam"], "updates").low == 3


def test_a_method_that_has_none_shows_what_it_has(runs):
    for seed in (0, 1):
        stop(runs / "race" / f"adam-{seed}", records=2 + seed)
    race = compare(runs)["race"]
    assert list(race.shown["adam"]) == [0, 1]
    assert race.left_out == []
    assert final(race.histories["adam"], "updates").high == 2
