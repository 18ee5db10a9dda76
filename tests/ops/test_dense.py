"""What the dense op promises beyond the four rules: shapes, cost, rows for Kronecker factors."""

import numpy as np
import pytest

import minihf as hf
from minihf import ops
from minihf.ops.dense import DenseOp
from minihf.testing import relative_error

pytestmark = pytest.mark.usefixtures("backend")

N, P, D, M = 4, 3, 5, 2
SAME = 1e-14  # the same sums in another order


@pytest.fixture(params=[(N, D), (N, P, D)], ids=["no positions", "positions"])
def x(request):
    return hf.asarray(np.random.default_rng(0).standard_normal(request.param))


@pytest.fixture
def weights():
    rng = np.random.default_rng(1)
    return hf.asarray(rng.standard_normal((D, M))), hf.asarray(rng.standard_normal(M))


def test_every_position_shares_the_weights(x, weights):
    y = hf.to_host(ops.dense(x, *weights))
    rows = hf.to_host(x).reshape(-1, D) @ hf.to_host(weights[0]) + hf.to_host(weights[1])
    assert y.shape == (*x.shape[:-1], M)
    assert relative_error(y.reshape(-1, M), rows) <= SAME


def test_without_bias_nothing_is_added(x, weights):
    with_zero = ops.dense(x, weights[0], 0 * weights[1])
    assert relative_error(ops.dense(x, weights[0]), with_zero) == 0.0


@pytest.mark.parametrize("shape", [(D,), (N, D + 1), (N, D, P)])
def test_an_x_that_does_not_fit_is_refused(shape, weights):
    with pytest.raises(ValueError, match=r"dense: x has shape .*, expected \(N, ..., 5\)"):
        ops.dense(hf.asarray(np.ones(shape)), *weights)


@pytest.mark.parametrize("shape", [(), (1,), (M + 1,), (1, M)])
def test_a_b_that_does_not_fit_is_refused(x, shape, weights):
    with pytest.raises(ValueError, match=r"dense: b has shape \(.*\), expected \(2,\)"):
        ops.dense(x, weights[0], hf.asarray(np.ones(shape)))


def test_a_zero_tangent_costs_no_product(x, weights, count_gemms):
    op, (W, b) = DenseOp(), weights
    y, residuals = op.forward(x, W, b)
    assert count_gemms(lambda: op.rop(residuals, x, W, b)) == 2
    assert count_gemms(lambda: op.rop(residuals, None, W, b)) == 1
    assert count_gemms(lambda: op.rop(residuals, None, None, b)) == 0
    assert count_gemms(lambda: op.vjp(residuals, y, (True, True, True))) == 2
    assert count_gemms(lambda: op.vjp(residuals, y, (False, True, True))) == 1
    assert count_gemms(lambda: op.rvjp(residuals, (x, W, b), y, y, (True, True, True))) == 4
    assert count_gemms(lambda: op.rvjp(residuals, (x, W, b), y, y, (False, True, True))) == 2
    assert count_gemms(lambda: op.rvjp(residuals, (None, W, b), y, None, (True, True, True))) == 1


def test_factors_rebuild_the_gradient_case_by_case(x, weights):
    op = DenseOp()
    y, residuals = op.forward(x, *weights)
    _, gradient, of_bias = op.vjp(residuals, y, (False, True, True))
    a, s = map(hf.to_host, op.factors(residuals, y))
    positions = x.size // (N * D)
    assert (a.shape, s.shape) == ((N, positions, D), (N, positions, M))
    assert relative_error(np.einsum("npd,npm->dm", a, s), gradient) <= SAME
    assert relative_error(s.sum(axis=(0, 1)), of_bias) <= SAME
    assert op.join(residuals, op.split(residuals, gradient)) is gradient


def test_matmul_takes_vectors_as_numpy_does():
    rng = np.random.default_rng(0)
    for a_shape, b_shape in [((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((4, 2, 3), (3,))]:
        a, b = rng.standard_normal(a_shape), rng.standard_normal(b_shape)
        y = ops.matmul(hf.asarray(a), hf.asarray(b))
        assert relative_error(y, np.asarray(a @ b)) <= SAME
    with pytest.raises(ValueError, match=r"matmul: shapes \(2, 3\) and \(2, 3\) do not fit"):
        ops.matmul(hf.asarray(np.ones((2, 3))), hf.asarray(np.ones((2, 3))))


def test_cotangents_of_parameters_are_written_where_they_belong():
    """A view of the flat vector is filled and handed back, so that nothing is copied."""
    rng = np.random.default_rng(0)
    x, W, b, u = (rng.standard_normal(shape) for shape in ((5, 3), (3, 2), (2,), (5, 2)))
    op = DenseOp()
    _, residuals = op.forward(x, W, b)
    flat = np.full(8, np.nan)
    out = (None, flat[:6].reshape(3, 2), flat[6:])
    written = op.vjp(residuals, u, (True, True, True), out)
    fresh = op.vjp(residuals, u, (True, True, True))
    assert written[1] is out[1]
    assert written[2] is out[2]
    for one, other in zip(written, fresh, strict=True):
        np.testing.assert_array_equal(one, other)
    assert np.isfinite(flat).all()
