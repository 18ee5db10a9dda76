"""Losses: both derivatives against the complex step, calm at extremes, honest samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minihf as hf
from minihf.testing import complex_step_jvp, jacobian, relative_error

pytestmark = pytest.mark.usefixtures("backend")

EXACT = 1e-10  # the complex step is good to 1e-15
DRAWS = 100_000
SIGMAS = 6.0  # fails by chance once in 10^9 seeds; the seed is fixed

LOSSES = {
    "squared": (hf.SquaredError(), lambda rng, shape: rng.standard_normal(shape)),
    "sigmoid": (hf.SigmoidCrossEntropy(), lambda rng, shape: rng.random(shape)),
    "softmax": (hf.SoftmaxCrossEntropy(), lambda rng, s: rng.integers(s[-1], size=s[:-1])),
}

every_loss = pytest.mark.parametrize(("loss", "targets"), LOSSES.values(), ids=LOSSES)
anything = given(
    shape=st.tuples(st.integers(1, 4), st.integers(1, 4)) | st.just((2, 3, 4)),
    seed=st.integers(0, 2**32 - 1),
)


def draw(targets, shape, seed):
    rng = np.random.default_rng(seed)
    z, Rz = (hf.asarray(3 * rng.standard_normal(shape)) for _ in range(2))
    return z, hf.asarray(targets(rng, shape)), Rz


@every_loss
@anything
def test_grad_is_the_derivative_of_the_value(loss, targets, shape, seed):
    z, y, _ = draw(targets, shape, seed)
    expected = jacobian(lambda flat: loss.value(flat.reshape(shape), y), z.reshape(-1))
    assert loss.value(z, y).shape == ()
    assert relative_error(loss.grad(z, y), expected.reshape(shape)) <= EXACT


@every_loss
@anything
def test_hvp_is_the_derivative_of_the_gradient(loss, targets, shape, seed):
    z, y, Rz = draw(targets, shape, seed)
    expected = complex_step_jvp(lambda z: loss.grad(z, y), [z], [Rz])
    assert relative_error(loss.hvp(z, y, Rz), expected) <= EXACT
    assert relative_error(loss.hessian(z, y)(Rz), expected) <= EXACT


@every_loss
@anything
def test_a_loss_is_the_mean_over_cases(loss, targets, shape, seed):
    z, y, Rz = draw(targets, shape, seed)
    N = len(z)
    alone = [float(loss.value(z[n : n + 1], y[n : n + 1])) for n in range(N)]
    assert float(loss.value(z, y)) == pytest.approx(np.mean(alone), rel=1e-13, abs=1e-15)
    for n in range(N):
        z1, y1, Rz1 = z[n : n + 1], y[n : n + 1], Rz[n : n + 1]
        assert relative_error(N * loss.grad(z, y)[n : n + 1], loss.grad(z1, y1)) <= EXACT
        assert relative_error(N * loss.hvp(z, y, Rz)[n : n + 1], loss.hvp(z1, y1, Rz1)) <= EXACT


@every_loss
def test_nothing_is_written_into_and_float32_stays(loss, targets):
    z, y, Rz = draw(targets, (3, 4), 0)
    z, Rz = z.astype(np.float32), Rz.astype(np.float32)
    y = y.astype(np.float32) if y.dtype.kind == "f" else y
    before = [hf.to_host(x).copy() for x in (z, y, Rz)]
    sample = loss.sample(z, np.random.default_rng(0))
    results = [loss.value(z, y), loss.grad(z, y), loss.hvp(z, y, Rz), sample, loss.root(z, Rz)]
    assert {result.dtype for result in results} == {np.dtype(np.float32)}
    for x, copy in zip((z, y, Rz), before, strict=True):
        np.testing.assert_array_equal(hf.to_host(x), copy)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_extreme_logits_give_finite_numbers(dtype):
    z = hf.asarray([[-1e4, 1e4, 0.0]], dtype=dtype)
    sigmoid, softmax = hf.SigmoidCrossEntropy(), hf.SoftmaxCrossEntropy()
    right, wrong = (hf.asarray([[a, 1 - a, 0.5]], dtype=dtype) for a in (0.0, 1.0))
    assert float(sigmoid.value(z, right)) == pytest.approx(np.log(2), rel=1e-6)
    assert float(sigmoid.value(z, wrong)) == pytest.approx(2e4 + np.log(2), rel=1e-6)
    assert float(softmax.value(z, hf.asarray([1]))) == 0.0
    assert float(softmax.value(z, hf.asarray([0]))) == 2e4
    for loss, y in [(sigmoid, right), (sigmoid, wrong), (softmax, hf.asarray([0]))]:
        assert np.isfinite(hf.to_host(loss.grad(z, y))).all()
        assert np.isfinite(hf.to_host(loss.hvp(z, y, z))).all()


@every_loss
def test_samples_have_mean_zero_and_the_hessian_as_their_covariance(loss, targets):
    z, y, _ = draw(targets, (1, 4), 0)
    many = hf.asarray(np.repeat(hf.to_host(z) / 3, DRAWS, axis=0))
    s = hf.to_host(loss.sample(many, np.random.default_rng(1)))
    H = np.stack([hf.to_host(loss.hvp(many[:1], y, e[None]))[0] for e in hf.asarray(np.eye(4))])
    # E[s_i^2 s_j^2] <= 3 for a normal and <= 1 for |s| <= 1 bounds each entry's variance
    assert np.abs(s.mean(axis=0)).max() <= SIGMAS / np.sqrt(DRAWS)
    assert np.abs(s.T @ s / DRAWS - H).max() <= SIGMAS * np.sqrt(3 / DRAWS)
    again = loss.sample(many[:9], np.random.default_rng(5))
    assert relative_error(loss.sample(many[:9], np.random.default_rng(5)), again) == 0.0


@every_loss
@anything
def test_a_root_times_its_transpose_is_the_hessian_of_each_case(loss, targets, shape, seed):
    z, y, Rz = draw(targets, shape, seed)
    basis = [hf.asarray(e.reshape(shape)) for e in np.eye(Rz.size)]
    R = np.stack([hf.to_host(loss.root(z, e)).reshape(-1) for e in basis], axis=1)
    expected = len(z) * hf.to_host(loss.hvp(z, y, Rz)).reshape(-1)
    assert relative_error(R @ R.T @ hf.to_host(Rz).reshape(-1), expected) <= EXACT


# Masks


def pad(array, rng):
    """Two steps more, of numbers that must not matter."""
    more = rng.integers(-9, -1, size=(array.shape[0], 2, *array.shape[2:])).astype(array.dtype)
    return np.concatenate([array, more], axis=1)


@every_loss
@pytest.mark.parametrize("dtype", [bool, np.int8, np.float32])
def test_a_mask_is_the_sequences_cut_there(loss, targets, dtype):
    rng = np.random.default_rng(0)
    z, Rz = rng.standard_normal((2, 2, 3, 4))
    y = targets(rng, z.shape)
    cut = tuple(map(hf.asarray, (z, y, Rz)))
    mask = np.arange(5) < 3 + np.zeros((2, 1))
    long_z, long_y, long_Rz = (hf.asarray(pad(array, rng)) for array in (z, y, Rz))
    masked = (long_y, hf.asarray(mask.astype(dtype)))
    assert relative_error(loss.value(long_z, masked), loss.value(*cut[:2])) <= EXACT
    for found, expected in [
        (loss.grad(long_z, masked), loss.grad(*cut[:2])),
        (loss.hvp(long_z, masked, long_Rz), loss.hvp(*cut)),
    ]:
        np.testing.assert_array_equal(hf.to_host(found)[:, :3], hf.to_host(expected))
        assert not hf.to_host(found)[:, 3:].any()
    sample = hf.to_host(loss.sample(long_z, np.random.default_rng(1), masked))
    free = hf.to_host(loss.sample(long_z, np.random.default_rng(1)))
    np.testing.assert_array_equal(sample, np.where(mask[..., None], free, 0))


@every_loss
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_mask_keeps_the_dtype_and_divides_by_the_cases(loss, targets, dtype):
    z, y, Rz = draw(targets, (2, 3, 4), 0)
    z, Rz = z.astype(dtype), Rz.astype(dtype)
    y = y.astype(dtype) if y.dtype.kind == "f" else y
    mask = np.zeros((2, 3), bool)
    everything, nothing = ((y, hf.asarray(m)) for m in (~mask, mask))
    for ask in (loss.value, loss.grad, lambda z, y: loss.hvp(z, y, Rz)):
        assert ask(z, everything).dtype == dtype
        np.testing.assert_array_equal(hf.to_host(ask(z, everything)), hf.to_host(ask(z, y)))
        assert not hf.to_host(ask(z, nothing)).any()


@every_loss
@pytest.mark.parametrize(
    ("shape", "mask", "message"),
    [
        ((2, 3, 4), np.ones((2, 4), bool), r"mask is bool of shape \(2, 4\), expected \(2, 3\)"),
        ((2, 3, 4), np.ones(2), r"mask is float64 of shape \(2,\), expected \(2, 3\), one entry"),
        ((2, 3, 4), np.full((2, 3), 0.5), r"mask is float64 and must be True \(1\) or False"),
        ((2, 3, 4), np.full((2, 3), np.nan), r"mask is float64 and must be True \(1\) or False"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(loss, targets, shape, mask, message):
    z, y, _ = draw(targets, shape, 0)
    y = (y, hf.asarray(mask))
    for ask in (loss.value, loss.grad, loss.hessian, lambda z, y: loss.sample(z, None, y)):
        with pytest.raises(ValueError, match=message):
            ask(z, y)


def test_an_output_without_steps_takes_no_mask():
    z, y = hf.asarray(np.zeros((2, 4))), hf.asarray(np.zeros(2, int))
    with pytest.raises(ValueError, match=r"mask is bool of shape \(2,\), expected no mask"):
        hf.SoftmaxCrossEntropy().value(z, (y, hf.asarray(np.ones(2, bool))))


@pytest.mark.parametrize(
    ("loss", "y", "message"),
    [
        (hf.SquaredError(), np.zeros((3, 1)), r"targets have shape \(3, 1\), .* output \(3, 2\)"),
        (hf.SigmoidCrossEntropy(), np.zeros(3), r"targets have shape \(3,\), .* output \(3, 2\)"),
        (hf.SigmoidCrossEntropy(), np.full((3, 2), 1.5), r"must be in \[0, 1\]"),
        (hf.SigmoidCrossEntropy(), np.full((3, 2), np.nan), r"must be in \[0, 1\]"),
        (hf.SoftmaxCrossEntropy(), np.array([0, 1, 2]), "labels run from 0 to 2, exp.* 0 to 1"),
        (hf.SoftmaxCrossEntropy(), np.array([0, -1, 1]), "labels run from -1 to 1, exp.* 0 to 1"),
        (hf.SoftmaxCrossEntropy(), np.zeros(3), r"labels are float64 of shape \(3,\), exp.* int"),
        (hf.SoftmaxCrossEntropy(), np.zeros((3, 2), int), r"int64 of shape \(3, 2\), exp.* int"),
    ],
)
def test_targets_that_do_not_fit_are_refused(loss, y, message):
    z, y = hf.asarray(np.zeros((3, 2))), hf.asarray(y)
    for ask in (loss.value, loss.grad):
        with pytest.raises(ValueError, match=message):
            ask(z, y)


def test_a_single_case_without_its_batch_axis_is_refused():
    with pytest.raises(ValueError, match=r"has shape \(10,\), expected a batch .* use z\[None\]"):
        hf.SoftmaxCrossEntropy().value(np.zeros(10), np.int64(3))
    with pytest.raises(ValueError, match=r"SquaredError: the output has shape \(\), expected a b"):
        hf.SquaredError().value(np.zeros(()), np.zeros(()))


@every_loss
@pytest.mark.parametrize(
    ("output", "message"),
    [
        ((np.ones((2, 3, 4)), np.ones(2)), r"a tuple of shapes \(2, 3, 4\) and \(2,\), expected "
                                           r"one array .*; end the network with LastStep\(\)"),
        ([[1.0, 2.0]], r"a list, expected one array \(N, ...\)$"),
    ],
)  # fmt: skip
def test_an_output_that_is_no_array_is_refused_by_every_method(loss, targets, output, message):
    y = hf.asarray(targets(np.random.default_rng(0), (2, 3, 4)))
    for ask in (
        lambda: loss.value(output, y),
        lambda: loss.grad(output, y),
        lambda: loss.hessian(output, y),
        lambda: loss.hvp(output, y, y),
        lambda: loss.sample(output, np.random.default_rng(0)),
    ):
        with pytest.raises(TypeError, match=f"^{type(loss).__name__}: the output is {message}"):
            ask()


def test_targets_that_would_widen_the_output_are_refused():
    z = np.zeros((2, 3), np.float32)
    with pytest.raises(ValueError, match="targets are float64, the network's output is float32"):
        hf.SquaredError().grad(z, np.zeros((2, 3)))


def test_a_masked_step_is_exactly_zero_in_every_product_whatever_stands_there():
    rng = np.random.default_rng(0)
    z, Rz = rng.standard_normal((2, 3, 4)), rng.standard_normal((2, 3, 4))
    mask = np.array([[1, 1, 0], [1, 0, 0]], dtype=bool)
    z[~mask] = Rz[~mask] = np.nan
    targets = {
        hf.SoftmaxCrossEntropy: rng.integers(0, 4, (2, 3)),
        hf.SigmoidCrossEntropy: rng.random((2, 3, 4)),
        hf.SquaredError: rng.random((2, 3, 4)),
    }
    for kind, y in targets.items():
        product = kind().hvp(z, (y, mask), Rz)
        assert (product[~mask] == 0).all()
        assert np.isfinite(product).all()
        root = kind().root(z, Rz, (y, mask))
        assert (root[~mask] == 0).all()
        assert np.isfinite(root).all()
