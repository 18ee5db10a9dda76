"""`minihf check`: what it recognises, what it says of right and wrong, and its exit codes."""

import re
import sys

import pytest

import minihf as hf
from minihf import cli
from minihf.testing import builtin, installation, profile, replay, use_profile
from minihf.testing.builtin import Row
from minihf.testing.recognise import recognise

MINE = '''\
import numpy as np

import minihf as hf
from minihf.op import LinearOp
from minihf.ops.dense import DenseOp


class Scale(hf.Layer):
    def __init__(self, width):
        self.width = width

    def __repr__(self):
        return f"{type(self).__name__}({self.width})"

    def parameters(self, rng):
        return {"w": rng.standard_normal(self.width)}

    def __call__(self, params, x):
        return x * params["w"]


class Mean(Scale):
    """It forgets that the mean of a product is not the product of the means."""

    def __call__(self, params, x):
        return (x - x.mean(axis=0)) * params["w"]


class Steps(Scale):
    example = "N T width"


class Named(Scale):
    def __init__(self, name):
        self.name = name.upper()


class Silent(hf.Layer):
    def __call__(self, params, x):
        raise ValueError("wants no x")


class Leaver(Scale):
    def __call__(self, params, x):
        raise SystemExit(0)


class Unmade(hf.Layer):
    def __init__(self, width):
        raise SystemExit(0)


class LeavesLater(Scale):
    def __init__(self, width):
        if width == 1:
            raise SystemExit(0)
        super().__init__(width)


class Twice(LinearOp):
    def forward(self, x):
        return 2 * x, None

    def rop(self, residuals, Rx):
        return 2 * Rx

    def vjp(self, residuals, u, needs):
        return (2 * u,)


class Lost(Twice):
    def vjp(self, residuals, u, needs):
        return (0 * u,)


class LeavingOp(Twice):
    def vjp(self, residuals, u, needs):
        raise SystemExit(0)


class Product(LinearOp):
    def forward(self, a, b):
        return a @ b, (a, b)


class Louder(hf.SquaredError):
    def grad(self, z, y):
        return 2 * super().grad(z, y)


def tied(params, x):
    return hf.ops.tanh(x @ params["W"]) @ params["W"].T


def tower(width, out):
    return hf.Sequential(hf.Dense(width, out), hf.Tanh())


layer, sequence, images, loss = hf.Dense(3, 2), hf.LSTM, hf.Conv2d, hf.SoftmaxCrossEntropy()
dense, number = DenseOp(), 3
steps = Steps(5)
'''


@pytest.fixture
def mine(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def _few_cases():
    before = profile().name
    use_profile("dev")
    yield
    use_profile(before)


def check(capsys, *words):
    """Run the command; return its exit code, what it printed, and what it complained about."""
    code = cli.main(["check", *words])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


RIGHT = [
    ("Scale", [], "a layer; x = 'N width': tried, and it runs"),
    ("Steps", [], "a layer; x = 'N T width': its example"),
    ("Steps", ["--x", "N width"], "a layer\n"),
    ("steps", [], "a layer; x = 'N T 5': its example"),
    ("layer", [], "a layer; x = 'N 3': tried"),
    ("sequence", [], "a layer; x = 'N T input_size': tried"),
    ("images", [], "a layer; x = 'N in_channels 6 6': tried"),
    ("tower", [], "a layer; x = 'N width': tried"),
    ("tied", ["--param", "W=D H"], "a network; x = 'N D': tried"),
    ("Twice", [], "an op; inputs 'N D': tried"),
    ("Twice", ["--x", "N T D"], "an op\n"),
    ("loss", [], "a loss; z = 'N M'"),
]


@pytest.mark.parametrize(("name", "options", "said"), RIGHT, ids=lambda given: str(given)[:20])
@pytest.mark.usefixtures("mine")
def test_what_is_right_is_recognised_and_passes(name, options, said, capsys):
    code, out, err = check(capsys, f"mine.py:{name}", *options, "--cases", "2")
    assert (code, err) == (0, "")
    assert out.startswith(f"mine.py:{name} is {said}")
    assert re.search(r"all \d+ rungs hold in 2 cases", out)


WRONG = [
    ("Mean", "cases", "a case's output depends on the other cases"),
    ("Lost", "adjoint", "the cotangent of `x` is always zero"),
    ("Louder", "complex step", "off by a factor of 2"),
]


@pytest.mark.parametrize(("name", "rung", "diagnosis"), WRONG)
@pytest.mark.usefixtures("mine")
def test_what_is_wrong_is_exit_code_one_with_a_diagnosis_and_a_line(name, rung, diagnosis, capsys):
    code, out, _ = check(capsys, f"mine.py:{name}")
    assert code == 1
    assert rung in out.splitlines()[1]
    assert diagnosis in out
    line = eval(re.search(r"minihf\.testing\.replay\((.*)\)", out)[1])
    with pytest.raises(AssertionError):
        replay(line)


@pytest.mark.parametrize("name", ["Leaver", "LeavesLater", "LeavingOp"])
@pytest.mark.usefixtures("mine")
def test_what_would_end_the_program_is_a_failed_check(name, capsys):
    code, out, _ = check(capsys, f"mine.py:{name}", "--cases", "6")
    assert code == 1
    assert "it raised SystemExit: 0" in out


REFUSED = [
    (["leaves.py:f"], "'leaves.py' does not run: SystemExit: 0"),
    (["mine.py:Unmade"], "Unmade(width) cannot be made from whole numbers (SystemExit: 0)"),
    (["nobody.py:Mine"], "there is no file 'nobody.py'"),
    (["mine.py"], "must read FILE.py:NAME"),
    (["mine.py:Nobody"], "has no 'Nobody'; it has: Scale, Mean"),
    (["mine.py:number"], "3 is int, expected an op, a layer, a loss"),
    (["mine.py:Named"], "Named(name) cannot be made from whole numbers (AttributeError"),
    (["mine.py:Silent"], "Silent runs on none of the shapes tried ('N D': wants no x;"),
    (["mine.py:Product"], "say its inputs' shapes: --x 'N D' --input 'D M'"),
    (["mine.py:tied"], "say the shapes of its parameters, --param 'W=D M'"),
    (["mine.py:Scale", "--x", "N 2-"], "'2-' is no axis"),
    (["mine.py:Scale", "--input", "N D"], "--input is for ops; Scale is a layer"),
    (["mine.py:Scale", "--param", "W=D"], "--param is for networks; Scale is a layer"),
    (["broken.py:f"], "'broken.py' does not run: ZeroDivisionError"),
]


@pytest.mark.parametrize(("words", "said"), REFUSED, ids=lambda given: str(given)[:30])
def test_what_cannot_be_checked_is_exit_code_two_and_one_line(words, said, mine, capsys):
    (mine / "broken.py").write_text("1 / 0\n")
    (mine / "leaves.py").write_text("raise SystemExit(0)\n")
    code, out, err = check(capsys, *words)
    assert (code, out) == (2, "")
    assert said in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--profile", "fast"], "unknown profile 'fast'; choose one of: dev, ci, grade, nightly"),
        (["--cases", "0"], "expected a whole number of 1 or more"),
        (["--param", "W"], "expected NAME=SHAPE such as 'W=D M', got 'W'"),
    ],
)
def test_a_wrong_option_is_exit_code_two_and_one_line(words, said, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["check", *words])
    assert stop.value.code == 2
    assert said in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.usefixtures("mine")
