"""Preconditioners against loops over the cases, dense diagonals and averages worked out by hand."""

import numpy as np
import pytest

import minihf as hf
from minihf import ops
from minihf.curvature import KroneckerFactors, Shifted
from minihf.optim.preconditioners import (
    Jacobi,
    Kronecker,
    SquaredGradients,
    _diagonals,
    _exact_length,
    mean_squared_gradients,
)

SINGLE = 1e-5         # relative: a power, in float32
ROUNDING = 1e-12      # relative to the largest entry, float64
SIGMAS = 6.0          # fails by chance once in 10^9 seeds and entry; the seed is fixed

D, M, P, N = 3, 3, 4, 40      # N is more than the cases that are squared at once


def twice(params, x):
    """One weight and one bias in two layers, the weight on many positions."""
    h = ops.tanh(ops.dense(x, params["W"], params["b"]))
    return ops.dense(h, params["W"], params["b"])


def one_bias(params, x):
    """Two weights that share a bias, and a parameter without any use."""
    return ops.dense(ops.tanh(ops.dense(x, params["W"], params["b"])), params["V"], params["b"])


SHAPES = {"W": (D, M), "V": (M, M), "b": (M,), "idle": (2,)}


def linearized(net, names, shape):
    rng = np.random.default_rng(0)
    params = hf.Params.from_dict({name: rng.standard_normal(SHAPES[name]) for name in names})
    x, y = (hf.asarray(rng.standard_normal((N, *shape, size))) for size in (D, M))
    return hf.linearize(net, params, x), x, y


def case_by_case(net, lin, x, y, loss):
    total = 0
    for n in range(N):
        single = hf.linearize(net, lin.params, x[n : n + 1])
        g = single.vjp(loss.grad(single.output, y[n : n + 1]))
        total = total + hf.to_host(g) ** 2
    return total / N


@pytest.mark.parametrize("shape", [(), (P,)], ids=["one position", "positions"])
@pytest.mark.parametrize(
    ("net", "names"),
    [
        (hf.Sequential(hf.Dense(D, M), hf.Tanh(), hf.Dense(M, M)), None),
        (twice, ["W", "b"]),
        (one_bias, ["W", "V", "b", "idle"]),
        (lambda params, x: ops.dense(x, params["W"]), ["W"]),
    ],
    ids=["layers", "weight used twice", "bias shared", "no bias"],
)
def test_mean_squared_gradients_are_those_of_a_loop_over_the_cases(net, names, shape, backend):
    loss = hf.SquaredError()
    if names is None:
        lin, x, y = linearized(twice, ["W", "b"], shape)
        lin = hf.linearize(net, net.init(0, np.float64), x)
    else:
        lin, x, y = linearized(net, names, shape)
    expected = case_by_case(net, lin, x, y, loss)
    squares = hf.to_host(mean_squared_gradients(lin, loss, y).vector)
    np.testing.assert_allclose(squares, expected, rtol=0, atol=ROUNDING * expected.max())
    assert not names or "idle" not in names or (squares[-2:] == 0).all()


def scaled(params, x):
    """W in an op with factors and in one without; b in one with, V in one without."""
    return ops.dense(x @ params["V"], params["W"], params["b"]) + x @ params["W"]


def test_parameters_in_an_op_without_factors_get_one_and_are_named():
    lin, x, y = linearized(scaled, ["W", "V", "b"], ())
    loss = hf.SquaredError()
    with pytest.warns(RuntimeWarning, match="no per-case gradients for W, V: .*identity"):
        squares = mean_squared_gradients(lin, loss, y)
    assert (squares["W"] == 1).all()
    assert (squares["V"] == 1).all()
    b = lin.params.with_vector(case_by_case(scaled, lin, x, y, loss))["b"]
    np.testing.assert_allclose(squares["b"], b, rtol=ROUNDING)


@pytest.mark.parametrize("exponent", [0.5, 0.75, 1.0])
def test_the_preconditioner_is_a_power_of_squares_plus_shift(exponent, backend):
    lin, _, y = linearized(one_bias, ["W", "V", "b"], ())
    loss = hf.SquaredError()
    partition = hf.Partition.of(lin.params, {"weights": ["W", "V"], "bias": "b"})
    squares = hf.to_host(mean_squared_gradients(lin, loss, y).vector)
    shift = {"weights": 0.25, "bias": 2.0}
    M, memory = SquaredGradients(exponent)(hf.GGN(lin, loss, y, partition), None, shift, None, None)
    assert memory is None
    for name, block in partition.items():
        Mr = M[name] @ hf.asarray(np.ones(block.size))
        expected = (squares[block.index] + shift[name]) ** -exponent
        np.testing.assert_allclose(hf.to_host(Mr), expected, rtol=ROUNDING)


