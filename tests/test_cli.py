"""The command line: what it prints, writes and returns, and what it says to a wrong word."""

import pytest

from minihf import cli
from minihf.experiments import demo
from minihf.experiments.methods import METHODS, Method

PNG = b"\x89PNG"


def run_demo(tmp_path, *words):
    out = tmp_path / "race.png"
    code = cli.main(["demo", "--seconds", "0.05", "--out", str(out), "--quiet", *words])
    return code, out


def test_the_demo_prints_a_table_and_writes_the_figure_it_names_last(tmp_path, capsys):
    code, out = run_demo(tmp_path)
    printed = capsys.readouterr().out
    assert code == 0
    for name in demo.METHODS:
        assert METHODS[name].label in printed
    assert "train error" in printed
    assert "test error" in printed
    assert printed.splitlines()[-1] == f"figure: {out}"
    assert out.read_bytes().startswith(PNG)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]      # no half-written rest


def test_the_demo_says_which_part_of_mnist_it_used(tmp_path, capsys):
    run_demo(tmp_path, "--methods", "adam")
    assert "first 5,000" in capsys.readouterr().out


def test_the_demo_shows_bars_unless_it_is_to_be_quiet(tmp_path, capsys):
    out = tmp_path / "race.png"
    cli.main(["demo", "--seconds", "0.05", "--methods", "zhang2017", "--out", str(out)])
    bar = capsys.readouterr().err
    for word in ("BHF", "train", "lam", "cg", "products/s"):
        assert word in bar


def test_a_run_that_gives_up_is_a_failure(tmp_path, monkeypatch):
    from minihf.optim import SGD

    monkeypatch.setitem(METHODS, "adam", Method("SGD", SGD(lr=1e30), batch_size=128))
    code, out = run_demo(tmp_path, "--methods", "adam", "--seconds", "60")
    assert code == 1
    assert out.exists()                                                  # what there is, is shown


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["demo", "--methods", "adma"], "did you mean 'adam'?"),
        (["demo", "--methods", "adam,adam"], "named twice"),
        (["demo", "--seconds", "0"], "expected a positive number, got '0'"),
        (["demo", "--seconds", "nan"], "expected a positive number"),
        (["demo", "--seed", "-3"], "expected a whole number of 0 or more"),
        (["demo", "--out", "figure.gif"], "must end in .pdf, .png, .svg"),
        (["demo", "--out", "/proc/figure.png"], "no writable folder '/proc'"),
        (["demo", "--out", "/no/such/folder/figure.png"], "no writable folder '/no/such/folder'"),
        (["demo", "--backend", "abacus"], "unknown backend 'abacus'"),
        (["bench", "--rounds", "0.5"], "a whole number of 1 or more"),
        (["bench", "--threads", "0"], "a whole number of 1 or more"),
        (["bench", "--problems", "lsmt"], "did you mean 'lstm'?"),
        (["bench", "--problems", "cnn,cnn"], "named twice"),
        (["bench", "--out", "/no/such/folder/page.md"], "no writable folder '/no/such/folder'"),
        (["bench", "--out", "/"], "cannot write '/': it is a folder"),
        (["bench", "--growth", "--gpu"], "--gpu: not allowed with argument --growth"),
        (["fly"], "invalid choice: 'fly'"),
        ([], "required"),
    ],
)
def test_a_wrong_word_is_exit_code_two_and_one_line_that_names_it(words, expected, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    assert expected in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize("words", [["--help"], ["demo", "--help"], ["bench", "--help"]])
def test_help_names_every_option_with_its_default(words, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 0
    text = capsys.readouterr().out
    if words[0] == "demo":
        for option in ("--seconds", "--seed", "--out", "--methods", "--backend", "--quiet"):
            assert option in text
        assert text.count("default") >= 5
    if words[0] == "bench":
        options = ("--rounds", "--problems", "--threads", "--workers", "--growth", "--out", "--gpu")
        for option in options:
            assert option in text
    assert "usage: minihf" in text


def test_a_figure_that_cannot_be_written_is_one_line_and_exit_code_one(
    tmp_path, capsys, monkeypatch
):
    from minihf import files

    def full(*args):
        raise OSError("No space left on device")

    monkeypatch.setattr(files.os, "replace", full)
    code, _ = run_demo(tmp_path, "--methods", "adam")
    assert code == 1
    assert capsys.readouterr().err.strip() == "minihf: No space left on device"
    assert list(tmp_path.iterdir()) == []
