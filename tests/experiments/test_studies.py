"""Studies: their data are right, each runs at smoke scale, and the page says what they found."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

import minihf as hf
from minihf import cli
from minihf.experiments import reproduce as reproducing
from minihf.experiments.claims import Ahead, GetsBelow, NeverRises
from minihf.experiments.figures import must_be_drawable
from minihf.experiments.results import Result
from minihf.experiments.results_page import read_results, write_page
from minihf.experiments.scales import SCALES
from minihf.experiments.studies import LAPTOP_MINUTES, STUDIES
from minihf.experiments.tasks import TASKS
from minihf.experiments.variants import variant

RESULTS = Path(__file__).resolve().parents[2] / "docs" / "results"
LOOKING = 1.03
"""Looks take less than 3 % of the updates' time on top."""


QUICK = ("chen2018-deep-sigmoid", "chan_szeto1999-groupings")


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Run two studies, in the other order than that of the table."""
    place = tmp_path_factory.mktemp("quick")
    for name in QUICK:
        reproducing.reproduce(name, "smoke", place, progress=False)
    return place


@pytest.fixture
def undrawn(monkeypatch):
    monkeypatch.setattr("minihf.experiments.race.write_figure", lambda figure, path: None)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_names_methods_of_its_task_and_claims_of_its_methods(name):
    study = STUDIES[name]
    for scale in SCALES:
        _, task = study.task_at(scale)
        for word in study.methods:
            variant(task.methods, word)
    for claim in study.claims:
        asked = {claim.method, claim.other} if isinstance(claim, Ahead) else {claim.method}
        assert isinstance(claim, Ahead | GetsBelow | NeverRises)
        assert asked <= set(study.methods)


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_at_laptop_scale_takes_a_quarter_of_an_hour_at_most(name):
    study, scale = STUDIES[name], STUDIES[name].scaled("laptop")
    runs = len(study.methods) * len(scale.seeds)
    assert runs * scale.budget["seconds"] * LOOKING <= 60 * LAPTOP_MINUTES
    assert len(scale.seeds) == 3


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_runs_at_smoke_scale(name, undrawn, tmp_path):
    result = reproducing.reproduce(name, "smoke", tmp_path, progress=False)
    kept = Result.read(tmp_path / f"{name}.json")
    assert (kept.study, kept.scale, kept.conditions) == (name, "smoke", result.conditions)
    assert "the first 200" in kept.conditions["data"]
    for word in STUDIES[name].methods:
        (history,) = kept.runs[word].values()
        assert history.ended == "2 updates"
        assert history.last["train"] == pytest.approx(result.runs[word][0].last["train"], rel=1e-3)


def test_the_page_has_every_study_its_claims_and_its_figure(quick, tmp_path):
    results = read_results(quick)
    assert list(results) == sorted(QUICK, key=list(STUDIES).index)
    write_page(results, quick, tmp_path / "page.md")
    text = (tmp_path / "page.md").read_text()
    for name, result in results.items():
        _, task = STUDIES[name].task_at("smoke")
        labels = {word: variant(task.methods, word).label for word in result.runs}
        assert f"## {STUDIES[name].title}" in text
        assert f"page/{name}.png" in text
        assert must_be_drawable(tmp_path / "page" / f"{name}.png").exists()
        assert text.count("What it took to come to a training error of") == len(results)
        for claim in STUDIES[name].claims:
            assert f"| {claim.words(labels)}" in text
            assert claim.answer(result.runs).numbers in text
    assert "minihf reproduce all --scale smoke" in text


def test_a_page_in_a_place_with_spaces_has_commands_and_figures_that_work(quick, tmp_path):
    write_page(read_results(quick), quick, tmp_path / "my page.md")
    text = (tmp_path / "my page.md").read_text()
    assert f"minihf results {quick} --out '{tmp_path}/my page.md'" in text
    assert f"(my%20page/{QUICK[0]}.png)" in text
    assert (tmp_path / "my page" / f"{QUICK[0]}.png").exists()


def test_a_page_has_another_name_than_its_folder_of_figures(quick, tmp_path, capsys):
    with pytest.raises(SystemExit):
        cli.main(["results", str(quick), "--out", str(tmp_path / "page")])
    assert "page' is no page of Markdown: its name must end in .md" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_results_of_other_settings_than_todays_are_refused(quick, tmp_path):
    result = Result.read(quick / f"{QUICK[0]}.json")
    others = {word: said.replace("lr=0.1", "lr=0.2") for word, said in result.methods.items()}
    replace(result, methods=others).write(tmp_path / f"{QUICK[0]}.json")
    with pytest.raises(ValueError, match="is of other settings of sgd than today's"):
        read_results(tmp_path)


def test_other_seeds_join_those_that_there_are(tmp_path, undrawn):
    for seeds in ([0], [3]):
        reproducing.reproduce(QUICK[1], "smoke", tmp_path, seeds=seeds, progress=False)
    kept = Result.read(tmp_path / f"{QUICK[1]}.json")
    assert {tuple(runs) for runs in kept.runs.values()} == {(0, 3)}


def test_a_page_of_nothing_is_refused(tmp_path, capsys):
    assert cli.main(["results", str(tmp_path), "--out", str(tmp_path / "page.md")]) == 1
    assert "has no results of studies" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 1}', '{"format": 2, "columns": [], "runs": [1]}']
)
def test_a_result_that_is_none_is_refused_by_name(text, tmp_path):
    path = tmp_path / "zhang2017-cnn.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"zhang2017-cnn\.json' is no result of a study"):
        Result.read(path)


CHANGES = {
    "no conditions": (lambda held: held.update(conditions={}), "'data' is missing"),
    "other columns": (lambda held: held["columns"].reverse(), "expected records of updates, "),
    "no records": (lambda held: held["runs"][0].update(records=[]), "has no records"),
    "a short record": (lambda held: held["runs"][0]["records"][0].pop(), "expected records of"),
    "a word for a number": (
        lambda held: held["runs"][0]["records"][0].__setitem__(0, "x"), "'updates' of a record"
    ),
    "no errors of all": (lambda held: held["runs"][0].pop("at_end"), "'at_end' is missing"),
    "another name at the end": (
        lambda held: held["runs"][0].update(at_end={"updates": 3}), "'at_end' has updates; expected"
    ),
    "a word for an error of all": (
        lambda held: held["runs"][0].update(at_end={"train_at_end": "x", "test_at_end": 1}),
        "'train_at_end' of a",
    ),
    "no end": (lambda held: held["runs"][0].update(ended=None), "'ended' is None, expected str"),
    "another study": (lambda held: held.update(study="mine"), "is of the study 'mine'"),
    "no such scale": (lambda held: held.update(scale="huge"), "at scale 'huge'; expected"),
    "a method less": (lambda held: held["runs"].pop(), "has no run of minihf, as the study now"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_result_that_is_not_the_study_s_is_refused_in_one_line(change, quick, tmp_path):
    alter, expected = CHANGES[change]
    held = json.loads((quick / f"{QUICK[0]}.json").read_text())
    alter(held)
    (tmp_path / f"{QUICK[0]}.json").write_text(json.dumps(held))
    with pytest.raises(ValueError, match=expected) as refusal:
        read_results(tmp_path)
    assert f"{QUICK[0]}.json'" in str(refusal.value)
    assert str(refusal.value).isprintable()


def test_a_result_is_read_back_as_it_was_written(quick, tmp_path):
    result = Result.read(next(quick.glob("*.json")))
    result.write(tmp_path / "again.json")
    assert Result.read(tmp_path / "again.json").runs == result.runs
    assert json.loads((tmp_path / "again.json").read_text())["format"] == 2


def test_a_result_has_the_errors_of_all_cases_where_looks_measured_a_part(
    undrawn, monkeypatch, tmp_path
):
    name = QUICK[0]
    few = replace(TASKS["deep-sigmoid"], looks=hf.Looks(cases=50))
    monkeypatch.setitem(TASKS, "deep-sigmoid", few)
    result = reproducing.reproduce(name, "smoke", tmp_path, progress=False)
    kept = Result.read(tmp_path / f"{name}.json")
    assert kept.conditions["looked_at"] == "50 cases, all at the end"
    for word, seeds in kept.runs.items():
        for error in ("train", "test"):
            made, read = (runs[0].final(error) for runs in (result.runs[word], seeds))
            assert read == pytest.approx(made, rel=1e-3)
            assert read != seeds[0].last[error]
        took = result.runs[word][0].last["looking"]
        assert seeds[0].last["looking"] == pytest.approx(took, rel=1e-3)
        assert took > 0


def test_the_command_runs_the_studies_that_it_is_told(monkeypatch, tmp_path, capsys):
    ran = []
    monkeypatch.setattr(
        reproducing, "reproduce", lambda name, scale, out, **options: ran.append((name, scale, out))
    )
    code = cli.main(
        ["reproduce", "zhang2017-lstm", "zhang2017-cnn", "--scale", "smoke", "--out", str(tmp_path)]
    )
    assert code == 0
    assert ran == [(name, "smoke", tmp_path) for name in ("zhang2017-lstm", "zhang2017-cnn")]


def test_data_go_to_the_studies_whose_task_takes_some(monkeypatch, tmp_path):
    raced = {}
    monkeypatch.setattr(
        reproducing, "race", lambda *arguments, data_path, **options: raced.update(path=data_path)
    )
    for name, expected in (("zhang2017-lstm", tmp_path), ("martens2010-curves", None)):
        with pytest.raises(FileNotFoundError, match=r"race\.json"):
            reproducing.reproduce(name, "smoke", tmp_path / "out", data_path=tmp_path)
        assert raced["path"] == expected


def test_data_that_no_study_takes_are_refused(tmp_path, capsys):
    words = ["martens2010-curves", "--data", str(tmp_path), "--out", str(tmp_path / "out")]
    assert cli.main(["reproduce", *words]) == 1
    assert "none of these studies takes data" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_data_that_a_later_study_lacks_are_told_before_the_first_runs(
    monkeypatch, tmp_path, capsys
):
    monkeypatch.setenv("MINIHF_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(reproducing, "reproduce", lambda *arguments, **options: pytest.fail("ran"))
    words = ["martens2010-curves", "zhang2017-cnn", "--scale", "paper"]
    assert cli.main(["reproduce", *words, "--out", str(tmp_path / "out")]) == 1
    assert "zhang2017-cnn: cifar10 is not here" in capsys.readouterr().err


def test_an_unknown_study_is_refused_with_those_that_there_are(capsys):
    with pytest.raises(SystemExit):
        cli.main(["reproduce", "zhang2017-autoencodr"])
    assert "did you mean 'zhang2017-autoencoder'?" in capsys.readouterr().err


def test_at_paper_scale_the_whole_set_is_wanted(monkeypatch, tmp_path):
    monkeypatch.setenv("MINIHF_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(OSError, match="minihf data fetch mnist"):
        reproducing.reproduce("zhang2017-lstm", "paper", tmp_path / "out", progress=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("path", sorted(RESULTS.glob("*.json")), ids=lambda path: path.stem)
def test_looks_took_less_than_three_hundredths_of_the_time(path):
    for word, seeds in Result.read(path).runs.items():
        for seed, history in seeds.items():
            share = history.last["looking"] / history.last["seconds"]
            assert share < 0.03, f"{word}, seed {seed}: {share:.3f}"
