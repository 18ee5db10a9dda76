"""`check_layer` and `check_network`: right networks pass, and wrong ones are told why.

That the library's own layers pass, on every backend, stands in tests/layers/test_rules.py.
"""

import numpy as np
import pytest

import minihf as hf
from minihf import ops
from minihf.backend import array_module
from minihf.op import LinearOp, Op
from minihf.testing import CheckFailure, check_layer, check_network, load, replay

LOSSES = {
    "squared error": (hf.SquaredError(), None),
    "sigmoid": (hf.SigmoidCrossEntropy(), None),
    "softmax": (hf.SoftmaxCrossEntropy(), None),
    "softmax, a function draws the labels": (
        hf.SoftmaxCrossEntropy(), lambda rng, z: hf.asarray(np.zeros(len(z), dtype=int)),
    ),
}  # fmt: skip


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_a_network_passes_with_each_loss_and_its_own_blocks(loss):
    net = hf.Sequential(
        encoder=hf.Sequential(hf.Dense(3, 4), hf.Tanh()), decoder=hf.Dense(4, 3)
    )
    blocks = {"encoder": "encoder.*", "decoder": "decoder.*"}
    check_network(net, "N 3", loss[0], partition=blocks, targets=loss[1], cases=2)


def tied(params, x):
    return ops.tanh(x @ params["W"]) @ params["W"].T


def test_a_function_of_params_and_x_is_a_network():
    verdict = check_network(tied, "N D", params={"W": "D H"})
    assert verdict.what == "tied"
    assert verdict.worst["hessian"] > 0


# Wrong layers


class Scale(hf.Layer):
    """y = x w: what the wrong ones below are variants of."""

    def __init__(self, D=2):
        self.D = D

    def __repr__(self):
        return f"{type(self).__name__}({self.D})"

    def parameters(self, rng):
        return {"w": rng.standard_normal(self.D)}

    def __call__(self, params, x):
        return x * params["w"]


class Doubled(LinearOp):
    """y = 2 x, and a vjp that has forgotten it."""

    def forward(self, x):
        return 2 * x, None

    def rop(self, residuals, Rx):
        return 2 * Rx

    def vjp(self, residuals, u, needs):
        return (u + 0,)


class CallsWrongOp(Scale):
    def __call__(self, params, x):
        return Doubled()(x * params["w"])


class LeavesTheTape(Scale):
    def __call__(self, params, x):
        return np.maximum(x * params["w"], 0)


class KnowsWhetherItIsTraced(Scale):
    def __call__(self, params, x):
        return x * params["w"] * (1.0 if hasattr(x, "strides") else 1.5)


class AnotherInitialValueEachTime(Scale):
    def parameters(self, rng):
        return {"w": np.random.default_rng().standard_normal(self.D)}


class DrawsItsOwnNoise(Scale):
    def __call__(self, params, x):
        return x * params["w"] * float(np.random.default_rng().random())


class MixesCases(Scale):
    def __call__(self, params, x):
        y = x * params["w"]
        return y - y.mean(axis=0)


class LosesTheBatch(Scale):
    def __call__(self, params, x):
        return (x * params["w"]).sum()


class Float64Only(Scale):
    def __call__(self, params, x):
        return x * params["w"] * array_module(getattr(x, "value", x)).ones(self.D)


class CountsDataAsConstant(Scale):
    def __call__(self, params, x):
        return x * params["w"] + getattr(x, "value", x)


WRONG = [
    (CallsWrongOp, "own ops", "the cotangent of `x` is off by a factor of 0.5"),
    (LeavesTheTape, "output", "call minihf.ops.relu instead"),
    (KnowsWhetherItIsTraced, "output", "it differs when the network is recorded"),
    (AnotherInitialValueEachTime, "output", "the same seed gives other parameters"),
    (DrawsItsOwnNoise, "output", "not deterministic"),
    (MixesCases, "cases", "a case's output depends on the other cases"),
    (LosesTheBatch, "output", "expected the batch of"),
    (Float64Only, "float32", "float32 came in, float64 came out"),
    (CountsDataAsConstant, "complex step", ""),
]