def test_a_parameter_without_gradient_or_shift_does_not_divide_by_zero():
    lin, _, y = linearized(one_bias, ["W", "V", "b", "idle"], ())
    M, _ = SquaredGradients()(
        hf.GGN(lin, hf.SquaredError(), y), None, {"network": 0.0}, None, None
    )
    assert np.isfinite(M["network"] @ np.ones(lin.params.size)).all()


@pytest.mark.parametrize("shift", [1e-8, 1e-12])
def test_a_small_shift_counts_where_there_is_no_gradient(shift):
    """In single precision, too: what keeps from dividing by zero is far below."""
    params = hf.Params.from_dict({"idle": np.zeros(3, np.float32)})
    M = _diagonals(params.vector, hf.Partition.of(params), {"network": shift}, 0.75)["network"]
    np.testing.assert_allclose(M @ np.ones(3, np.float32), shift**-0.75, rtol=SINGLE)


def test_cases_that_are_no_longer_the_first_axis_are_not_taken_for_cases():
    rng = np.random.default_rng(0)
    params = hf.Params.from_dict({"W": rng.standard_normal((3, 2)), "b": rng.standard_normal(2)})

    def net(params, x):                                  # (N, P, D) -> (N P, D) -> (N, P, M)
        rows = ops.dense(ops.reshape(ops.mul(x, 1.0), (-1, 3)), params["W"], params["b"])
        return ops.reshape(rows, (len(x), -1, 2))

    x, y = rng.standard_normal((4, 5, 3)), rng.standard_normal((4, 5, 2))
    lin = hf.linearize(net, params, x)
    with pytest.warns(RuntimeWarning, match="no per-case gradients for W, b"):
        squares = mean_squared_gradients(lin, hf.SquaredError(), y)
    assert (squares.vector == 1).all()


# The diagonal by random signs ---------------------------------------------------------------


LOSSES = [hf.SquaredError(), hf.SigmoidCrossEntropy(), hf.SoftmaxCrossEntropy()]


def targets(loss, z):
    if isinstance(loss, hf.SoftmaxCrossEntropy):
        return hf.asarray(np.zeros(z.shape[:-1], int))
    return hf.asarray(np.full(z.shape, 0.5))


@pytest.mark.parametrize("loss", LOSSES[:2], ids=lambda loss: type(loss).__name__)
def test_with_one_output_one_draw_of_signs_is_the_diagonal(loss, backend):
    rng = np.random.default_rng(0)
    net = hf.Sequential(hf.Dense(D, M), hf.Tanh(), hf.Dense(M, 1))
    lin = hf.linearize(net, net.init(0, np.float64), hf.asarray(rng.standard_normal((N, D))))
    y = targets(loss, lin.output)
    expected = np.diag(hf.to_host(hf.GGN(lin, loss, y).to_dense()))
    found = hf.to_host(Jacobi().diagonal(lin, loss, y, rng))
    np.testing.assert_allclose(found, expected, rtol=0, atol=ROUNDING * expected.max())


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("shape", [(), (P,)], ids=["one position", "positions"])
def test_random_signs_estimate_the_diagonal_without_bias(shape, loss):
    """The mean of many draws is off by no more than its own standard error allows."""
    lin, _, _ = linearized(twice, ["W", "b"], shape)
    y, rng, draws = targets(loss, lin.output), np.random.default_rng(1), 400
    expected = np.diag(hf.GGN(lin, loss, y).to_dense())
    found = np.stack([Jacobi().diagonal(lin, loss, y, rng) for _ in range(draws)])
    error = found.std(axis=0, ddof=1) / np.sqrt(draws)
    assert (np.abs(found.mean(axis=0) - expected) <= SIGMAS * error).all()
    assert error.max() < 0.1 * expected.max()
    same, mean = (np.random.default_rng(2) for _ in "ab")
    single = [Jacobi().diagonal(lin, loss, y, same) for _ in range(3)]
    np.testing.assert_allclose(
        Jacobi(draws=3).diagonal(lin, loss, y, mean), np.mean(single, axis=0), rtol=ROUNDING
    )


def test_the_jacobi_preconditioner_divides_by_the_diagonal_plus_shift(backend):
    lin, _, y = linearized(twice, ["W", "b"], ())
    G = hf.GGN(lin, hf.SquaredError(), y, "param")
    rng, again = np.random.default_rng(3), np.random.default_rng(3)
    shift = {"W": 0.5, "b": 2.0}
    M, memory = Jacobi(exponent=0.75)(G, None, shift, None, rng)
    diagonal = hf.to_host(Jacobi().diagonal(lin, G.loss, y, again))
    assert memory is None
    for name, block in G.partition.items():
        Mr = hf.to_host(M[name] @ hf.asarray(np.ones(block.size)))
        expected = (diagonal[block.index] + shift[name]) ** -0.75
        np.testing.assert_allclose(Mr, expected, rtol=ROUNDING)


