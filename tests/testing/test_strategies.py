"""The strategies: what they give runs, gets small, and is made again by one line."""

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import find as hypothesis_find

import minihf as hf
from minihf.testing import SPD, Batch, Problem, check_adjoint, check_network, replay
from minihf.testing.problem import input_of
from minihf.testing.spd import SPECTRA
from minihf.testing.strategies import (
    batches,
    losses,
    networks,
    partitions,
    problems,
    spd_operators,
)

EXACT = 1e-10  # float64, and matrices whose condition number is at most 1e4


def find(strategy, condition):
    quick = settings(database=None, derandomize=True, phases=[Phase.generate, Phase.shrink])
    return hypothesis_find(strategy, condition, settings=quick)


# What is drawn is right


@given(problem=problems())
def test_a_problem_is_a_network_at_a_point_with_a_loss_and_blocks(problem):
    assert len(problem.z) == problem.sizes["N"]
    assert 0 <= float(problem.loss.value(problem.z, problem.y)) < np.inf
    assert sum(block.size for block in problem.blocks.values()) == problem.params.size
    check_adjoint(problem.lin.jvp, problem.lin.vjp, problem.v, problem.u)


@settings(max_examples=10)
@given(problem=problems(networks(smooth=True, largest=2), largest=2))
def test_a_network_that_is_drawn_climbs_the_ladder(problem):
    check_network(
        problem.net, problem.shape, problem.loss, partition=problem.partition,
        sizes=problem.sizes, seed=problem.seed,
    )  # fmt: skip


@given(problem=problems())
def test_the_line_of_a_problem_makes_the_same_bits(problem):
    again = replay(problem.replay_line)
    assert repr(again) == repr(problem) == problem.replay_line
    for name in ("x", "y", "z", "u", "v"):
        np.testing.assert_array_equal(getattr(again, name), getattr(problem, name))
    np.testing.assert_array_equal(again.lin.vjp(again.u), problem.lin.vjp(problem.u))
    assert again.blocks.names == problem.blocks.names


def test_the_order_of_looking_changes_no_number():
    first, second = (Problem(hf.Dense(2, 1), "N 2", hf.SquaredError(), sizes={"N": 2})
                     for _ in range(2))  # fmt: skip
    _ = first.x, first.y, second.u, second.y
    np.testing.assert_array_equal(first.u, second.u)
    np.testing.assert_array_equal(first.x, second.x)


def test_another_seed_gives_other_numbers_everywhere():
    one, other = (Problem(hf.Dense(2, 3), "N 2", hf.SquaredError(), sizes={"N": 2}, seed=seed)
                  for seed in (0, 1))  # fmt: skip
    for name in ("x", "y", "u", "v"):
        assert not np.any(getattr(one, name) == getattr(other, name)), name
    assert not np.any(one.params.vector == other.params.vector)
    assert not np.any(SPD(3, "linear", seed=0).b == SPD(3, "linear", seed=1).b)


@given(batch=batches(hf.Sequential(hf.LSTM(2, 3)), hf.SoftmaxCrossEntropy()))
def test_a_batch_is_two_arrays_that_the_network_and_the_loss_take(batch):
    x, y = batch
    assert x.shape == (batch.sizes["N"], batch.sizes["T"], 2)
    assert y.shape == x.shape[:2]
    assert y.dtype.kind == "i"
    assert repr(replay(batch.replay_line)) == repr(batch)


@given(spec=partitions(hf.Sequential(hf.Dense(2, 2), hf.Tanh(), hf.Dense(2, 1))))
def test_a_partition_covers_the_parameters(spec):
    params = hf.Sequential(hf.Dense(2, 2), hf.Tanh(), hf.Dense(2, 1)).init(0)
    assert sum(block.size for block in hf.Partition.of(params, spec).values()) == 9


def test_partitions_take_parameters_too():
    params = hf.Dense(1, 1).init(0)
    assert find(partitions(params), lambda spec: spec != "network") == "layer"
    two = find(partitions(params), lambda spec: isinstance(spec, dict) and len(spec) > 1)
    assert sorted(two.values()) == [["W"], ["b"]]


@given(A=spd_operators())
def test_a_matrix_has_the_spectrum_that_it_says(A):
    found = np.linalg.eigvalsh(A.matrix)
    np.testing.assert_allclose(found, np.sort(A.eigenvalues), rtol=EXACT)
    assert (A.matrix == A.matrix.T).all()
    np.testing.assert_array_equal(replay(repr(A)) @ A.b, A @ A.b)


@given(A=spd_operators((1.0, 1.0, 5.0)))
def test_eigenvalues_may_be_given(A):
    assert A.shape == (3, 3)
    np.testing.assert_allclose(np.linalg.eigvalsh(A.matrix), [1, 1, 5], rtol=EXACT)


