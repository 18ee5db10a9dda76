"""Gauss rules against dense eigenvalues: what they promise exactly, and where they have to end."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf.curvature import GaussRule, Shifted, Spectrum
from minihf.curvature.lanczos import gauss_rule, lanczos
from minihf.testing import relative_error, spd_matrix

pytestmark = pytest.mark.usefixtures("backend")

ROUNDING = 1e-10  # float64, after a few dozen products and an eigenvalue problem
SINGLE = 1e-4  # float32, likewise

seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 12)


class Counted:
    """A matrix that counts its products, and keeps what it was multiplied with."""

    def __init__(self, matrix):
        self.matrix, self.shape, self.dtype = matrix, matrix.shape, matrix.dtype
        self.vectors = []

    def __matmul__(self, v):
        self.vectors.append(v)
        return self.matrix @ v


class Diagonal:
    """A diagonal matrix of any size."""

    def __init__(self, diagonal):
        self.diagonal, self.dtype = hf.asarray(diagonal, dtype=diagonal.dtype), diagonal.dtype
        self.shape = diagonal.shape * 2

    def __matmul__(self, v):
        return self.diagonal * v


def symmetric(eigenvalues, seed):
    return hf.asarray(spd_matrix(eigenvalues, np.random.default_rng(seed)))


def indefinite(seed, n):
    rng = np.random.default_rng(seed)
    return symmetric(rng.uniform(-2, 2, n), seed), hf.asarray(rng.standard_normal(n))


def rules_of_unit_vectors(A, steps):
    return tuple(gauss_rule(A, hf.asarray(e), steps) for e in np.eye(A.shape[0]))


# One probe ------------------------------------------------------------------------------------


@given(seed=seeds, n=sizes, steps=st.integers(1, 12))
def test_moments_are_exact_below_twice_the_steps(seed, n, steps):
    A, v = indefinite(seed, n)
    rule = gauss_rule(A, v, steps)
    matrix, power = hf.to_host(A), hf.to_host(v) / np.linalg.norm(hf.to_host(v))
    start = power
    for degree in range(2 * steps):
        exact = start @ power
        assert rule.mean(lambda t, p=degree: t**p) == pytest.approx(exact, abs=ROUNDING * 2**degree)
        power = matrix @ power


def test_the_next_moment_is_not():
    A, v = symmetric(np.geomspace(0.1, 10, 8), 0), hf.asarray(np.ones(8))
    exact = np.ones(8) @ np.linalg.matrix_power(hf.to_host(A), 6) @ np.ones(8) / 8
    assert abs(gauss_rule(A, v, 3).mean(lambda t: t**6) / exact - 1) > 1e-9
    assert abs(gauss_rule(A, v, 4).mean(lambda t: t**6) / exact - 1) < ROUNDING


@given(seed=seeds, n=sizes, steps=st.integers(1, 12))
def test_weights_are_shares_and_nodes_lie_between_the_extreme_eigenvalues(seed, n, steps):
    A, v = indefinite(seed, n)
    rule, values = gauss_rule(A, v, steps), np.linalg.eigvalsh(hf.to_host(A))
    assert rule.weights.min() >= 0
    assert rule.weights.sum() == pytest.approx(1, abs=ROUNDING)
    assert np.diff(rule.nodes).min(initial=0) >= 0
    assert values[0] - ROUNDING <= rule.nodes[0] <= rule.nodes[-1] <= values[-1] + ROUNDING


@given(seed=seeds, n=sizes)
def test_as_many_steps_as_eigenvalues_find_them_all(seed, n):
    values = np.arange(1.0, n + 1)
    rule = gauss_rule(symmetric(values, seed), hf.asarray(np.cos(np.arange(n))), n)
    np.testing.assert_allclose(rule.nodes, values, rtol=0, atol=ROUNDING)


@given(seed=seeds, n=st.integers(2, 12), steps=st.integers(1, 6))
def test_the_rule_for_one_over_t_is_the_quadratic_of_conjugate_gradients(seed, n, steps):
    A = symmetric(np.linspace(1, 10, n), seed)
    b = hf.asarray(np.random.default_rng(seed).standard_normal(n))
    solve = hf.cg(A, b, max_iters=steps, stop=hf.RelativeResidual(1e-8))
    value = -0.5 * float(b @ b) * gauss_rule(A, b, steps).mean(lambda t: 1 / t)
    assert value == pytest.approx(solve.quadratics[-1], rel=ROUNDING)


def test_the_basis_stays_orthogonal_and_no_eigenvalue_comes_up_twice():
    values = np.geomspace(1e-8, 1.0, 60)
    rule = gauss_rule(symmetric(values, 0), hf.asarray(np.ones(60)), 60)
    np.testing.assert_allclose(rule.nodes, values, rtol=0, atol=ROUNDING)


def test_the_largest_eigenvalue_comes_first():
    values = np.r_[np.linspace(0, 1, 199), 2.0]
    rule = gauss_rule(symmetric(values, 0), hf.asarray(np.ones(200)), 15)
    assert rule.nodes[-1] == pytest.approx(2.0, abs=1e-6)
    assert rule.nodes[-2] < 1.0


# Where nothing new can be reached -------------------------------------------------------------


@given(seed=seeds, copies=st.integers(1, 10), distinct=st.integers(1, 4))
def test_nodes_lie_at_multiple_eigenvalues_and_weigh_their_share(seed, copies, distinct):
    values = np.repeat(np.arange(distinct) - 1.0, copies)
    rules = rules_of_unit_vectors(symmetric(values, seed), steps=30)
    for rule in rules:
        distances = np.abs(rule.nodes[:, None] - values).min(axis=1)
        assert rule.weights @ distances <= ROUNDING  # a node of no weight may lie between
    shares = Spectrum(len(values), rules).above(np.arange(distinct) - 1.5)
    np.testing.assert_allclose(shares, copies * np.arange(distinct, 0, -1), rtol=0, atol=ROUNDING)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_it_ends_after_a_product_for_each_eigenvalue_whatever_the_scale(scale):
    values = scale * (np.arange(60) % 3 - 1.0)
    found = hf.spectral_density(symmetric(values, 0), np.random.default_rng(0), probes=2)
    assert found.n_products == 6
    for rule in found.rules:
        np.testing.assert_allclose(rule.nodes, values[:3], rtol=0, atol=ROUNDING * scale)


@pytest.mark.parametrize("n", [1, 2, 50])
@pytest.mark.parametrize("value", [0.0, 3.0, -1e-9])
def test_a_multiple_of_the_identity_is_one_node_after_one_product(n, value):
    A = Counted(hf.asarray(value * np.eye(n)))
    found = hf.spectral_density(A, np.random.default_rng(0), steps=20, probes=2)
    assert len(A.vectors) == found.n_products == 2
    assert found.lowest == pytest.approx(value, rel=ROUNDING)
    assert found.highest == pytest.approx(value, rel=ROUNDING)
    t = value + (abs(value) / 100 or 1) * np.linspace(-9, 9, 201)
    assert np.trapezoid(found.density(t), t) == pytest.approx(1, abs=1e-6)


@given(seed=seeds, n=st.integers(1, 12), data=st.data())
def test_the_rank_is_the_share_of_nodes_off_zero(seed, n, data):
    rank = data.draw(st.integers(0, n))
    A = symmetric(np.r_[np.zeros(n - rank), np.arange(1.0, rank + 1)], seed)
    found = Spectrum(n, rules_of_unit_vectors(A, n))
    assert found.above(0.5) == pytest.approx(rank, abs=ROUNDING)


def test_no_more_steps_are_made_than_the_matrix_has_columns():
    A = Counted(symmetric([1.0, 2.0, 4.0], 0))
    diagonal, beside = lanczos(A, hf.asarray(np.array([1.0, 2.0, 3.0])), 100)
    assert (len(A.vectors), diagonal.shape, beside.shape) == (3, (3,), (2,))


# Several probes -------------------------------------------------------------------------------


@given(seed=seeds, n=sizes, width=st.sampled_from([0.01, 0.5]))
def test_unit_vectors_as_probes_give_the_smoothed_spectrum_itself(seed, n, width):
    A, _ = indefinite(seed, n)
    values, t = np.linalg.eigvalsh(hf.to_host(A)), np.linspace(-3, 3, 50)
    gaussians = np.exp(-0.5 * ((t[:, None] - values) / width) ** 2) / width / math.sqrt(2 * math.pi)
    found = Spectrum(n, rules_of_unit_vectors(A, n)).density(t, width)
    np.testing.assert_allclose(found, gaussians.mean(axis=1), rtol=0, atol=1e-6)
    assert found.shape == t.shape


@given(seed=seeds, n=sizes)
def test_signs_measure_a_diagonal_matrix_without_an_error(seed, n):
    values = np.random.default_rng(seed).uniform(-2, 2, n)
    A = hf.asarray(np.diag(values))
    found = hf.spectral_density(A, np.random.default_rng(seed), steps=3, probes=3)
    assert found.mean(lambda t: t**2) == pytest.approx(np.mean(values**2), abs=ROUNDING)
    assert found.standard_error(lambda t: t**2) <= ROUNDING


@pytest.mark.parametrize("kind", ["signs", "normal"])
def test_the_mean_of_many_probes_is_right_within_its_standard_error(kind):
    values = np.geomspace(0.01, 10, 40)
    rng = np.random.default_rng(0)
    found = hf.spectral_density(symmetric(values, 1), rng, steps=4, probes=400, kind=kind)
    for f in (lambda t: t, np.square):
        error = found.standard_error(f)
        assert 0 < error < 0.1 * f(values).mean()
        assert abs(found.mean(f) - f(values).mean()) < 4 * error


def test_the_range_is_that_of_all_probes():
    halves = np.array([0.5, 0.5])
    found = Spectrum(9, tuple(GaussRule(np.array(n), halves) for n in ([0, 5], [-2, 3], [1, 2])))
    assert (found.lowest, found.highest, found.n_products) == (-2, 5, 6)


def test_one_probe_tells_no_standard_error():
    found = hf.spectral_density(symmetric([1.0, 2.0], 0), np.random.default_rng(0), probes=1)
    assert math.isnan(found.standard_error(lambda t: t))


@given(seed=seeds, n=sizes)
def test_the_density_holds_all_eigenvalues(seed, n):
    A, _ = indefinite(seed, n)
    found = hf.spectral_density(A, np.random.default_rng(seed), steps=5, probes=2)
    t = np.linspace(-6, 6, 4001)
    assert np.trapezoid(found.density(t, width=0.1), t) == pytest.approx(1, abs=1e-9)
    assert found.above([-9.0, 9.0]) == pytest.approx([n, 0], abs=ROUNDING)


def test_the_same_generator_gives_the_same_numbers_and_every_probe_is_another():
    A = symmetric(np.arange(1.0, 31.0), 0)
    one, two = (hf.spectral_density(A, np.random.default_rng(3), 5, 2) for _ in range(2))
    for first, second in zip(one.rules, two.rules, strict=True):
        np.testing.assert_array_equal(first.nodes, second.nodes)
    assert abs(one.rules[0].nodes - one.rules[1].nodes).max() > 1e-3


# Precision, and the curvature of networks -----------------------------------------------------


def test_single_precision_stays_single_and_is_near_double():
    double = symmetric(np.linspace(0, 1, 100), 0)
    single = Counted(hf.asarray(hf.to_host(double), dtype=np.float32))
    exact, found = (
        hf.spectral_density(A, np.random.default_rng(0), steps=20, probes=2)
        for A in (double, single)
    )
    assert {v.dtype for v in single.vectors} == {np.dtype(np.float32)}
    assert found.n_products == len(single.vectors) == 40
    for rule, true in zip(found.rules, exact.rules, strict=True):
        assert abs(rule.nodes - true.nodes).max() < SINGLE
        assert abs(rule.weights - true.weights).max() < SINGLE


def test_in_single_precision_it_ends_where_the_products_do():
    A = Counted(hf.asarray(np.diag(np.arange(1000) % 3), dtype=np.float32))
    found = hf.spectral_density(A, np.random.default_rng(0), steps=50, probes=1)
    assert len(A.vectors) == 3
    np.testing.assert_allclose(found.rules[0].nodes, [0, 1, 2], rtol=0, atol=SINGLE)


def test_in_single_precision_a_crowd_of_small_eigenvalues_is_no_rounding():
    n = 10**5
    A = Diagonal(np.r_[np.linspace(1, 2, 10), np.linspace(0, 1e-3, n - 10)].astype(np.float32))
    found = hf.spectral_density(A, np.random.default_rng(0), steps=30, probes=1)
    assert found.n_products == 30
    assert np.sum(found.rules[0].nodes < 1e-3 + 1e-6) >= 15


@pytest.mark.parametrize("scale", [1e-30, 1e25])
def test_in_single_precision_no_square_underflows_or_overflows(scale):
    A = hf.asarray(np.diag(np.arange(1, 6) * scale), dtype=np.float32)
    rule = hf.spectral_density(A, np.random.default_rng(0), probes=1).rules[0]
    np.testing.assert_allclose(rule.nodes / scale, np.arange(1, 6), rtol=SINGLE, atol=0)


def test_curvature_of_a_network_has_the_spectrum_of_its_dense_matrix():
    rng = np.random.default_rng(0)
    net = hf.Sequential(hf.Dense(3, 3), hf.Tanh(), hf.Dense(3, 2))
    x, y = hf.asarray(rng.standard_normal((9, 3))), hf.asarray(rng.standard_normal((9, 2)))
    lin, loss = hf.linearize(net, net.init(0, np.float64), x), hf.SquaredError()
    G, H = hf.GGN(lin, loss, y, "layer"), hf.Hessian(lin, loss, y)
    for A in (G, G.block("0"), H, Shifted(H, 0.5)):
        columns = [A @ hf.asarray(e) for e in np.eye(A.shape[0])]
        values = np.linalg.eigvalsh([hf.to_host(column) for column in columns])
        found = hf.spectral_density(A, np.random.default_rng(0), steps=A.shape[0], probes=30)
        assert found.lowest == pytest.approx(values[0], abs=1e-6)
        assert found.highest == pytest.approx(values[-1], abs=1e-6)
        assert abs(found.mean(np.square) - np.mean(values**2)) < 4 * found.standard_error(np.square)
    assert hf.spectral_density(H, rng).lowest < -1e-3


def test_a_shifted_matrix_keeps_its_precision():
    A = Shifted(Counted(hf.asarray(np.eye(4), dtype=np.float32)), 0.5)
    found = hf.spectral_density(A, np.random.default_rng(0))
    assert {v.dtype for v in A.A.vectors} == {np.dtype(np.float32)}
    assert found.highest == pytest.approx(1.5, abs=SINGLE)


def test_whole_numbers_are_multiplied_as_floating_ones():
    found = hf.spectral_density(hf.asarray(np.diag([1, 2])), np.random.default_rng(0))
    assert relative_error(found.rules[0].nodes, np.array([1.0, 2.0])) <= ROUNDING


# What is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"A": np.ones((2, 3))}, r"A has shape \(2, 3\), expected a square"),
        ({"A": np.ones((0, 0))}, r"A has shape \(0, 0\), expected a square"),
        ({"steps": 0}, "steps is 0, expected 1 or more"),
        ({"probes": 1.5}, "probes is 1.5, expected 1 or more"),
        ({"steps": True}, "steps is True, expected 1 or more"),
        ({"rng": 0}, r"rng is 0, expected a generator: np.random.default_rng\(0\)"),
        ({"rng": None}, "rng is None, expected a generator"),
        ({"A": 1j * np.eye(2)}, "A holds complex128, expected real numbers"),
        ({"kind": "ones"}, r"unknown kind 'ones'; choose one of \['signs', 'normal'\]"),
    ],
)
def test_what_does_not_fit_is_refused(changes, message):
    arguments = {"A": np.eye(2), "rng": np.random.default_rng(0), **changes}
    with pytest.raises(ValueError, match=message):
        hf.spectral_density(**arguments)


def test_counts_may_be_numbers_of_numpy():
    A, steps = symmetric(np.arange(1.0, 9.0), 0), np.int64(3)
    found = hf.spectral_density(A, np.random.default_rng(0), steps=steps, probes=np.int64(2))
    assert found.n_products == 6


@pytest.mark.parametrize("upper", [1.0, 0.01])
def test_a_matrix_that_is_not_symmetric_is_refused(upper):
    A = hf.asarray(np.diag(np.arange(1.0, 9.0)) + upper * np.triu(np.ones((8, 8)), 1))
    with pytest.raises(ValueError, match=r"product 2 shows a matrix that is not symmetric"):
        hf.spectral_density(A, np.random.default_rng(0))


def test_one_step_sees_no_asymmetry_and_noise_is_none():
    A = np.diag(np.arange(1.0, 9.0)) + np.triu(np.ones((8, 8)), 1)
    assert hf.spectral_density(hf.asarray(A), np.random.default_rng(0), steps=1).n_products == 5
    noise = 1e-6 * np.random.default_rng(1).standard_normal((8, 8))
    A = hf.asarray(np.diag(np.arange(1.0, 9.0)) + noise)
    assert hf.spectral_density(A, np.random.default_rng(0)).n_products == 40


@pytest.mark.parametrize(
    ("v", "steps", "message"),
    [
        (np.zeros(3), 2, "v has length 0.0, expected"),
        (np.array([1.0, math.nan, 0.0]), 2, "v has length nan, expected"),
        (np.ones(4), 2, r"v has shape \(4,\), expected \(3,\)"),
        (np.ones(3, int), 2, "v holds int64, expected floating numbers"),
        (np.ones(3), 0, "steps is 0, expected 1 or more"),
    ],
)
def test_a_rule_begins_at_a_vector_that_fits(v, steps, message):
    with pytest.raises(ValueError, match=message):
        gauss_rule(hf.asarray(np.eye(3)), hf.asarray(v), steps)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_product_that_is_not_finite_is_an_error(bad):
    A = hf.asarray(np.array([[1.0, 0.0], [0.0, bad]]))
    with pytest.raises(FloatingPointError, match="product 1 with the matrix is not finite"):
        hf.spectral_density(A, np.random.default_rng(0))


@pytest.mark.parametrize("width", [0.0, -1.0, math.nan, math.inf])
def test_a_width_is_positive(width):
    with pytest.raises(ValueError, match=r"width is .*, expected a positive number"):
        Spectrum(1, (GaussRule(np.zeros(1), np.ones(1)),)).density([0.0], width)
