"""The chapters on analysis run from top to bottom, and what they say of their numbers holds.

The names that a chapter's code leaves behind are looked at, and the results that the last one is
about. What they take from the examples is tested in `test_analysis`.
"""

import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

import minihf as hf
from minihf.experiments.claims import Ahead
from minihf.experiments.results_page import read_results

ROOT = Path(__file__).resolve().parents[1]
BOOK, EXAMPLES = ROOT / "docs" / "book", ROOT / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not BOOK.is_dir(), reason="no docs/ beside the tests"),
]


def cells(page):
    """Return the code of each cell, without its options and without magic."""
    for cell in re.findall(r"```\{code-cell\} python\n(?:---\n.*?---\n)?(.*?)```", page, re.DOTALL):
        yield re.sub(r"^[:%].*$", "", cell, flags=re.MULTILINE)


@pytest.fixture
def run(monkeypatch):
    """Run a chapter, see that it draws as many figures as it numbers, and return its names."""

    def run(number):
        (path,) = BOOK.glob(f"{number}-*.md")
        page, names, shown = path.read_text(), {}, []
        monkeypatch.chdir(BOOK)
        monkeypatch.syspath_prepend(EXAMPLES)
        monkeypatch.setattr(plt, "show", lambda: shown.append(plt.close()))
        plt.switch_backend("agg")
        with plt.rc_context():
            for cell in cells(page):
                exec(compile(cell, path.name, "exec"), names)
        assert len(shown) == len(re.findall(r"^    name: fig-", page, re.MULTILINE)) > 0
        return names

    return run


def test_a_figure_of_an_example_names_a_program_that_is_there():
    named = {
        name
        for path in BOOK.glob("*.md")
        for name in re.findall(r"`examples/([\w*]+\.py)`", path.read_text())
    }
    assert named >= {
        "09_block_structure.py", "10_spectrum.py", "11_damping.py", "12_cg_inside.py"
    }  # fmt: skip
    assert all((EXAMPLES / name).is_file() for name in named)


def test_cg_inside_a_network(run):
    names = run("07")
    result, A, b = names["result"], names["A"], names["b"]
    assert np.abs(np.array(result.quadratics[1:]) - names["dearly"]).max() < 1e-14
    by_rule = {
        i: -0.5 * (b @ b) * names["gauss_rule"](A, b, i).mean(lambda t: 1 / t) for i in (10, 40)
    }
    assert result.quadratics[10] == pytest.approx(by_rule[10], rel=1e-10)
    assert result.quadratics[40] > by_rule[40] + 1e-5
    assert names["promised"] > 3 * np.argmax(names["gaps"] < 0.01)
    ends = names["ends"]
    assert ends[2, 0.95] < 0.5 * ends[2, 0.0]
    assert ends[30, 0.95] == pytest.approx(ends[30, 0.0], rel=0.1)
    assert names["solve"].reason is hf.Reason.NEGATIVE_CURVATURE
    assert names["smallest"] < -0.1


def test_damping(run):
    names = run("08")
    limit = names["unit"] @ names["difference"] @ names["unit"] / 2
    assert 1000 * (1 - names["rho"]) == pytest.approx(limit, rel=0.01)
    assert names["report"].rho > 0.25 > -1 > names["came"][0] / names["promised"][0]
    assert 1 < names["ratio"].min() < 1.2
    assert names["ratio"].max() > 10
    assert names["seen"].min() < 0 <= names["mu"].min() + 1e-12
    assert names["E"] < 10 * np.finfo(np.float32).eps * names["mu"].max()


def test_what_blocks_drop(run):
    names = run("09")
    layers = hf.Partition.of(names["at"].params, "layer")
    orders = ("one after the other", "best", "1 / B", "1")
    left = [names["sweeps"](layers, order)[-1] for order in orders]
    assert left == sorted(left)
    assert left[2] < 0.02 < 10 < left[3]
    for lam, iterations in (0.1, 2), (0.001, 5):
        blocks, one = (names["left_after"](iterations, cut, lam) for cut in ("layer", "network"))
        assert blocks < one
        assert names["left_after"](30, "network", lam) < 0.1 * names["left_after"](30, "layer", lam)
    after = names["after"]
    for updates in (2, 12):
        assert min(after[updates, "layer"]) < 1.01 * min(after[updates, "network"])
        assert after[updates, "layer"][2] < 0.9 * after[updates, "network"][2]
    assert names["apart"][names["mu"] < 0.01].sum() > 0.9 * names["apart"].sum()


HF, BHF, LAYERS = "zhang2017:blocks=network", "zhang2017", "zhang2017:blocks=layer"
NETWORKS = {"autoencoder": "", "lstm": "", "cnn": ":batch=1000"}
SAID = [
    *((f"zhang2017-{name}", Ahead(BHF, "adam", "updates", error), "yes")
      for name in ("autoencoder", "lstm") for error in ("train", "test")),
    ("zhang2017-cnn", Ahead(f"{BHF}:batch=1000", "adam", "updates", "train"), "undecided"),
    ("zhang2017-cnn", Ahead(f"{BHF}:batch=1000", "adam", "updates", "test"), "yes"),
    *((f"zhang2017-{name}", Ahead("minihf", "adam", "seconds"), "yes") for name in NETWORKS),
    ("zhang2017-autoencoder", Ahead("adam", "minihf", "seconds", "test"), "yes"),
    ("zhang2017-autoencoder", Ahead(BHF, HF, "updates"), "yes"),
    ("zhang2017-blocks", Ahead(LAYERS, BHF, "updates"), "yes"),
    ("zhang2017-lstm", Ahead(BHF, HF, "updates"), "undecided"),
    ("zhang2017-lstm", Ahead(BHF, HF, "seconds"), "yes"),
    ("zhang2017-cnn", Ahead(f"{BHF}:batch=1000", f"{HF}:batch=1000", "updates"), "undecided"),
    *((f"zhang2017-{name}", Ahead("adam", blocks + NETWORKS[name], "seconds"), verdict)
      for name, verdict in (("autoencoder", "yes"), ("lstm", "no"), ("cnn", "yes"))
      for blocks in (HF, BHF)),
]  # fmt: skip
"""What "What we found" says in "Reproducing the paper": study, order and answer."""


@pytest.mark.parametrize(("study", "claim", "answer"), SAID)
def test_what_we_found_is_what_the_results_say(study, claim, answer):
    runs = read_results(ROOT / "docs" / "results")[study].runs
    assert claim.answer(runs).verdict.value == answer, claim.answer(runs).numbers