# Kronecker factors ----------------------------------------------------------------------------


def curvature(seed, spec="layer", scale=1.0):
    rng = np.random.default_rng(seed)
    net = hf.Sequential(hf.Dense(D, M), hf.Tanh(), hf.Dense(M, 2))
    x = hf.asarray(scale * rng.standard_normal((N, D)))
    lin = hf.linearize(net, net.init(0, np.float64), x)
    return hf.GGN(lin, hf.SquaredError(), hf.asarray(np.zeros((N, 2))), spec)


def shifts(C, shift):
    return dict.fromkeys(C.partition, shift)


def gradient_of(C):
    return C.lin.vjp(C.loss.grad(C.lin.output, C.y))


def factors_of(C, rng):
    return KroneckerFactors.sampled(C.lin, C.loss, C.y, rng)


def test_factors_are_averaged_with_more_and_more_memory(backend):
    """rho = 0, 1/2, 2/3, then no more than decay = 0.7."""
    rule, memory = Kronecker(decay=0.7), None
    rng, again = np.random.default_rng(0), np.random.default_rng(0)
    expected = 0
    for t, rho in enumerate([0, 1 / 2, 2 / 3, 0.7, 0.7], start=1):
        C = curvature(t)
        before = memory
        _, memory = rule(C, gradient_of(C), shifts(C, 0.1), memory, rng)
        expected = rho * expected + (1 - rho) * hf.to_host(factors_of(C, again).A["2.W"])
        np.testing.assert_allclose(hf.to_host(memory["A"]["2.W"]), expected, rtol=ROUNDING)
        assert memory["updates"] == t
        assert before is None or before["updates"] == t - 1          # not written into


def test_inverses_are_made_at_first_and_then_now_and_again():
    rule, memory, rng, made = Kronecker(refresh=3), None, np.random.default_rng(0), []
    for t in range(1, 10):
        C, before = curvature(t), memory
        _, memory = rule(C, gradient_of(C), shifts(C, 0.1), memory, rng)
        if before is None or memory["inverse"] is not before["inverse"]:
            made.append(t)
            fresh = KroneckerFactors(factors_of(C, rng).stacks, memory["A"], memory["S"])
            fresh = fresh.inverse(0.1)
            assert (memory["inverse"]["A"]["0.W"] == fresh.A["0.W"]).all()
            assert (memory["inverse"]["S"]["2.W"] == fresh.S["2.W"]).all()
    assert made == [1, 2, 3, 6, 9]


@pytest.mark.parametrize("larger", [{"bias": 2.0}, {"weights": 5.0}], ids=["last", "not the last"])
def test_every_block_gets_its_part_of_the_inverse_with_its_own_damping(larger, backend):
    """The layer "2" lies in two blocks: the larger shift counts, whichever block comes first."""
    spec = {"first": "0.*", "weights": "2.W", "bias": "2.b"}
    C, rng, again = curvature(0, spec=spec), np.random.default_rng(0), np.random.default_rng(0)
    shift = {"first": 0.1, "weights": 0.3, "bias": 2.0} | larger
    M, _ = Kronecker(calibrate=False)(C, gradient_of(C), shift, None, rng)
    expected = factors_of(C, again).inverse({"0.W": 0.1, "2.W": max(larger.values())})
    for name, block in C.partition.items():
        r = hf.asarray(np.arange(1.0, 1.0 + block.size))
        np.testing.assert_array_equal(
            hf.to_host(M[name] @ r), hf.to_host(expected.block(block) @ r)
        )


@pytest.mark.parametrize("shift", [{"one": 2.0, "two": 0.3}, {"one": 0.3, "two": 2.0}])
def test_a_weight_that_is_cut_in_two_has_the_larger_of_both_shifts(shift):
    n = curvature(0).lin.params.size
    halves = {"one": np.arange(0, n, 2), "two": np.arange(1, n, 2)}
    C = curvature(0, spec=lambda params: hf.Partition.from_indices(params, halves))
    rng, again = np.random.default_rng(0), np.random.default_rng(0)
    _, memory = Kronecker(calibrate=False)(C, gradient_of(C), shift, None, rng)
    expected = factors_of(C, again).inverse({"0.W": 2.0, "2.W": 2.0})
    for name in ("0.W", "2.W"):
        np.testing.assert_array_equal(memory["inverse"]["A"][name], expected.A[name])