@given(A=spd_operators("clustered", largest=20))
def test_cg_needs_as_many_steps_as_there_are_different_eigenvalues(A):
    result = hf.cg(A, A.b, stop=hf.RelativeResidual(1e-9))
    assert result.n_products <= 3


# What is drawn gets small

SMALLEST = {
    "Problem(Sequential(Dense(1, 1)), 'N 1', SquaredError(), sizes=dict(N=1))":
        (problems(), lambda p: True),
    "Problem(Sequential(Dense(1, 2)), 'N 1', SquaredError(), sizes=dict(N=1))":
        (problems(), lambda p: any(width_of(layer) >= 2 for layer in p.net.layers.values())),
    "Problem(Sequential(LSTM(1, 1)), 'N T 1', SquaredError(), sizes=dict(N=1, T=2))":
        (problems(), lambda p: isinstance(p.net.layers["0"], hf.LSTM) and p.sizes["T"] > 1),
    "Problem(Sequential(LSTM(1, 2)), 'N T 1', SquaredError(), sizes=dict(N=1, T=1))":
        (problems(networks(["recurrent"])),
         lambda p: isinstance(p.net.layers["0"], hf.LSTM) and p.net.layers["0"].hidden_size > 1),
    "Sequential(Conv2d(1, 1, (1, 1)), MaxPool2d(2))":
        (networks(["convolution"]), lambda n: has(n, hf.MaxPool2d) and not has(n, hf.AvgPool2d)),
    "Sequential(Dense(1, 1), Residual(Sequential(Dense(1, 1), Tanh())))":
        (networks(), lambda net: has(net, hf.Residual)),
    "SigmoidCrossEntropy()": (losses(), lambda loss: not isinstance(loss, hf.SquaredError)),
    "SPD(1, 'identity')": (spd_operators(), lambda A: True),
    "SPD(2, 'linear')": (spd_operators("linear"), lambda A: A.size > 1),
}  # fmt: skip


def has(net, kind):
    return any(isinstance(layer, kind) for layer in net.layers.values())


def width_of(layer):
    return getattr(layer, "out_features", getattr(layer, "hidden_size", 0))


@pytest.mark.parametrize("line", SMALLEST)
def test_the_smallest_example_is_the_smallest_there_is(line):
    from minihf.testing.replay import written

    assert written(find(*SMALLEST[line])) == line


def test_without_kinks_there_is_none():
    with pytest.raises(Exception, match=r"NoSuchExample|No examples"):
        find(networks(smooth=True), lambda net: has(net, hf.ReLU) or "MaxPool2d" in repr(net))


# Shapes


@pytest.mark.parametrize(
    ("net", "expected"),
    [
        (hf.Sequential(hf.Tanh(), hf.Dense(3, 2)), "N 3"),
        (hf.Sequential(hf.Flatten(), hf.Dense(6, 2)), "N 6"),
        (hf.Residual(hf.RNN(2, 2)), "N T 2"),
        (hf.Tanh(), "N D"),
        (hf.Conv2d(2, 3, 3, padding=1), "N 2 H W"),
        (hf.Sequential(hf.Conv2d(2, 3, (3, 1)), hf.Conv2d(3, 1, 2, stride=2)), "N 2 H+3 W+1"),
        (hf.Sequential(hf.MaxPool2d(2, stride=1), hf.Conv2d(3, 1, 1)), "N 3 H+1 W+1"),
    ],
    ids=repr,
)
def test_the_input_of_a_network_follows_from_its_layers(net, expected):
    assert input_of(net) == expected


def test_a_layer_of_ones_own_says_its_example():
    class Mine(hf.Layer):
        example = "N T width"
        width = 5

    assert input_of(Mine()) == "N T 5"


# Refusals


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: networks(["danse"]), "unknown kind 'danse'; choose some of: dense, recurrent"),
        (lambda: networks([]), "no kind is given; choose some of"),
        (lambda: SPD(2, "flat"), "unknown spectrum 'flat'; choose one of: identity"),
        (lambda: SPD(2, (1.0, -1.0)), "expected 2 positive eigenvalues"),
        (lambda: SPD(2, (1.0,)), "expected 2 positive eigenvalues"),
        (lambda: Batch(hf.Tanh(), "N T D", hf.SquaredError(), sizes={"N": 1}), "lacks T, D"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_every_spectrum_is_positive():
    assert all((eigenvalues(7) > 0).all() for eigenvalues in SPECTRA.values())


WITHOUT = "import sys; sys.modules['hypothesis'] = None; "


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import minihf.testing; print('fine')", "fine"),
        ("import minihf.testing.strategies", "need Hypothesis: pip install 'minihf[testing]'"),
        ("from minihf.testing import minihf_property as p; p(x=1)",
         "need Hypothesis: pip install 'minihf[testing]'"),
    ],
)  # fmt: skip
def test_without_hypothesis_only_what_needs_it_says_so(code, said):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + code], capture_output=True, text=True, check=False
    )
    assert said in (done.stdout + done.stderr).strip().splitlines()[-1]