def test_the_profile_says_how_many_cases(capsys):
    assert "in 12 cases" in check(capsys, "mine.py:Twice", "--profile", "ci")[1]


@pytest.mark.usefixtures("mine")
def test_the_inputs_of_an_op_are_given_in_order(capsys):
    words = ["--x", "N D", "--input", "D M", "--input", "M", "--cases", "1"]
    assert check(capsys, "mine.py:dense", *words)[0] == 0


# Colour


class Terminal:
    def __init__(self, stream):
        self.stream = stream

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("name", "setting", "colour"),
    [
        ("Twice", {}, "\x1b[32m"),
        ("Lost", {}, "\x1b[31m"),
        ("Twice", {"NO_COLOR": "1"}, None),
        ("Twice", {"TERM": "dumb"}, None),
    ],
)
@pytest.mark.usefixtures("mine")
def test_the_verdict_has_a_colour_where_the_terminal_has(
    name, setting, colour, capsys, monkeypatch
):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for key, value in setting.items():
        monkeypatch.setenv(key, value)
    monkeypatch.setattr(sys, "stdout", Terminal(sys.stdout))
    out = check(capsys, f"mine.py:{name}", "--cases", "1")[1]
    assert (colour or "\x1b") in out if colour else "\x1b" not in out


# The installation


@pytest.fixture
def few(monkeypatch):
    rows = {name: builtin.BUILTIN[name] for name in ("tanh", "dense")}
    monkeypatch.setattr(builtin, "BUILTIN", rows)
    return rows


@pytest.mark.usefixtures("few")
def test_without_a_target_the_installation_is_checked(capsys):
    code, out, _ = check(capsys)
    assert code == 0
    for word in ("minihf", "Python", "packages", "backend", "GPU", "BLAS"):
        assert re.search(rf"^{word} +\S", out, flags=re.MULTILINE), word
    assert "dense                      right in 6 cases" in out
    assert out.splitlines()[-1] == "2 of 2 built-in ops are right"


def test_a_wrong_built_in_op_is_found_and_the_others_still_checked(mine, few, capsys):
    from minihf.testing import load

    few["lost"] = Row(load("mine.py:Lost")(), ("N D",))
    few["exp"] = Row(hf.ops.exp, ("N D",))
    code, out, _ = check(capsys)
    assert code == 1
    assert "lost                       wrong\nLost: broken at rung 3, adjoint" in out
    assert "exp                        right" in out
    assert out.splitlines()[-1] == "3 of 4 built-in ops are right"


def test_asking_for_the_gpu_leaves_the_backend_as_it_was():
    hf.use("strict")
    assert installation.gpu()
    assert hf.device().backend == "strict"


# Recognising


@pytest.mark.parametrize(
    ("thing", "kind"),
    [
        (hf.cg, "solver"),
        (hf.Adam(), "optimizer"),
        (hf.HessianFree, "optimizer"),
        (hf.SquaredError, "loss"),
        (hf.Residual(hf.Dense(2, 2)), "layer"),
        (hf.ops.square, "op"),
    ],
)
def test_a_thing_is_recognised_by_what_it_can_do(thing, kind):
    assert recognise(thing).kind == kind


def test_a_solver_has_no_input_to_describe():
    with pytest.raises(ValueError, match="--x is for what has an input; cg is a solver"):
        recognise(hf.cg, x="N D")