@pytest.mark.parametrize(
    ("layer", "rung", "diagnosis"), WRONG, ids=lambda wrong: getattr(wrong, "__name__", "")
)
def test_a_wrong_layer_breaks_at_its_rung_and_is_told_why(layer, rung, diagnosis):
    check_layer(Scale, "N D")
    with pytest.raises(CheckFailure) as caught:
        check_layer(layer, "N D")
    assert caught.value.rung == rung
    assert diagnosis in caught.value.diagnosis


def test_a_layer_that_mixes_cases_on_purpose_may_say_so():
    check_layer(MixesCases, "N D", independent_cases=False)


def test_a_failure_replays_from_the_line_it_prints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(
        "import minihf as hf\n"
        "class Mine(hf.Layer):\n"
        "    def __init__(self, D): self.D = D\n"
        "    def parameters(self, rng): return {'w': rng.standard_normal(self.D)}\n"
        "    def __call__(self, params, x): return x * params['w'] - x.mean(axis=0)\n"
    )
    with pytest.raises(CheckFailure) as first:
        check_layer(load("mine.py:Mine"), "N D")
    line = first.value.reproducer
    assert line.startswith("check_layer(load('mine.py:Mine'), 'N D', sizes=dict(N=2, D=1)")
    with pytest.raises(CheckFailure) as again:
        replay(line)
    assert str(again.value) == str(first.value)


def test_a_layer_far_from_order_one_is_judged_by_the_same_digits():
    class Tiny(Scale):
        def __call__(self, params, x):
            return 1e-7 * (x * params["w"])

    class TinyAndWrong(Op):
        def forward(self, x, w):
            return 1e-7 * x * w, (x, w)

        def rop(self, residuals, Rx, Rw):
            x, w = residuals
            return 1e-7 * ((0 if Rx is None else Rx * w) + (0 if Rw is None else x * Rw) * 1.001)

        def vjp(self, residuals, u, needs):
            x, w = residuals
            return 1e-7 * u * w, 1e-7 * (u * x).sum(axis=0)

        def rvjp(self, residuals, Rinputs, u, Ru, needs):
            x, w = residuals
            return tuple(np.zeros_like(a) for a in (x, w))

    class CallsIt(Scale):
        def __call__(self, params, x):
            return TinyAndWrong()(x, params["w"])

    check_layer(Tiny, "N D")
    with pytest.raises(CheckFailure, match=r"the `w` term of rop is off by a factor of 1\.001"):
        check_layer(CallsIt, "N D")


def test_a_class_is_made_with_sizes_it_names_in_x_and_elsewhere():
    verdict = check_layer(hf.Dense, "N in_features")
    assert (verdict.what, verdict.cases) == ("Dense", 6)
    check_layer(lambda D, H: hf.LSTM(D, H), "N T D", sizes={"H": 2}, cases=2)


# What is refused before any rung


def test_a_maker_of_something_else_is_refused_in_one_line():
    with pytest.raises(ValueError, match=r"check_layer: dict made \{\}, which is not what it che"):
        check_layer(dict, "N D")
    with pytest.raises(ValueError, match="check_layer: 3 is not what it checks"):
        check_layer(3, "N D")


def test_a_size_that_nobody_names_is_refused():
    with pytest.raises(ValueError, match="sizes has K; the shapes name N, D"):
        check_layer(hf.Tanh(), "N D", sizes={"K": 2})


def test_an_input_that_does_not_fit_says_what_the_layer_said():
    with pytest.raises(CheckFailure, match="it raised ValueError: Dense: x has 1 features, W exp"):
        check_layer(hf.Dense(3, 2), "N D")


def test_what_a_check_cannot_do_without_is_asked_for():
    with pytest.raises(ValueError, match='check_layer: x needs an axis of cases, such as "N D"'):
        check_layer(Scale, "")
    with pytest.raises(ValueError, match="needs the shapes of its parameters, such as params="):
        check_network(tied, "N D")
    with pytest.raises(ValueError, match="a shape is a text such as 'N D', or a tuple, got 3"):
        check_network(tied, "N D", params={"W": 3})
