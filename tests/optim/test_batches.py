"""Objective and gradient of a batch, in chunks."""

import numpy as np
import pytest

import minihf as hf
from minihf.optim.batches import CHUNK, chunks, gradient, n_cases, objective, rows

ROUNDING = 1e-12      # relative, float64: sums of some thousand terms in another order
STEP = 1e-30          # of the complex step: no subtraction, so nothing cancels
L2 = 0.3


@pytest.mark.parametrize("N", [1, CHUNK, 2 * CHUNK + 301])
@pytest.mark.parametrize("loss", [hf.SquaredError(), hf.SoftmaxCrossEntropy()])
def test_objective_and_gradient_are_those_of_one_pass_over_all_cases(N, loss, problem, backend):
    p = problem(N=N, loss=loss)
    x, y = p.batch
    theta = hf.to_host(p.params.vector)
    lin = hf.linearize(p.net, p.params, x)
    f = float(loss.value(lin.output, y)) + L2 / 2 * theta @ theta
    g = hf.to_host(lin.vjp(loss.grad(lin.output, y))) + L2 * theta

    value, slope = gradient(p.net, loss, p.params, p.batch, L2)
    assert float(value) == pytest.approx(f, rel=ROUNDING)
    np.testing.assert_allclose(hf.to_host(slope), g, rtol=0, atol=ROUNDING * np.linalg.norm(g))
    assert float(objective(p.net, loss, p.params, p.batch, L2)) == float(value)


def test_the_gradient_is_the_complex_step_of_the_objective(problem):
    p = problem()
    g = gradient(p.net, p.loss, p.params, p.batch, L2)[1]
    for i, direction in enumerate(np.eye(p.params.size)):
        bent = p.params.with_vector(p.params.vector + 1j * STEP * direction)
        slope = objective(p.net, p.loss, bent, p.batch, L2).imag / STEP
        assert g[i] == pytest.approx(slope, rel=1e-10, abs=ROUNDING)


def test_the_same_call_gives_the_same_bits(problem):
    p = problem(N=2 * CHUNK + 1, dtype=np.float32)
    first, second = (gradient(p.net, p.loss, p.params, p.batch) for _ in range(2))
    assert first[0] == second[0]
    np.testing.assert_array_equal(first[1], second[1])


def test_without_l2_the_objective_is_the_loss_alone(problem):
    p = problem()
    x, y = p.batch
    assert objective(p.net, p.loss, p.params, p.batch) == p.loss.value(p.net(p.params, x), y)


@pytest.mark.parametrize(("N", "size"), [(1, 4), (8, 4), (9, 4), (3, 1)])
def test_chunks_are_all_cases_in_order_with_their_shares(N, size):
    batch = (np.arange(N), (np.arange(N), 10 * np.arange(N)))
    pieces = list(chunks(batch, size))
    assert np.concatenate([x for (x, _), _ in pieces]).tolist() == list(range(N))
    assert np.concatenate([y[1] for (_, y), _ in pieces]).tolist() == list(range(0, 10 * N, 10))
    assert [share for _, share in pieces] == [len(x) / N for (x, _), _ in pieces]
    assert all(len(x) <= size for (x, _), _ in pieces)


@pytest.mark.parametrize("index", [slice(1, 3), [2, 0]])
def test_rows_are_taken_from_every_array_of_the_batch(index):
    x, mask = np.arange(8).reshape(4, 2), np.arange(4)
    (taken, lengths), y = rows(((x, mask), mask * 10), index)
    np.testing.assert_array_equal(taken, x[index])
    np.testing.assert_array_equal(lengths * 10, y)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ((np.ones((3, 2)), np.ones(4)), r"different numbers of cases: \[3, 4\]"),
        ((np.ones(3), (np.ones(3), np.ones(2))), r"different numbers of cases: \[2, 3\]"),
        ((np.ones((0, 2)), np.ones(0)), "the batch is empty"),
        (np.ones((3, 2)), r"a batch is a tuple \(x, y\), got ndarray"),
        ((np.ones(3),), r"a batch is a tuple \(x, y\)"),
    ],
)
def test_a_torn_or_empty_batch_is_refused(batch, message):
    with pytest.raises(ValueError, match=message):
        n_cases(batch)
