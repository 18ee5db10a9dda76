"""The page: what is on it, that nothing in a file becomes markup, and that it is written whole."""

import base64
import hashlib
import json
import math
import re
import shutil
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

from minihf import cli
from minihf.experiments.portrait import write_portrait
from minihf.experiments.report import report
from minihf.experiments.tables import table

VOID = {"meta", "img", "br", "link", "input"}


class Page(HTMLParser):
    """A page as a browser would read it: its tags with their attributes, and its words."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.tags, self.open, self.words = [], [], {}
        self.feed(self.source)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open:
            self.words.setdefault(self.open[-1], []).append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]

    @property
    def text(self):
        quiet = {"style", "script"}
        return " ".join(w for tag, words in self.words.items() if tag not in quiet for w in words)


def page_of(runs, out=None):
    out = out or runs.parent / "report.html"
    report(runs, out)
    return Page(out)


def change(runs, where, **facts):
    path = runs / where / "run.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


@pytest.fixture(scope="module")
def page(kept_runs, tmp_path_factory):
    return page_of(kept_runs, tmp_path_factory.mktemp("page") / "report.html")


# What is on it ------------------------------------------------------------------------------


def test_a_page_has_a_part_for_each_comparison_and_links_to_them(page):
    assert page.words["h2"] == [
        "classifier-digits, 3 updates for each run", "autoencoder-mnist, 3 updates for each run"
    ]  # fmt: skip
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    links = [link["href"] for link in page.all("a")]
    assert links == [f"#{name}" for name in ids if re.fullmatch(r"part-\d", name)]


def test_a_part_has_table_curves_pictures_blocks_settings_runs_and_conditions(page):
    heads = page.words["h3"]
    digits, images = heads[: heads.index("Results", 1)], heads[heads.index("Results", 1) :]
    assert digits == [
        "Results", "Errors", "What the networks show", "Blocks", "Curvature", "Settings", "Runs",
        "Command and environment",
    ]  # fmt: skip
    assert images == [name for name in digits if name not in ("Blocks", "Curvature")]


def test_the_page_of_one_race_links_to_its_sections(kept_runs, tmp_path):
    page = page_of(kept_runs / "race", tmp_path / "report.html")
    assert page.words["h1"] == ["classifier-digits"]
    assert page.words["a"] == page.words["h3"]


def test_the_results_are_those_of_the_race_s_table(kept_runs, page):
    from minihf.experiments.report.comparisons import comparisons_of
    from minihf.experiments.report.reading import find_runs

    race = comparisons_of(find_runs(kept_runs).runs)[0]
    words = " ".join(page.text.split())
    for line in table(race.histories, first_order=race.first_order).splitlines():
        for cell in line.strip("|").split("|"):
            median, _, spread = cell.strip(" -:").partition(" (")
            assert median in words
            assert spread.strip(")") in words


def test_figures_and_pictures_say_what_they_are(page):
    labels = [svg["aria-label"] for svg in page.all("svg")]
    assert "error rate, over updates" in labels
    assert "confusion matrix of adam, seed 0" in " ".join(labels)
    assert {svg["role"] for svg in page.all("svg")} == {"img"}
    assert [image["alt"] for image in page.all("img")] == [
        "10 test images", "the same images, reconstructed by adam, seed 0"
    ]  # fmt: skip
    assert {head.get("scope") for head in page.all("th")} == {"row", "col"}
    assert all(table["aria-label"] for table in page.all("table"))
    assert page.all("html") == [{"lang": "en"}]


def test_pictures_are_the_images_with_ink_for_one(kept_runs, page):
    originals, output = np.load(kept_runs / "autoencoder-adam-0" / "portrait.npz")["images"]
    for image, expected in zip(page.all("img"), (originals, output), strict=True):
        png = base64.b64decode(image["src"].removeprefix("data:image/png;base64,"))
        grey = imread(BytesIO(png))[1::3, 1::3, 0]
        assert grey.shape == (28, 10 * 28 + 9 * 2)
        assert (int(image["width"]), int(image["height"])) == (3 * 298, 3 * 28)
        np.testing.assert_allclose(1 - grey[:, 30:58], np.clip(expected[1], 0, 1), atol=0.01)


@pytest.mark.parametrize(("height", "shown"), [(8, 80), (28, 84), (100, 100)])
def test_small_images_are_enlarged_and_large_ones_are_not(runs, height, shown):
    images = np.zeros((2, 3, height, height), np.float32)
    write_portrait(runs / "autoencoder-adam-0" / "portrait.npz", {"images": images})
    assert {image["height"] for image in page_of(runs).all("img")} == {str(shown)}


def test_commands_settings_and_conditions_are_there_as_they_were(kept_runs, page):
    for path in kept_runs.rglob("run.json"):
        facts = json.loads(path.read_text())
        day, hour = facts["started"][:10], facts["started"][11:19]
        words = [facts["command"], facts["settings"], facts["summary"], f"{day} {hour}"]
        for said in (*words, *facts["conditions"].values()):
            assert said in page.text


def test_the_same_runs_make_the_same_page(kept_runs, tmp_path):
    first, second = tmp_path / "a.html", tmp_path / "b.html"
    for out in (first, second):
        report(kept_runs, out)
    assert first.read_bytes() == second.read_bytes()


# What is wrong with runs --------------------------------------------------------------------


def test_what_cannot_be_shown_is_on_the_page_a_line_each(runs):
    (runs / "race" / "adam-0" / "run.json").unlink()
    (runs / "race" / "minihf-0" / "log.jsonl").write_text("torn\ntorn\n")
    (runs / "race" / "minihf-1" / "portrait.npz").write_bytes(b"torn")
    page = page_of(runs)
    lines = [line for line in page.words["li"] if line.startswith("race/")]
    assert [line.partition(":")[0] for line in lines] == [
        "race/adam-0", "race/minihf-0", "race/minihf-1"
    ]  # fmt: skip
    assert "3 that cannot be shown, or not all of it" in page.text


def test_a_page_of_nothing_but_damaged_runs_says_so(runs):
    for path in runs.rglob("run.json"):
        path.write_text("")
    page = page_of(runs)
    assert "7 that cannot be shown" in page.text
    assert page.all("svg") == []


def test_a_run_that_was_killed_is_shown_as_that(runs):
    log = runs / "race" / "adam-1" / "log.jsonl"
    log.write_text(log.read_text()[:-40])
    text = page_of(runs).text
    assert "killed, or still running" in text
    assert "adam, seed 1: not finished (killed, or still running), left out." in text


def test_problems_have_a_column_where_a_run_has_one(page):
    assert "problems" not in page.words["th"]
    assert "folder" in page.words["th"]


def test_figures_have_words_on_how_to_read_them(page):
    words = page.text
    assert "Curves are medians over the seeds" in words
    assert "Values are of the last update before each look;" in words
    assert "smoothed by a hundredth of the block's range" in words


def test_a_network_without_curvature_is_said_and_not_drawn(runs):
    flat = {"spectrum/enc": np.stack([np.zeros(9), np.ones(9)])}
    write_portrait(runs / "autoencoder-adam-0" / "portrait.npz", flat)
    page = page_of(runs)
    assert "adam, seed 0: no eigenvalue above 0 was found, so that there is nothing to draw." in (
        page.text)  # fmt: skip
    assert "adam, seed 0: density" not in page.text


def test_a_run_that_went_on_under_other_conditions_says_so(runs):
    change(runs, "race/adam-0", went_on=["numpy '2.0.0', then '2.4.6'"])
    words = page_of(runs).words["td"]
    assert "went on under other conditions: numpy '2.0.0', then '2.4.6'" in words


def test_errors_that_are_no_numbers_and_problems_are_shown(runs):
    log = runs / "race" / "adam-1" / "log.jsonl"
    records = [json.loads(line) for line in log.read_text().splitlines()]
    records[-1] |= {"train": None, "test": math.nan, "rejected": 4, "problem": "not <finite>"}
    log.write_text("".join(json.dumps(record) + "\n" for record in records))
    text = page_of(runs).text
    assert "4 rejected updates; not <finite>" in text
    assert "adam, seed 1: diverged" in text


# Nothing gets in, nothing gets out ----------------------------------------------------------


def test_words_from_files_are_words_on_the_page(poisoned_runs):
    page = page_of(poisoned_runs)
    assert len(page.all("script")) == 1
    assert {image["src"][:15] for image in page.all("img")} == {"data:image/png;"}
    assert not [name for _, attributes in page.tags for name in attributes if name[:2] == "on"]
    assert page.text.count("<script>alert(1)</script>") > 12
    assert "race/<img src=x>: 'run.json' is of format" in page.text


def test_words_from_files_are_words_in_png_files_too(poisoned_runs, tmp_path):
    count = report(poisoned_runs, tmp_path / "report.html", tmp_path / "png")
    names = [path.name for path in (tmp_path / "png").iterdir()]
    assert len(names) == count > 10
    assert all(re.fullmatch(r"[\w,.=+-]+\.png", name, flags=re.ASCII) for name in names)


def test_the_page_forbids_whatever_is_not_in_it(page):
    (policy,) = [m["content"] for m in page.all("meta")
                 if m.get("http-equiv") == "Content-Security-Policy"]  # fmt: skip
    (script,) = page.words["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules == {
        "default-src": "'none'", "img-src": "data:", "style-src": "'unsafe-inline'",
        "script-src": f"'sha256-{digest}'", "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip


def test_the_page_names_nothing_outside_of_it(page):
    for _, attributes in page.tags:
        for name in ("src", "href", "xlink:href", "data", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,"))
    assert not re.search(r"(https?:|@import|url\((?!#))", page.source.replace(
        '"http://www.w3.org/2000/svg"', ""))  # fmt: skip


# Files --------------------------------------------------------------------------------------


def test_a_page_that_cannot_be_finished_leaves_the_old_one(kept_runs, tmp_path, monkeypatch):
    out = tmp_path / "report.html"
    out.write_text("old")

    def full(*paths):
        raise OSError("No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="No space left"):
        report(kept_runs, out)
    assert out.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_place_that_takes_no_files_is_said_before_any_work(kept_runs):
    with pytest.raises(ValueError, match=r"cannot write .*/proc/report\.html': no writable folder"):
        report(kept_runs, Path("/proc/report.html"))


def test_a_page_that_is_a_link_is_written_where_it_leads(kept_runs, tmp_path):
    page, link = tmp_path / "elsewhere.html", tmp_path / "report.html"
    page.touch()
    link.symlink_to(page)
    report(kept_runs, link)
    assert link.is_symlink()
    assert page.read_text().startswith("<!doctype html>")


def test_figures_of_the_same_name_have_files_of_their_own(runs, tmp_path):
    shutil.copytree(runs / "race" / "adam-0", runs / "race" / "adam-0-2")
    change(runs, "race/adam-0-2", conditions={"blas": "another"})
    count = report(runs, tmp_path / "report.html", tmp_path / "png")
    assert len(list((tmp_path / "png").iterdir())) == count
    assert (tmp_path / "png" / "race-classifier-digits-error-over-updates-2.png").exists()


# The command --------------------------------------------------------------------------------


def test_the_command_writes_the_page_beside_the_runs_and_the_figures_beside_the_page(runs, capsys):
    assert cli.main(["report", str(runs / "race")]) == 0
    assert (runs / "race" / "report.html").exists()
    figures = list((runs / "race" / "report-figures").iterdir())
    assert capsys.readouterr().out.splitlines() == [
        f"page: {runs / 'race' / 'report.html'}",
        f"{len(figures)} figures: {runs / 'race' / 'report-figures'}",
    ]


def test_the_command_names_no_folder_of_figures_where_there_are_none(runs, capsys):
    for path in runs.rglob("run.json"):
        path.write_text("")
    assert cli.main(["report", str(runs)]) == 0
    assert capsys.readouterr().out.splitlines() == [f"page: {runs / 'report.html'}"]
    assert not (runs / "report-figures").exists()


def test_the_command_writes_where_it_is_told(kept_runs, tmp_path):
    out, png = tmp_path / "page.html", tmp_path / "figures" / "png"
    assert cli.main(["report", str(kept_runs), "--out", str(out), "--png", str(png)]) == 0
    assert out.exists()
    assert list(png.iterdir())


def test_the_command_shows_the_page_if_it_is_to(kept_runs, tmp_path, monkeypatch):
    shown = []
    monkeypatch.setattr("webbrowser.open", shown.append)
    out = tmp_path / "page.html"
    words = ["report", str(kept_runs / "race" / "adam-0"), "--out", str(out), "--no-png"]
    assert cli.main(words) == 0
    assert shown == []
    assert cli.main([*words, "--open"]) == 0
    assert shown == [out.as_uri()]
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize("words", [["report", "nowhere"], ["report", "."]])
def test_a_folder_without_runs_is_one_line(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "expected" in line
    assert list(tmp_path.iterdir()) == []