def test_a_calibrated_step_is_the_first_one_of_cg(backend):
    C, shift = curvature(0), {"0": 0.3, "2": 0.01}
    g, seed = gradient_of(C), 1
    M, memory = Kronecker(calibrate=True)(C, g, shift, None, np.random.default_rng(seed))
    K, _ = Kronecker(calibrate=False)(C, g, shift, None, np.random.default_rng(seed))
    for name, block in C.partition.items():
        g_b = g[block.index]
        first = hf.cg(Shifted(C.block(name), shift[name]), g_b, M=K[name], max_iters=1)
        np.testing.assert_allclose(
            hf.to_host(M[name] @ g_b), hf.to_host(first.x), rtol=0, atol=ROUNDING
        )
        assert memory["inverse"]["scale"][name] != 1.0


def test_lengths_are_measured_when_factors_are_inverted():
    rule, memory, lengths = Kronecker(refresh=2, calibrate=True), None, []
    rng = np.random.default_rng(0)
    for t in range(1, 7):
        C = curvature(t)
        _, memory = rule(C, gradient_of(C), shifts(C, 0.1), memory, rng)
        lengths.append(memory["inverse"]["scale"]["0"])
    assert lengths[2] == lengths[1]
    assert lengths[4] == lengths[3]
    assert len(set(lengths)) == 4


@pytest.mark.parametrize("g", [0.0, np.nan])
def test_without_a_gradient_there_is_no_length_to_measure(g):
    C, rng = curvature(0), np.random.default_rng(0)
    rule = Kronecker(calibrate=True)
    _, memory = rule(C, g + 0 * gradient_of(C), shifts(C, 0.1), None, rng)
    assert memory["inverse"]["scale"] == {"0": 1.0, "2": 1.0}


@pytest.mark.parametrize(
    ("net", "shape", "calibrated"),
    [
        (hf.Sequential(hf.Dense(6, 4), hf.Tanh(), hf.Dense(4, 2)), (6,), False),
        (hf.Sequential(hf.RNN(3, 4), hf.LastStep(), hf.Dense(4, 2)), (5, 3), True),
        (hf.Sequential(hf.Conv2d(1, 2, 3), hf.Flatten(), hf.Dense(8, 2)), (1, 4, 4), True),
    ],
    ids=["dense", "recurrent", "convolution"],
)
def test_lengths_are_measured_where_a_weight_has_several_positions(net, shape, calibrated):
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((9, *shape)), rng.standard_normal((9, 2))
    lin = hf.linearize(net, net.init(0, dtype=np.float64), x)
    C = hf.GGN(lin, hf.SquaredError(), y, "layer")
    _, memory = Kronecker()(C, gradient_of(C), shifts(C, 0.1), None, rng)
    assert any(c != 1 for c in memory["inverse"]["scale"].values()) == calibrated


@pytest.mark.parametrize("along", [0.0, -1.0, np.inf])
def test_a_length_that_is_no_length_is_one(along):
    C = curvature(0)
    z = np.ones(C.partition["0"].size)
    g_b = along * z / z.size
    assert _exact_length(C.block("0"), 0.1, g_b, z) == 1.0


def test_a_batch_whose_factors_are_not_finite_is_passed_over():
    rule, rng = Kronecker(), np.random.default_rng(0)
    C, broken = curvature(0), curvature(0, scale=np.nan)
    assert rule(broken, gradient_of(C), shifts(C, 0.1), None, rng) == ({}, None)
    _, memory = rule(C, gradient_of(C), shifts(C, 0.1), None, rng)
    operators, same = rule(broken, gradient_of(C), shifts(C, 0.1), memory, rng)
    assert same is memory
    assert np.isfinite(operators["0"] @ np.ones(C.partition["0"].size)).all()


def test_a_parameter_without_factors_gets_the_identity_and_one_warning():
    def net(params, x):
        return ops.dense(x, params["W"], params["b"]) * params["scale"]

    rng = np.random.default_rng(0)
    params = hf.Params.from_dict({"W": rng.standard_normal((D, 2)), "b": np.ones(2), "scale": 3.0})
    lin = hf.linearize(net, params, rng.standard_normal((N, D)))
    C = hf.GGN(lin, hf.SquaredError(), np.zeros((N, 2)), {"layer": ["W", "b"], "scale": "scale"})
    with pytest.warns(RuntimeWarning, match="no Kronecker factors for scale: .*identity") as seen:
        M, memory = Kronecker()(C, gradient_of(C), shifts(C, 0.1), None, rng)
    assert len(seen) == 1
    scale = memory["inverse"]["scale"]["scale"]
    assert (M["scale"] @ np.array([5.0]) == 5.0 * scale).all()
